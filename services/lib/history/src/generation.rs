//! Generations: a base, and what was applied on top of it.

use hindsight_oplog::raw::{Doc, DocWriter, Element, kind};
use hindsight_oplog::{OpTime, Timestamp};

use crate::HistoryError;
use crate::state::timestamp;

/// What a base says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseInfo {
    /// The name of the base.
    pub name: String,
    /// S: every entry that is visible after this time has to be applied on top of the base.
    pub start: Timestamp,
    /// E: the state is exact from this time on. Entries that are visible in (S, E] are applied in
    /// relaxed mode.
    pub exact_from: Timestamp,
    /// The version of the member from which the base was copied, such as `6.0.5`; `None` when
    /// nobody noted it.
    pub server_version: Option<String>,
}

/// How far a generation was applied. Progress moves only forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The last entry of the log that was applied.
    pub applied: OpTime,
    /// The last time whose state is complete: every unit that is visible up to this time is
    /// applied, and no transaction that was prepared up to this time is open. While a transaction
    /// is prepared, `through` is behind `applied`.
    pub through: Timestamp,
    /// The first entry of the oldest transaction that is still open. After a restart the log is
    /// read from here, and units that were applied before are skipped.
    pub oldest_open: Option<OpTime>,
}

impl Progress {
    /// Returns the progress at an entry when no transaction is open.
    pub fn at(applied: OpTime) -> Self {
        Progress { applied, through: applied.ts, oldest_open: None }
    }
}

/// One base and its restore window. Nothing of one generation is visible in another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// The number of the generation in this history.
    pub id: u32,
    /// What the base says about itself.
    pub base: BaseInfo,
    /// How far the generation was applied; `None` before the first commit.
    pub progress: Option<Progress>,
    /// Whether the base was loaded to its end.
    pub(crate) loaded: bool,
    pub(crate) hashes: Hashes,
    /// The horizon of the history when the record was read.
    pub(crate) kept_from: Timestamp,
    /// The later base that the generation rests on instead of its own.
    pub(crate) rests_on: Option<String>,
}

/// What is known about the hashes that the source gives of its documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hashes {
    /// No hash was checked yet.
    #[default]
    Unseen,
    /// A hash matched, so the algorithm is known.
    Known,
    /// No hash matched. The first hash that did not match is in the entry at this time.
    Unrecognised(Timestamp),
}

impl Generation {
    /// Returns the name of the base with which the log that the generation still needs begins: its
    /// own base, or a later one ([`crate::History::rest_on`]).
    pub fn rests_on(&self) -> &str {
        self.rests_on.as_deref().unwrap_or(&self.base.name)
    }

    /// Returns the last log entry that was applied; `None` before the first commit.
    pub fn applied(&self) -> Option<OpTime> {
        self.progress.map(|progress| progress.applied)
    }

    /// Returns the first and the last time whose state can be read; `None` while the relaxed window
    /// is open.
    pub fn window(&self) -> Option<(Timestamp, Timestamp)> {
        let from = self.base.exact_from.max(self.kept_from);
        let through = self.through();
        (self.loaded && through >= from).then_some((from, through))
    }

    /// Returns whether the state at a time can be read.
    pub fn holds(&self, at: Timestamp) -> bool {
        self.window().is_some_and(|(from, through)| from <= at && at <= through)
    }

    /// Returns the last time whose state is complete. A base alone (S = E) is complete at its own
    /// time.
    pub fn through(&self) -> Timestamp {
        self.progress.map_or(self.base.start, |progress| progress.through)
    }
}

pub(crate) fn encode(generation: &Generation) -> Vec<u8> {
    let time = |record: &mut DocWriter, name: &[u8], ts: Timestamp| {
        record.value(kind::TIMESTAMP, name, &ts.as_u64().to_le_bytes());
    };
    let mut record = DocWriter::new();
    record.string(b"base", &generation.base.name);
    time(&mut record, b"start", generation.base.start);
    time(&mut record, b"exactFrom", generation.base.exact_from);
    if let Some(version) = &generation.base.server_version {
        record.string(b"serverVersion", version);
    }
    record.value(kind::BOOL, b"loaded", &[u8::from(generation.loaded)]);
    match generation.hashes {
        Hashes::Unseen => {}
        Hashes::Known => drop(record.value(kind::BOOL, b"hashesKnown", &[1])),
        Hashes::Unrecognised(first) => time(&mut record, b"hashesUnrecognised", first),
    }
    if let Some(progress) = generation.progress {
        time(&mut record, b"through", progress.through);
        time(&mut record, b"applied", progress.applied.ts);
        record.int64(b"appliedTerm", progress.applied.term);
        if let Some(open) = progress.oldest_open {
            time(&mut record, b"open", open.ts);
            record.int64(b"openTerm", open.term);
        }
    }
    record.finish()
}

pub(crate) fn decode(id: u32, bytes: &[u8]) -> Result<Generation, HistoryError> {
    decode_known(id, bytes).ok_or_else(|| HistoryError::corrupt("a generation it cannot read"))
}

fn decode_known(id: u32, bytes: &[u8]) -> Option<Generation> {
    let record = Doc::new(bytes).ok()?;
    let field = |name: &[u8]| record.get(name).ok().flatten();
    let optime = |ts: &[u8], term: &[u8]| {
        Some(OpTime { ts: timestamp(record, ts)?, term: field(term)?.as_integer()? })
    };
    let base = BaseInfo {
        name: field(b"base")?.as_str()?.to_owned(),
        start: timestamp(record, b"start")?,
        exact_from: timestamp(record, b"exactFrom")?,
        server_version: field(b"serverVersion").and_then(Element::as_str).map(str::to_owned),
    };
    let progress = match optime(b"applied", b"appliedTerm") {
        None => None,
        Some(applied) => Some(Progress {
            applied,
            through: timestamp(record, b"through")?,
            oldest_open: optime(b"open", b"openTerm"),
        }),
    };
    let hashes = match timestamp(record, b"hashesUnrecognised") {
        Some(first) => Hashes::Unrecognised(first),
        None if field(b"hashesKnown").is_some() => Hashes::Known,
        None => Hashes::Unseen,
    };
    Some(Generation {
        id,
        base,
        progress,
        loaded: field(b"loaded")?.as_bool()?,
        hashes,
        kept_from: Timestamp::ZERO,
        rests_on: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_went_in() {
        let base = BaseInfo {
            name: "b".to_owned(),
            start: Timestamp::new(1, 2),
            exact_from: Timestamp::new(3, 4),
            server_version: Some("6.0.5".to_owned()),
        };
        let progress = Progress {
            applied: OpTime::new(9, 1, 5),
            through: Timestamp::new(8, 1),
            oldest_open: Some(OpTime::new(7, 3, 4)),
        };
        for (progress, hashes) in [
            (None, Hashes::Unseen),
            (Some(progress), Hashes::Known),
            (Some(Progress::at(OpTime::new(5, 5, -1))), Hashes::Unrecognised(Timestamp::new(5, 4))),
        ] {
            let base = base.clone();
            let generation = Generation {
                id: 3,
                base,
                progress,
                loaded: true,
                hashes,
                kept_from: Timestamp::ZERO,
                rests_on: None,
            };
            assert_eq!(decode(3, &encode(&generation)).expect("a record"), generation);
        }
        assert!(decode(3, b"junk").is_err());
    }

    #[test]
    fn a_window_opens_at_the_end_of_the_base() {
        let base = BaseInfo {
            name: String::new(),
            start: Timestamp::new(1, 1),
            exact_from: Timestamp::new(5, 1),
            server_version: None,
        };
        let mut generation = Generation {
            id: 1,
            base,
            progress: None,
            loaded: true,
            hashes: Hashes::Unseen,
            kept_from: Timestamp::ZERO,
            rests_on: None,
        };
        assert_eq!(generation.window(), None);
        generation.progress = Some(Progress::at(OpTime::new(4, 1, 1)));
        assert_eq!(generation.window(), None);
        generation.progress = Some(Progress::at(OpTime::new(6, 1, 1)));
        assert_eq!(generation.window(), Some((Timestamp::new(5, 1), Timestamp::new(6, 1))));
    }
}
