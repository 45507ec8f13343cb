//! One caller asks one question after another: about documents, their versions and the timeline.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};

use hindsight_tests::hindsight::run_json;

use super::caller::{Caller, Format};
use super::past::Past;
use crate::measure::{quantile, spread, verdict};

const GOAL_GET: Duration = Duration::from_millis(5);
const GOAL_VERSIONS: Duration = Duration::from_millis(10);
const GOAL_TIMELINE: Duration = Duration::from_millis(500);
const TIMELINES: usize = 20;

/// Returns when everything written until now is durable and applied.
pub async fn wait(data: &Path) -> Result<()> {
    run_json(data, &["wait", "--timeout", "280s"]).await?.expect_success()?;
    Ok(())
}

/// A process that no other caller asks, with a past that nobody writes to.
#[derive(Debug)]
pub struct Asking {
    /// The address of the API.
    pub url: String,
    /// The data directory of the process.
    pub data: PathBuf,
    /// The id of the process.
    pub pid: u32,
    /// The past to ask about.
    pub past: Past,
}

/// Prints a line with the goal for the 99th percentile.
pub(super) fn say(what: &str, times: &mut [Duration], goal: Duration) {
    let spread = spread(times);
    let met = verdict(quantile(times, 0.99) <= goal);
    println!("{what}: {spread} (goal p99 at most {goal:?} {met})");
}

impl Asking {
    pub(super) async fn callers(&self) -> Result<[Caller; 3]> {
        let url = &self.url;
        let (json, bson) =
            (Caller::http(url, Format::Json).await?, Caller::http(url, Format::Bson).await?);
        Ok([Caller::grpc(url).await?, json, bson])
    }

    /// Measures `get` over every transport.
    pub async fn gets(&self, calls: usize) -> Result<()> {
        for caller in &mut self.callers().await? {
            let (mut draw, mut found) = (self.past.draw()?, 0);
            let mut times = Vec::with_capacity(calls);
            let warm_up = calls / 20;
            for call in 0..warm_up + calls {
                let (collection, id) = draw.document();
                let (there, took) = caller.get(&collection, id, draw.time()).await?;
                if call >= warm_up {
                    times.push(took);
                    found += usize::from(there);
                }
            }
            ensure!(found > calls / 2, "only {found} of {calls} documents were found");
            let what = format!("get, {}: {calls} calls, {found} found a document", caller.name());
            say(&what, &mut times, GOAL_GET);
        }
        Ok(())
    }

    /// Measures the versions of a document over gRPC and JSON.
    pub async fn versions(&self, calls: usize) -> Result<()> {
        let [grpc, json, _] = self.callers().await?;
        for mut caller in [grpc, json] {
            let (mut draw, mut all, mut most) = (self.past.draw()?, 0, 0);
            let mut times = Vec::with_capacity(calls);
            for _ in 0..calls {
                let (collection, id) = draw.document();
                let (versions, took) = caller.versions(&collection, id).await?;
                times.push(took);
                all += versions;
                most = most.max(versions);
            }
            let mean = all as f64 / calls as f64;
            let name = caller.name();
            let what =
                format!("versions, {name}: {calls} calls, {mean:.1} a document, most {most}");
            say(&what, &mut times, GOAL_VERSIONS);
        }
        Ok(())
    }

    /// Measures the timeline of everything over gRPC and JSON.
    pub async fn timelines(&self) -> Result<()> {
        let [grpc, json, _] = self.callers().await?;
        for mut caller in [grpc, json] {
            let mut times = Vec::new();
            for _ in 0..TIMELINES {
                let (counted, took) = caller.timeline().await?;
                let written = self.past.written();
                ensure!(counted == written, "the timeline counts {counted} of {written} writes");
                times.push(took);
            }
            let what = format!("timeline of everything, {}: {TIMELINES} calls", caller.name());
            say(&what, &mut times, GOAL_TIMELINE);
        }
        Ok(())
    }
}
