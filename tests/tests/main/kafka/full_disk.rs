//! Tests a leader that has no space for what it derives from the log: the standby takes over.

use std::time::Instant;

use bson::{Document, doc};
use hindsight_log::SharedLog;
use hindsight_tests::SetOptions;
use hindsight_tests::hindsight::run_json;
use hindsight_tests::replica_set::last_timestamp;

use super::failover::wait_ready;
use super::services::Stage;
use super::*;
use crate::capture_checks::wait_durable;
use crate::disk_full::{PAGE, SmallDisk};

/// The leader waits 10 s, and the standby 4 s; the rest is for a busy machine.
const TAKEOVER: Duration = Duration::from_secs(35);

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_space_for_its_index_gives_way() -> Result<()> {
    let stage = Stage::new(1, SetOptions::members(1)).await?;
    let disk = SmallDisk::mount(&stage.path("one"), 48)?;
    // This leaves too little space for the store under the index to reserve its next 8 MiB.
    disk.fill((6 << 20) / PAGE)?;
    let mut one = stage.tailer("one").await?;
    run_json(&stage.path("one"), &["wait"]).await?.expect_success()?;
    let mut two = stage.tailer("two").await?;
    wait_ready(&two).await.context("the standby")?;
    let log = KafkaLog::open_reader(stage.options.clone()).await?;
    let before = log.observe().await?.epoch;
    let things = stage.set.client().await?.database("full").collection::<Document>("things");

    disk.fill(0)?;
    let full = Instant::now();
    for id in 0.. {
        things.insert_one(doc! {"_id": id}).await?;
        if log.end().await?.is_some_and(|end| end.header.epoch > before) {
            break;
        }
        anyhow::ensure!(full.elapsed() < TAKEOVER, "nobody took over:\n{}", one.stderr());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("the other one captured {:?} after the disk was full", full.elapsed());
    let last = last_timestamp(&stage.set.client().await?).await?;
    wait_durable(&stage.path("two"), last, TAKEOVER).await?;
    anyhow::ensure!(one.try_exit()?.is_none(), "it ended:\n{}", one.stderr());
    let (code, text) = one.page("/readyz").await?;
    anyhow::ensure!(code == 503 && text.contains("No space left"), "/readyz says {code} {text}");

    disk.free()?;
    wait_ready(&one).await.context("there is space again")?;
    anyhow::ensure!(log.observe().await?.epoch.0 == before.0 + 1, "they take turns");
    // Stop the standby first; otherwise it would take over once more.
    for tailer in [&mut one, &mut two] {
        let status = tailer.stop().await?;
        anyhow::ensure!(status.success(), "a tailer ended with {status}:\n{}", tailer.stderr());
    }
    stage.topic_equals_source("copied").await.map(drop)
}
