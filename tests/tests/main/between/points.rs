//! Chooses the operations to restore to.

use std::fmt;

use anyhow::{Context, Result};
use bson::{RawDocument, RawDocumentBuf, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// An entry that is larger than this belongs to a chain of more than 16 MB: it holds two of the
/// large documents.
const BIG_ENTRY_BYTES: usize = 8 << 20;
/// How many following entries are searched, because entries of another worker may come between
/// those of one operation.
const WINDOW: usize = 10;

/// An operation to restore to.
#[derive(Debug)]
pub(super) struct Point {
    pub at: Timestamp,
    /// The entry before the operation, for a restore that must be seen to differ.
    pub before: Timestamp,
    /// True for an insert or a delete: without such an operation, something differs.
    pub tells: bool,
    what: String,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{} {}", self.at.time, self.at.increment, self.what)
    }
}

/// Returns whether the entry at that position is such a place.
type IsPlace = fn(&[Entry<'_>], usize) -> bool;

/// Kinds of places where a restore could easily see too much or too little.
const PLACES: [(&str, IsPlace); 8] = [
    ("inside a transaction of more than 16 MB", |entries, at| {
        entries[at].is_part() && entries[at].raw.as_bytes().len() > BIG_ENTRY_BYTES
    }),
    ("inside a small transaction", |entries, at| {
        entries[at].is_part() && entries[at].raw.as_bytes().len() < BIG_ENTRY_BYTES
    }),
    ("at the end of a transaction of several entries", |entries, at| {
        entries[at].field("count").is_some()
    }),
    ("while an index is built", |entries, at| entries[at].command == Some("startIndexBuild")),
    ("while a collection is copied", |entries, at| {
        entries[at].op == "i" && entries[at].collection().starts_with("tmp")
    }),
    ("while a database is dropped", |entries, at| {
        let mut later = entries[at + 1..].iter().filter(|e| e.namespace == entries[at].namespace);
        entries[at].command == Some("drop")
            && later
                .next()
                .is_some_and(|next| matches!(next.command, Some("drop" | "dropDatabase")))
    }),
    (OVERFULL, |entries, at| {
        trimmed_at(entries, at).is_some() && is_capped(&entries[..at], &entries[at])
    }),
    ("between a drop and what follows it", |entries, at| entries[at].command == Some("drop")),
];

const OVERFULL: &str = "before a full capped collection lets its oldest document go";

/// Returns the position of the delete that follows the insert at this position in its collection,
/// if any.
fn trimmed_at(entries: &[Entry<'_>], at: usize) -> Option<usize> {
    let this = &entries[at];
    let mut later = (at + 1..entries.len()).take(WINDOW).filter(|_| this.op == "i");
    let next = later.find(|next| entries[*next].ui() == this.ui())?;
    (entries[next].op == "d").then_some(next)
}

/// Returns, for each position, whether a capped collection then holds more than its bounds allow.
fn overfull(entries: &[Entry<'_>]) -> Vec<bool> {
    let mut overfull = vec![false; entries.len()];
    for at in 0..entries.len() {
        if let Some(trimmed) = trimmed_at(entries, at)
            && is_capped(&entries[..at], &entries[at])
        {
            overfull[at..trimmed].fill(true);
        }
    }
    overfull
}

/// Returns true if the entry that made the collection made it capped.
fn is_capped(before: &[Entry<'_>], entry: &Entry<'_>) -> bool {
    before.iter().any(|made| {
        made.command == Some("create")
            && made.ui() == entry.ui()
            && made.field("capped") == Some(bson::RawBsonRef::Boolean(true))
    })
}

/// Returns `random` operations between quiet points, and one operation for each kind of place, in
/// order of time.
pub(super) fn choose(
    entries: &[RawDocumentBuf],
    quiet: &[Timestamp],
    random: usize,
    seed: u64,
    version: (i32, i32),
) -> Result<Vec<Point>> {
    let entries: Vec<Entry<'_>> =
        entries.iter().map(|raw| Entry::read(raw)).collect::<Result<_>>()?;
    // Targets below 6.0 cannot hold such a state (decision 4), and 4.4 logs no trimming.
    let unholdable = if version >= (6, 0) { Vec::new() } else { overfull(&entries) };
    let between = |at: &usize| {
        entries[*at].is_of_users()
            && !quiet.contains(&entries[*at].ts)
            && ![*at, at - 1].iter().any(|at| unholdable.get(*at) == Some(&true))
    };
    let candidates: Vec<usize> = (1..entries.len()).filter(between).collect();
    let mut generator = StdRng::seed_from_u64(seed);
    let mut chosen: Vec<(usize, &str)> =
        candidates.choose_multiple(&mut generator, random).map(|at| (*at, "at random")).collect();
    for (name, fits) in PLACES {
        if name == OVERFULL && version < (6, 0) {
            println!("not tested below 6.0: {name}");
            continue;
        }
        let fitting: Vec<usize> =
            candidates.iter().copied().filter(|at| fits(&entries, *at)).collect();
        let at = fitting.choose(&mut generator);
        chosen.push((*at.with_context(|| format!("no entry is {name}"))?, name));
    }
    chosen.sort_unstable();
    chosen.dedup_by_key(|(at, _)| *at);
    Ok(chosen.into_iter().map(|(at, why)| point(&entries, at, why)).collect())
}

fn point(entries: &[Entry<'_>], at: usize, why: &str) -> Point {
    let entry = &entries[at];
    let command = entry.command.unwrap_or_default();
    let what = format!("({why}, entry {at}: {} {command} on {})", entry.op, entry.namespace);
    let tells = matches!(entry.op, "i" | "d");
    Point { at: entry.ts, before: entries[at - 1].ts, tells, what }
}

/// Returns the position of an entry in the oplog.
pub(super) fn timestamp(entry: &RawDocument) -> Option<Timestamp> {
    entry.get_timestamp("ts").ok()
}

/// The parts of an entry that the choice looks at.
struct Entry<'a> {
    raw: &'a RawDocument,
    ts: Timestamp,
    op: &'a str,
    namespace: &'a str,
    /// The name of a command.
    command: Option<&'a str>,
}

impl<'a> Entry<'a> {
    fn read(raw: &'a RawDocument) -> Result<Self> {
        let ts = timestamp(raw).context("an entry without ts")?;
        let op = raw.get_str("op")?;
        let first = raw.get_document("o")?.iter().next().transpose()?;
        let command = first.map(|(name, _)| name.as_str()).filter(|_| op == "c");
        Ok(Self { raw, ts, op, namespace: raw.get_str("ns")?, command })
    }

    fn field(&self, name: &str) -> Option<bson::RawBsonRef<'a>> {
        self.command?;
        self.raw.get_document("o").ok()?.get(name).ok().flatten()
    }

    /// Returns the UUID of the entry's collection.
    fn ui(&self) -> Option<bson::RawBsonRef<'a>> {
        self.raw.get("ui").ok().flatten()
    }

    /// Returns true for a part of a transaction that a later entry commits.
    fn is_part(&self) -> bool {
        self.field("partialTxn").is_some()
    }

    /// Returns true for an entry that is neither a no-op nor one of the server's own notes. Such an
    /// entry mostly changes what is compared.
    fn is_of_users(&self) -> bool {
        self.op != "n" && !self.namespace.starts_with("config.")
    }

    fn collection(&self) -> &'a str {
        self.namespace.split_once('.').map_or("", |(_, name)| name)
    }
}
