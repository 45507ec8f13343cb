//! Tests that a write that only a partitioned primary has is rolled back and is never in the log
//! (I2).

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bson::{Document, doc};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions, dbhash};
use mongodb::Client;
use mongodb::options::WriteConcern;

use crate::capture_checks::{
    equal_to_oplog, restores_exactly, status, stored_entries, wait_durable,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// A text that occurs in no other entry.
const LOST: &str = "acknowledged by one member only";
const KEPT: &str = "acknowledged by a majority";

async fn write(client: &Client, id: i32, text: &str, concern: WriteConcern) -> Result<()> {
    let orders = client.database("shop").collection::<Document>("orders");
    orders.insert_one(doc! {"_id": id, "text": text}).write_concern(concern).await?;
    Ok(())
}

async fn holds_lost(client: &Client) -> Result<bool> {
    let orders = client.database("shop").collection::<Document>("orders");
    Ok(orders.count_documents(doc! {"text": LOST}).await? > 0)
}

/// Waits until `up` reads this member without an error.
async fn wait_read_from(data: &Path, address: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = status(data).await?;
        let errors = now["errors"].as_array().map_or(0, Vec::len);
        if now["member"] == *address && errors == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{address} is not read within {PATIENCE:?}: {now:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_back_write_is_never_in_the_log() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(3)).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    let old_primary = set.member_client(0).await?;
    write(&old_primary, 1, KEPT, WriteConcern::majority()).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;

    // The primary is alone, but does not know this for a moment.
    set.kill_member(1)?;
    set.kill_member(2)?;
    let journaled = WriteConcern::builder().w(mongodb::options::Acknowledgment::Nodes(1));
    write(&old_primary, 2, LOST, journaled.journal(true).build()).await?;
    let lost_at = last_timestamp(&old_primary).await?;
    // The primary steps down to a secondary, whose oplog holds the write and which is the only
    // member left to read.
    wait_read_from(&data, &set.server(0).address()).await?;
    ensure!(last_timestamp(&old_primary).await? >= lost_at, "the write is not in its oplog");
    tokio::time::sleep(Duration::from_secs(2)).await;
    set.kill_member(0)?;

    set.restart_member(1).await?;
    set.restart_member(2).await?;
    let primary = set.wait_for_primary(PATIENCE).await?;
    let client = set.member_client(primary).await?;
    write(&client, 3, KEPT, WriteConcern::majority()).await?;
    wait_durable(&data, last_timestamp(&client).await?, PATIENCE).await?;
    set.restart_member(0).await?;
    set.wait_replicated().await?;
    for member in 0..set.len() {
        let lost = holds_lost(&set.member_client(member).await?).await?;
        ensure!(!lost, "member {member} did not roll the write back: the test tests nothing");
    }

    let primary = set.wait_for_primary(PATIENCE).await?;
    let client = set.member_client(primary).await?;
    write(&client, 4, KEPT, WriteConcern::majority()).await?;
    let held = dbhash::snapshot(&client).await?;
    let at = last_timestamp(&client).await?;
    wait_durable(&data, at, PATIENCE).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    restores_exactly(&data, at, &held).await?;
    let ended = up.stop().await?;
    ensure!(ended.success(), "up ended with {ended}");

    let entries = stored_entries(&data).await?;
    let with = |text: &str| entries.iter().filter(|entry| contains(&entry.bytes, text)).count();
    ensure!(with(KEPT) >= 2, "the log lacks writes of the majority");
    ensure!(with(LOST) == 0, "the log holds a write that was rolled back");
    equal_to_oplog(&entries, &client).await?;
    println!("{} entries, without the one at {lost_at}", entries.len());
    Ok(())
}
