//! Many callers ask at the same time, each as soon as its last question is answered, while the
//! source is written to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bson::Timestamp;
use hindsight_proto::v1::GetStatusRequest;
use hindsight_tests::HindsightProcess;
use tokio::task::JoinSet;

use super::caller::{Caller, Format, Scan};
use super::draw::Draw;
use super::past::Past;
use crate::questions::connect;

/// The number of callers.
pub const CALLERS: u64 = 64;
/// The interval of writes at the source. Each tick makes five times 20 writes.
const TICK: Duration = Duration::from_millis(100);
const LANES_PER_TICK: usize = 5;
const LOOK_EVERY: Duration = Duration::from_secs(1);
const SCANNED: u64 = 1000;
/// The most failures that are kept to be shown; all are counted.
const SHOWN: usize = 5;
/// How long a caller waits after a failure, because a refusal is not a reason to ask faster.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// What is asked, and how often in a hundred questions.
pub const MIX: [(&str, u32); 5] =
    [("get", 70), ("versions", 15), ("find by _id", 5), ("timeline", 5), ("scan of 1000", 5)];

/// What all callers saw.
#[derive(Debug, Default)]
pub struct Tally {
    /// The times of the answers, for each question of [`MIX`].
    pub times: [Vec<Duration>; MIX.len()],
    /// How many questions failed.
    pub failed: u64,
    /// The messages of the first failures.
    pub failures: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        for (all, some) in self.times.iter_mut().zip(other.times) {
            all.extend(some);
        }
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.failures.truncate(SHOWN);
    }

    fn fail(&mut self, failure: String) {
        self.failed += 1;
        if self.failures.len() < SHOWN {
            self.failures.push(failure);
        }
    }
}

/// What was seen of the process meanwhile, once each second.
#[derive(Debug, Default)]
pub struct Watched {
    /// The highest capture lag that the process reported, in whole seconds of the source's clock.
    pub capture_lag: u64,
    /// The highest apply lag that the process reported, in whole seconds of the source's clock.
    pub apply_lag: u64,
    /// The highest age of an acknowledged write that the process did not yet report as durable.
    pub not_durable: Duration,
    /// The resident memory in bytes, once each second.
    pub resident: Vec<u64>,
}

/// The results of a run.
#[derive(Debug)]
pub struct Load {
    /// What the callers saw.
    pub tally: Tally,
    /// What was seen of the process.
    pub watched: Watched,
    /// How many writes were made at the source.
    pub written: u64,
    /// How long the run took.
    pub elapsed: Duration,
}

/// Writes that are not yet known to be durable, with the time of their acknowledgement.
type Unseen = Arc<Mutex<VecDeque<(Timestamp, Instant)>>>;

/// Runs callers and writers for `length`.
pub async fn run(
    up: &HindsightProcess,
    url: &str,
    past: &mut Past,
    length: Duration,
) -> Result<Load> {
    let draw = past.draw()?;
    let started = Instant::now();
    let end = started + length;
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        callers.spawn(call(number, url.to_owned(), draw.another(number), end));
    }
    let unseen = Unseen::default();
    let writing = write(past, &unseen, end);
    let (written, watched) = tokio::try_join!(writing, watch(up, url, &unseen, end))?;
    let mut tally = Tally::default();
    while let Some(one) = callers.join_next().await {
        tally.add(one?);
    }
    Ok(Load { tally, watched, written, elapsed: started.elapsed() })
}

async fn call(number: u64, url: String, mut draw: Draw, end: Instant) -> Tally {
    let (mut tally, mut caller) = (Tally::default(), None);
    while Instant::now() < end {
        let kind = kind_of(draw.below(100));
        match ask(number, &url, &mut caller, &mut draw, kind).await {
            Ok(took) => tally.times[kind].push(took),
            Err(error) => {
                tally.fail(format!("{}: {error:#}", MIX[kind].0));
                // Drop the connection: it may still hold a part of the answer, which belongs to no
                // question.
                caller = None;
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
    tally
}

/// Returns the place in [`MIX`] for a number below 100.
fn kind_of(drawn: u32) -> usize {
    let mut below = 0;
    let ends = MIX.map(|(_, share)| {
        below += share;
        below
    });
    ends.iter().position(|end| drawn < *end).expect("the shares make a hundred")
}

/// Connects a caller. Half of the callers use gRPC, and a quarter use each format over HTTP.
async fn open(number: u64, url: &str) -> Result<Caller> {
    match number % 4 {
        0 | 1 => Caller::grpc(url).await,
        2 => Caller::http(url, Format::Json).await,
        _ => Caller::http(url, Format::Bson).await,
    }
}

async fn ask(
    number: u64,
    url: &str,
    caller: &mut Option<Caller>,
    draw: &mut Draw,
    kind: usize,
) -> Result<Duration> {
    let caller = match caller {
        Some(caller) => caller,
        None => caller.insert(open(number, url).await?),
    };
    let (collection, id) = draw.document();
    Ok(match kind {
        0 => caller.get(&collection, id, draw.time()).await?.1,
        1 => caller.versions(&collection, id).await?.1,
        2 => caller.find(&collection, id, 100).await?.1,
        3 => caller.timeline().await?.1,
        _ => {
            let (collection, at) = (draw.collection(), draw.time());
            let scan = Scan { collection: &collection, at, limit: SCANNED, filter: None };
            caller.scan(&scan).await?.1
        }
    })
}

async fn write(past: &mut Past, unseen: &Unseen, end: Instant) -> Result<u64> {
    let (mut ticks, mut written) = (tokio::time::interval(TICK), 0);
    while Instant::now() < end {
        ticks.tick().await;
        let (made, time) = past.change_some(LANES_PER_TICK).await?;
        written += u64::from(made);
        unseen.lock().unwrap_or_else(PoisonError::into_inner).push_back((time, Instant::now()));
    }
    Ok(written)
}

async fn watch(up: &HindsightProcess, url: &str, unseen: &Unseen, end: Instant) -> Result<Watched> {
    let mut api = connect(url.to_owned()).await?;
    let (mut ticks, mut watched) = (tokio::time::interval(LOOK_EVERY), Watched::default());
    while Instant::now() < end {
        ticks.tick().await;
        watched.resident.push(up.resident_bytes()?);
        let status = api.get_status(GetStatusRequest {}).await?.into_inner();
        let lags = status.lags_seconds.unwrap_or_default();
        let lag = |lag: Option<u32>| lag.map(u64::from).context("no lag is known");
        watched.capture_lag = watched.capture_lag.max(lag(lags.majority_to_durable)?);
        watched.apply_lag = watched.apply_lag.max(lag(lags.durable_to_applied)?);
        let durable = status.positions.unwrap_or_default().durable;
        let durable = durable.context("nothing is durable")?;
        let age = age_of_oldest(unseen, Timestamp { time: durable.t, increment: durable.i });
        watched.not_durable = watched.not_durable.max(age);
    }
    Ok(watched)
}

fn age_of_oldest(unseen: &Unseen, durable: Timestamp) -> Duration {
    let mut unseen = unseen.lock().unwrap_or_else(PoisonError::into_inner);
    while unseen.front().is_some_and(|(time, _)| *time <= durable) {
        unseen.pop_front();
    }
    unseen.front().map_or(Duration::ZERO, |(_, acknowledged)| acknowledged.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_a_question() {
        let mut counts = [0; MIX.len()];
        (0..100).for_each(|drawn| counts[kind_of(drawn)] += 1);
        assert_eq!(counts, MIX.map(|(_, share)| share));
    }

    #[test]
    fn only_what_is_not_durable_is_late() {
        let at = |increment| Timestamp { time: 1, increment };
        let long_ago =
            Instant::now().checked_sub(Duration::from_secs(60)).expect("the machine is up");
        let unseen = Unseen::default();
        unseen
            .lock()
            .expect("nobody panicked")
            .extend([(at(1), long_ago), (at(2), Instant::now())]);
        assert!(age_of_oldest(&unseen, at(0)) >= Duration::from_secs(60));
        assert!(age_of_oldest(&unseen, at(1)) < Duration::from_secs(30));
        assert_eq!(age_of_oldest(&unseen, at(2)), Duration::ZERO);
    }
}
