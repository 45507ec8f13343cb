//! Tests an outage of all brokers: capture waits, says why, and catches up.
//!
//! `HINDSIGHT_TEST_OUTAGE_SECONDS` sets how long the outage lasts (default 60; five minutes are
//! promised).

use std::time::Instant;

use bson::{Document, doc};
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{MongodOptions, SetOptions};

use super::services::Stage;
use super::*;
use crate::capture_checks::wait_durable;
use crate::settings::setting;

const MOST_RESIDENT: u64 = 512 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_brokers_is_waited_out() -> Result<()> {
    let seconds = setting("HINDSIGHT_TEST_OUTAGE_SECONDS", 60)?;
    let set = SetOptions::members(1).mongod(|m: MongodOptions| m.oplog_mb(4_000));
    let mut stage = Stage::new(1, set).await?;
    let mut tailer = stage.tailer("tailer").await?;
    let client = stage.set.client().await?;
    let things = client.database("outage").collection::<Document>("things");
    things.insert_one(doc! {"_id": -1}).await?;
    wait_durable(&stage.path("tailer"), last_timestamp(&client).await?, Duration::from_secs(30))
        .await?;

    stage.cluster.kill(0)?;
    let down = Instant::now();
    let (mut written, mut peak, mut told) = (0i64, 0, None);
    while down.elapsed() < Duration::from_secs(seconds) {
        // This is more than all queues hold.
        let documents =
            (written..written + 500).map(|id| doc! {"_id": id, "text": "y".repeat(500)});
        things.insert_many(documents).await?;
        written += 500;
        peak = peak.max(tailer.resident_bytes()?);
        let (alive, _) = tailer.page("/healthz").await?;
        anyhow::ensure!(alive == 200, "liveness fails for an outage of the log: {alive}");
        let (ready, text) = tailer.page("/readyz").await?;
        if ready == 503 && told.is_none() {
            anyhow::ensure!(text.contains("kafka topic"), "/readyz does not say why: {text}");
            told = Some(down.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!(
        "{written} documents during {seconds} s; told after {told:?}; peak {} MiB",
        peak >> 20
    );
    anyhow::ensure!(told.is_some_and(|told| told < Duration::from_secs(15)), "told after {told:?}");
    anyhow::ensure!(peak <= MOST_RESIDENT, "{peak} bytes resident");

    stage.cluster.restart(0).await?;
    let last = last_timestamp(&client).await?;
    let took = wait_durable(&stage.path("tailer"), last, Duration::from_secs(120)).await?;
    println!("caught up {took:?} after the broker was back");
    let (ready, text) = tailer.page("/readyz").await?;
    anyhow::ensure!(ready == 200, "all is well, and /readyz says {ready} {text}");
    anyhow::ensure!(tailer.stop().await?.success(), "{}", tailer.stderr());
    let compared = stage.topic_equals_source("copied").await?;
    anyhow::ensure!(compared as i64 > written, "{compared} entries for {written} documents");
    Ok(())
}
