//! Measures answers that are as large as what they cover: scans, and differences between two times.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bson::doc;

use super::asking::{Asking, wait};
use super::caller::{Caller, Format, Scan};
use super::lane::N_BELOW;
use super::past::{LARGE, SMALL};
use super::spans::Span;
use crate::measure::{quantile, spread, verdict};
use crate::questions::{Api, connect};
use crate::writes::collection_name;

/// Documents per second that reach the client.
const GOAL_SCAN: f64 = 200_000.0;
/// How many times as much the same changes may cost in a collection of 50 times the size, and an
/// entry of a long span compared with an entry of a short span.
const GOAL_PROPORTION: f64 = 2.0;
const SCANS: usize = 3;
const SPANS: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// The most calls for the differences of one span. `PATIENCE` limits how long they go on.
const DIFFS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(6);
/// How many documents change in a small collection and in a large one.
const TOUCHED: usize = 5_000;

impl Asking {
    /// Measures scans of the large collection over every transport, with and without a filter.
    pub async fn scans(&self) -> Result<()> {
        let marks = self.past.marks();
        let (collection, at) = (collection_name(LARGE), marks[marks.len() / 2].time);
        let one_percent = doc! {"n": {"$lt": N_BELOW / 100}};
        for filter in [None, Some(&one_percent)] {
            let scan = Scan { collection: &collection, at, limit: 0, filter };
            let mut first = None;
            for caller in &mut self.callers().await? {
                let mut times = Vec::new();
                for _ in 0..SCANS {
                    let (scanned, took) = caller.scan(&scan).await?;
                    let same = *first.get_or_insert(scanned);
                    let is_lines = matches!(caller, Caller::Http(_, Format::Json));
                    ensure!(scanned.documents == same.documents, "{scanned:?}, not {same:?}");
                    ensure!(is_lines || scanned.bytes == same.bytes, "{scanned:?}, not {same:?}");
                    times.push(took);
                }
                times.sort_unstable();
                let documents = first.unwrap_or_default().documents;
                let rate = documents as f64 / quantile(&times, 1.0).as_secs_f64();
                let goal = match filter {
                    None => format!(" (goal {GOAL_SCAN:.0} {})", verdict(rate >= GOAL_SCAN)),
                    Some(_) => String::new(),
                };
                let kind = filter.map_or("scan", |_| "scan for a hundredth");
                let name = caller.name();
                println!(
                    "{kind}, {name}: {documents} documents, slowest of {SCANS} {rate:.0}/s{goal}"
                );
                println!("  {}", spread(&mut times));
            }
        }
        Ok(())
    }

    /// Measures differences of short and long spans.
    pub async fn spans(&self) -> Result<()> {
        let mut api = connect(self.url.clone()).await?;
        let marks = self.past.marks();
        for collection in [Some(LARGE), None] {
            let mut costs = Vec::new();
            for size in SPANS {
                let Some((span, entries)) =
                    Span::of_about(&mut api, &marks, collection, size).await?
                else {
                    continue;
                };
                let (_, took) = diff(&mut api, &span, entries).await?;
                let cost = took.as_secs_f64() / entries.max(1) as f64;
                if size > SPANS[0] {
                    costs.push(cost);
                }
            }
            if let [first, .., last] = costs[..] {
                let proportion = last / first;
                println!(
                    "  an entry of the longest span costs {proportion:.2} times one of {} (goal at most \
                     {GOAL_PROPORTION} {})",
                    SPANS[1],
                    verdict(proportion <= GOAL_PROPORTION)
                );
            }
        }
        Ok(())
    }

    /// Measures the same number of changes in a small collection and in a large one.
    pub async fn proportion(&mut self) -> Result<()> {
        // Each part of the large collection gets the same share.
        let count = TOUCHED.min(self.past.size(SMALL) / 2) / 10 * 10;
        let mut spans = Vec::new();
        for collection in [SMALL, LARGE] {
            let (from, to) = self.past.touch(collection, count).await?;
            spans.push((
                Span { collection: Some(collection), from, to },
                self.past.size(collection),
            ));
        }
        wait(&self.data).await?;
        let mut api = connect(self.url.clone()).await?;
        let mut costs = Vec::new();
        for (span, size) in spans {
            let entries = span.entries(&mut api).await?;
            println!("changes in a collection of {size} documents:");
            let (changes, took) = diff(&mut api, &span, entries).await?;
            ensure!(entries == count as u64, "{entries} entries of {count} updates");
            ensure!(changes == entries, "{changes} changes of {entries} documents");
            costs.push(took.as_secs_f64());
        }
        if let [small, large] = costs[..] {
            let proportion = large / small;
            let met = verdict(proportion <= GOAL_PROPORTION);
            println!(
                "  in the large one {proportion:.2} times (goal at most {GOAL_PROPORTION} {met})"
            );
        }
        Ok(())
    }
}

/// Returns how many changes there are, and the median of several times.
async fn diff(api: &mut Api, span: &Span, entries: u64) -> Result<(u64, Duration)> {
    let (mut times, mut counted, started) = (Vec::new(), None, Instant::now());
    while times.len() < DIFFS && (times.len() < 2 || started.elapsed() < PATIENCE) {
        let (changes, took) = span.changes(api).await?;
        ensure!(
            *counted.get_or_insert(changes) == changes,
            "{changes} changes, before {counted:?}"
        );
        times.push(took);
    }
    let (calls, changes) = (times.len(), counted.unwrap_or_default());
    // Some random updates go to the same document, but never most of them.
    ensure!(
        changes <= entries && changes >= entries / 10,
        "{changes} changes by {entries} entries"
    );
    let spread = spread(&mut times);
    let took = quantile(&times, 0.5);
    let each = took.as_secs_f64() * 1e6 / entries.max(1) as f64;
    let place = if span.collection.is_some() { "one collection" } else { "all collections" };
    println!(
        "difference of two times, {place}: {entries} entries between, {changes} changes, {calls} calls: {spread}; \
         {each:.1} µs an entry"
    );
    Ok((changes, took))
}
