//! Two times, and what differs between them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::{RawDocument, Timestamp};
use hindsight_proto::v1 as api;

use super::draw::spelled;
use super::lane::Mark;
use crate::questions::{Api, get};
use crate::writes::{DATABASE, collection_name};

/// The number of changes of each answer that are compared with the documents at both times.
const COMPARED: usize = 5;

/// Everything after one time and up to another, in one collection or in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The number of the collection; `None` for all.
    pub collection: Option<u32>,
    /// The time after which the span begins.
    pub from: Timestamp,
    /// The last time of the span.
    pub to: Timestamp,
}

impl Span {
    /// Returns a span of about `entries` entries, from the middle of `marks` on, or `None` if fewer
    /// entries follow.
    pub fn in_the_middle(marks: &[Mark], collection: Option<u32>, entries: u64) -> Option<Self> {
        let wanted = |mark: &&Mark| collection.is_none_or(|it| it == mark.collection);
        let mut marks = marks.iter().skip(marks.len() / 2).filter(wanted);
        let (from, mut count) = (marks.next()?.time, 0);
        let end = marks.find(|mark| {
            count += u64::from(mark.writes);
            count >= entries
        });
        Some(Self { collection, from, to: end?.time })
    }

    /// Like [`Span::in_the_middle`], but also returns how many entries the span holds: at least
    /// half of `entries`. The writes of one command may lie on both sides of a bound.
    pub async fn of_about(
        api: &mut Api,
        marks: &[Mark],
        collection: Option<u32>,
        entries: u64,
    ) -> Result<Option<(Self, u64)>> {
        let mut wanted = entries;
        while let Some(span) = Self::in_the_middle(marks, collection, wanted) {
            let held = span.entries(api).await?;
            if held >= entries / 2 {
                return Ok(Some((span, held)));
            }
            wanted *= 2;
        }
        Ok(None)
    }

    fn ns(&self) -> String {
        match self.collection {
            Some(number) => format!("{DATABASE}.{}", collection_name(number)),
            None => format!("{DATABASE}.*"),
        }
    }

    /// Returns how many writes of the span the log holds.
    pub async fn entries(&self, api: &mut Api) -> Result<u64> {
        let time = |time| Some(api::TimeSpec { text: spelled(time), exclusive: false });
        let after = Timestamp { increment: self.from.increment + 1, ..self.from };
        let request = api::SearchEntriesRequest {
            ns: self.ns(),
            op: ["i", "u", "d"].map(str::to_owned).to_vec(),
            from: time(after),
            to: time(self.to),
            ..Default::default()
        };
        let mut answers = api.search_entries(request).await?.into_inner();
        let mut entries = 0;
        while let Some(answer) = answers.message().await? {
            entries += answer.entries.len() as u64;
        }
        Ok(entries)
    }

    /// Returns how many documents changed, and how long the answer took.
    pub async fn changes(&self, api: &mut Api) -> Result<(u64, Duration)> {
        let time = |time| Some(api::TimeSpec { text: spelled(time), exclusive: false });
        let (from, to) = (time(self.from), time(self.to));
        let request = api::DiffTimesRequest { ns: self.ns(), from, to, ..Default::default() };
        let asked = Instant::now();
        let mut answers = api.diff_times(request).await?.into_inner();
        let (mut changes, mut some) = (0, Vec::new());
        while let Some(answer) = answers.message().await? {
            changes += answer.changes.len() as u64;
            if some.len() < COMPARED {
                some.extend(answer.changes.into_iter().take(COMPARED));
            }
        }
        let took = asked.elapsed();
        for change in some {
            self.check(api, &change).await?;
        }
        Ok((changes, took))
    }

    /// Checks that the documents before and after are those of both times, and that they differ.
    async fn check(&self, api: &mut Api, change: &api::Change) -> Result<()> {
        let id = RawDocument::from_bytes(&change.id)?.get_object_id("_id")?;
        let collection = change.ns.strip_prefix(DATABASE).and_then(|it| it.strip_prefix('.'));
        let collection = collection.context("another database")?;
        for (side, at) in [(&change.before, self.from), (&change.after, self.to)] {
            let (there, _) = get(api, collection, id, spelled(at)).await?;
            let there = there.as_ref().map(|document| document.as_bytes());
            ensure!(side.as_deref() == there, "{id} in {collection} was not so at {at}");
        }
        ensure!(change.before != change.after, "{id} in {collection} is no change");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_holds_what_follows_its_start() {
        let at = |time| Timestamp { time, increment: 1 };
        let mark = |time| Mark { collection: time % 2, time: at(time), writes: 10 };
        let marks: Vec<Mark> = (0..20).map(mark).collect();
        let span = |collection, from, to| Some(Span { collection, from: at(from), to: at(to) });
        assert_eq!(Span::in_the_middle(&marks, None, 20), span(None, 10, 12));
        assert_eq!(Span::in_the_middle(&marks, Some(1), 11), span(Some(1), 11, 15));
        assert_eq!(Span::in_the_middle(&marks, None, 90), span(None, 10, 19));
        assert_eq!(Span::in_the_middle(&marks, None, 91), None);
    }
}
