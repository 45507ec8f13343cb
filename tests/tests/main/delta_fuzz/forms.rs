//! Records the kinds of updates that were seen: a fuzz test that never met a kind proves nothing
//! about it.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use hindsight_oplog::raw::{Doc, kind};
use hindsight_oplog::update::Update;

/// Every part of the grammar that the server under test writes, and combinations that are handled
/// separately.
const EXPECTED: [&str; 15] = [
    "replacement",
    "delta",
    "section d",
    "section u",
    "section i",
    "section s",
    "section s of the empty name",
    "i moves a field",
    "array l",
    "array u",
    "array s",
    "array l, u and s",
    "array u past the end",
    "array in array",
    "document in array",
];
/// The kinds below 5.0, where pipelines are logged as replacements.
const EXPECTED_OF_4_4: [&str; 2] = ["replacement", "operators"];
/// How often each kind must occur at least, in 100,000 entries.
const AT_LEAST: u64 = 20;
const OF_ENTRIES: u64 = 100_000;

#[derive(Default)]
pub(super) struct Forms {
    entries: u64,
    refused: usize,
    without_effect: usize,
    seen: BTreeMap<&'static str, u64>,
}

impl Forms {
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Counts statements that led to no entry.
    pub(super) fn refused(&mut self, refused: usize, without_effect: usize) {
        self.refused += refused;
        self.without_effect += without_effect;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.entries += other.entries;
        self.refused(other.refused, other.without_effect);
        for (form, count) in &other.seen {
            *self.seen.entry(form).or_default() += count;
        }
    }

    fn see(&mut self, form: &'static str) {
        *self.seen.entry(form).or_default() += 1;
    }

    /// Counts one entry's `o`, which is about to be applied to `pre`.
    pub(super) fn count(&mut self, pre: Doc<'_>, o: Doc<'_>) -> Result<()> {
        self.entries += 1;
        match Update::parse(o)? {
            Update::Replacement(_) => self.see("replacement"),
            Update::Delta(diff) => {
                self.see("delta");
                self.count_document(Some(pre), diff)?;
            }
            Update::Modifier(_) => self.see("operators"),
        }
        Ok(())
    }

    fn count_document(&mut self, pre: Option<Doc<'_>>, diff: Doc<'_>) -> Result<()> {
        for section in diff.elements() {
            let section = section?;
            let content = section.as_doc().context("a section is not a document")?;
            match section.name {
                b"d" => self.see("section d"),
                b"u" => self.see("section u"),
                b"i" => {
                    self.see("section i");
                    for field in content.elements() {
                        if pre.map(|pre| pre.get(field?.name)).transpose()?.flatten().is_some() {
                            self.see("i moves a field");
                        }
                    }
                }
                [b's', name @ ..] => {
                    self.see("section s");
                    if name.is_empty() {
                        self.see("section s of the empty name");
                    }
                    let of = pre.map(|pre| pre.get(name)).transpose()?.flatten();
                    self.count_either(of.and_then(|of| Doc::new(of.value).ok()), content, false)?;
                }
                other => bail!("section {}", String::from_utf8_lossy(other)),
            }
        }
        Ok(())
    }

    /// Counts a subdiff: of a document, or of an array, which starts with `a: true`.
    fn count_either(&mut self, pre: Option<Doc<'_>>, diff: Doc<'_>, in_array: bool) -> Result<()> {
        let is_array = diff.first()?.is_some_and(|f| f.name == b"a" && f.kind == kind::BOOL);
        if in_array {
            self.see(if is_array { "array in array" } else { "document in array" });
        }
        if is_array { self.count_array(pre, diff) } else { self.count_document(pre, diff) }
    }

    fn count_array(&mut self, pre: Option<Doc<'_>>, diff: Doc<'_>) -> Result<()> {
        let (mut l, mut u, mut s) = (false, false, false);
        for element in diff.elements().skip(1) {
            let element = element?;
            let of = |index: &[u8]| Ok::<_, anyhow::Error>(pre.map(|p| p.get(index)).transpose()?);
            match element.name {
                b"l" => l = true,
                [b'u', index @ ..] => {
                    u = true;
                    if of(index)?.flatten().is_none() {
                        self.see("array u past the end");
                    }
                }
                [b's', index @ ..] => {
                    s = true;
                    let content = element.as_doc().context("a subdiff is not a document")?;
                    let of = of(index)?.flatten().and_then(|of| Doc::new(of.value).ok());
                    self.count_either(of, content, true)?;
                }
                other => bail!("array section {}", String::from_utf8_lossy(other)),
            }
        }
        let forms = [(l, "array l"), (u, "array u"), (s, "array s")];
        forms.into_iter().filter(|(seen, _)| *seen).for_each(|(_, form)| self.see(form));
        if l && u && s {
            self.see("array l, u and s");
        }
        Ok(())
    }

    pub(super) fn ensure_all_were_seen(&self, version: (i32, i32)) -> Result<()> {
        let least = (self.entries * AT_LEAST / OF_ENTRIES).max(1);
        let expected = if version >= (5, 0) { &EXPECTED[..] } else { &EXPECTED_OF_4_4 };
        if version >= (5, 0) {
            ensure!(!self.seen.contains_key("operators"), "the server wrote operators:\n{self}");
        }
        for form in expected {
            let seen = self.seen.get(form).copied().unwrap_or_default();
            ensure!(seen >= least, "{form} was seen {seen} times, not {least}:\n{self}");
        }
        Ok(())
    }
}

impl fmt::Display for Forms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} entries ({} statements refused, {} without effect)",
            self.entries, self.refused, self.without_effect
        )?;
        self.seen.iter().try_for_each(|(form, count)| write!(f, "\n  {form}: {count}"))
    }
}
