//! Tests several tailers under load while brokers and tailers die: what is read back is the
//! source's oplog, and capture continues soon.
//!
//! `HINDSIGHT_TEST_TAILER_KILLS` sets how often a tailer is killed (default 50).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bson::{Document, doc};
use hindsight_log::SharedLog;
use hindsight_segment::WriterEpoch;
use hindsight_tests::process::Signal;
use hindsight_tests::{HindsightProcess, MongodOptions, SetOptions};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::services::Stage;
use super::*;
use crate::settings::setting;

/// The longest time from the death of the leader to the first durable entry of the next leader.
const TAKEOVER: Duration = Duration::from_secs(10);
const DEFAULT_KILLS: usize = 50;
const WRITERS: usize = 4;
const BATCH: i64 = 50;

/// Two tailers; the leader comes first.
struct Pair<'a> {
    stage: &'a Stage,
    log: KafkaLog,
    tailers: VecDeque<(&'static str, HindsightProcess)>,
    slowest: Duration,
}

impl<'a> Pair<'a> {
    async fn start(stage: &'a Stage) -> Result<Self> {
        let mut tailers = VecDeque::from([("one", stage.tailer("one").await?)]);
        let log = open_when_there(stage).await?;
        tailers.push_back(("two", stage.tailer("two").await?));
        let pair = Self { stage, log, tailers, slowest: Duration::ZERO };
        pair.wait_written_by(WriterEpoch(1), Instant::now()).await?;
        Ok(pair)
    }

    /// Waits until a segment of that epoch or a later epoch is durable. Returns how long that took
    /// since `since`.
    async fn wait_written_by(&self, epoch: WriterEpoch, since: Instant) -> Result<Duration> {
        loop {
            if let Ok(Some(end)) = self.log.end().await
                && end.header.epoch >= epoch
            {
                return Ok(since.elapsed());
            }
            let messages = || self.tailers.iter().map(|(_, it)| it.stderr()).collect::<String>();
            anyhow::ensure!(since.elapsed() < 6 * TAKEOVER, "nobody took over:\n{}", messages());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Checks that the standby writes soon, after something happened to the leader.
    async fn must_take_over(&mut self, since: Instant, before: WriterEpoch) -> Result<()> {
        let took = self.wait_written_by(WriterEpoch(before.0 + 1), since).await?;
        self.slowest = self.slowest.max(took);
        self.tailers.rotate_left(1);
        Ok(())
    }

    async fn epoch(&self) -> Result<WriterEpoch> {
        Ok(self.log.observe().await?.epoch)
    }

    /// Kills the leader with SIGKILL, and starts it again on the same data.
    async fn kill_leader(&mut self) -> Result<()> {
        let before = self.epoch().await?;
        self.tailers[0].1.kill()?;
        self.must_take_over(Instant::now(), before).await?;
        self.restart(1).await
    }

    async fn kill_standby(&mut self) -> Result<()> {
        self.tailers[1].1.kill()?;
        self.restart(1).await
    }

    async fn restart(&mut self, index: usize) -> Result<()> {
        let name = self.tailers[index].0;
        self.tailers[index].1 = self.stage.tailer(name).await?;
        Ok(())
    }

    /// Stops the leader until its epoch has passed, and wakes it up: what it still sends does not
    /// count.
    async fn wake_a_zombie(&mut self) -> Result<()> {
        let before = self.epoch().await?;
        self.tailers[0].1.signal(Signal::Stop)?;
        self.must_take_over(Instant::now(), before).await?;
        wait_ready(&self.tailers[0].1).await.context("the one that took over")?;
        let zombie = &mut self.tailers[1].1;
        zombie.signal(Signal::Continue)?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        anyhow::ensure!(zombie.try_exit()?.is_none(), "the zombie ended:\n{}", zombie.stderr());
        wait_ready(zombie).await.context("the zombie does not stand by")
    }
}

/// Waits until `/readyz` says that the tailer is ready.
pub(super) async fn wait_ready(tailer: &HindsightProcess) -> Result<()> {
    let since = Instant::now();
    loop {
        let (code, text) = tailer.page("/readyz").await?;
        if code == 200 {
            return Ok(());
        }
        anyhow::ensure!(since.elapsed() < 3 * TAKEOVER, "/readyz says {code} {text}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn open_when_there(stage: &Stage) -> Result<KafkaLog> {
    loop {
        match KafkaLog::open_reader(stage.options.clone()).await {
            Err(LogError::NotFound { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
            opened => return Ok(opened?),
        }
    }
}

/// Writes batches of small documents until told to stop. Returns how many documents were written.
async fn write_until(
    client: mongodb::Client,
    number: usize,
    stopped: watch::Receiver<bool>,
) -> Result<i64> {
    let collection = client.database("load").collection::<Document>(&format!("c{number}"));
    let mut written = 0;
    while !*stopped.borrow() {
        let ids = written..written + BATCH;
        let documents = ids.map(|id| doc! {"_id": id, "text": "x".repeat(120)});
        collection.insert_many(documents).await?;
        written += BATCH;
        // All writers together make 10,000 writes per second, if the machine can.
        tokio::time::sleep(Duration::from_millis(1000 * WRITERS as u64 * BATCH as u64 / 10_000))
            .await;
    }
    Ok(written)
}

struct Load {
    stop: watch::Sender<bool>,
    writers: JoinSet<Result<i64>>,
    since: Instant,
}

impl Load {
    async fn start(stage: &Stage) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let client = stage.set.client().await?;
        let mut writers = JoinSet::new();
        for number in 0..WRITERS {
            writers.spawn(write_until(client.clone(), number, stopped.clone()));
        }
        Ok(Self { stop, writers, since: Instant::now() })
    }

    async fn stop(mut self) -> Result<i64> {
        self.stop.send(true)?;
        let mut written = 0;
        while let Some(outcome) = self.writers.join_next().await {
            written += outcome??;
        }
        let rate = written as f64 / self.since.elapsed().as_secs_f64();
        println!("{written} documents written, {rate:.0} a second");
        Ok(written)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_and_tailers_die_and_nothing_is_lost() -> Result<()> {
    let kills = setting("HINDSIGHT_TEST_TAILER_KILLS", DEFAULT_KILLS)?;
    // The oplog has room for everything that is written, because the comparison needs all of it.
    let set = SetOptions::members(1).mongod(|m: MongodOptions| m.oplog_mb(8_000));
    let mut stage = Stage::new(3, set).await?;

    // Kill each broker in turn.
    let load = {
        let pair = Pair::start(&stage).await?;
        let tailers = pair.tailers;
        let load = Load::start(&stage).await?;
        for broker in 0..3 {
            stage.cluster.kill(broker)?;
            tokio::time::sleep(Duration::from_secs(8)).await;
            stage.cluster.restart(broker).await?;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        for (_, mut tailer) in tailers {
            let status = tailer.stop().await?;
            anyhow::ensure!(status.success(), "a tailer ended with {status}:\n{}", tailer.stderr());
        }
        load
    };
    // Then kill the tailers.
    let mut pair = Pair::start(&stage).await?;
    pair.put_leader_first().await?;
    for kill in 0..kills {
        pair.kill_leader().await.with_context(|| format!("kill {kill}"))?;
        if kill % 10 == 0 {
            pair.kill_standby().await?;
            pair.wake_a_zombie().await.context("a zombie")?;
        }
    }
    println!("{kills} kills; the slowest takeover took {:?}", pair.slowest);
    anyhow::ensure!(pair.slowest <= TAKEOVER, "a takeover took {:?}", pair.slowest);
    let written = load.stop().await?;
    let last = hindsight_tests::replica_set::last_timestamp(&stage.set.client().await?).await?;
    crate::capture_checks::wait_durable(&stage.path("one"), last, Duration::from_secs(60)).await?;
    println!("{:?}", pair.log.ignored());
    let log = Arc::new(pair.log);
    for (_, mut tailer) in pair.tailers {
        let status = tailer.stop().await?;
        anyhow::ensure!(status.success(), "a tailer ended with {status}:\n{}", tailer.stderr());
    }
    anyhow::ensure!(log.observe().await?.has_resigned, "the last leader did not resign");
    let compared = stage.topic_equals_source("copied").await?;
    println!("{compared} entries equal the source, once each");
    anyhow::ensure!(compared as i64 > written, "{compared} entries for {written} documents");
    Ok(())
}

impl Pair<'_> {
    async fn put_leader_first(&mut self) -> Result<()> {
        let since = Instant::now();
        loop {
            let leader = self.log.observe().await?;
            let leads = |(_, tailer): &(_, HindsightProcess)| {
                leader.name.contains(&format!("process {} ", tailer.pid()))
            };
            if let Some(index) = self.tailers.iter().position(leads) {
                self.tailers.rotate_left(index);
                self.wait_written_by(leader.epoch, since).await?;
                return Ok(());
            }
            anyhow::ensure!(
                since.elapsed() < 2 * TAKEOVER,
                "{} leads, none of the two",
                leader.name
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
