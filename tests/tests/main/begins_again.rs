//! Tests that a history that cannot apply an entry begins again with a base that is copied
//! automatically.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bson::{Document, Timestamp, doc};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions, dbhash};
use serde_json::Value;

use crate::capture_checks::{restores_exactly, spelled};

const PATIENCE: Duration = Duration::from_secs(120);

async fn windows(data: &Path) -> Result<Value> {
    let answer = run_json(data, &["windows"]).await?.expect_success()?.json()?;
    Ok(answer["windows"].clone())
}

/// Waits until the history continues. While the history has ended, a `wait` says so at once.
async fn wait_until_it_goes_on(data: &Path) -> Result<()> {
    let begun = Instant::now();
    loop {
        let waited = run_json(data, &["wait", "--timeout", "60s"]).await?;
        if waited.code == Some(0) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "the history does not go on: {}", waited.stderr);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Checks that times before the entry and after the base are restored, and that a time between them
/// is refused with both ends.
async fn only_the_hole_is_lost(data: &Path, amid: Timestamp) -> Result<()> {
    let nowhere = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1000";
    let restore = ["restore", "--until", &spelled(amid), "--to", nowhere, "--dry-run"];
    let refused = run_json(data, &restore).await?.expect_code(3)?;
    ensure!(refused.stderr.contains("begins again with the base of"), "{}", refused.stderr);
    let windows = windows(data).await?;
    ensure!(windows.as_array().is_some_and(|windows| windows.len() == 2), "{windows}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_ended_begins_again_by_itself() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    let things = client.database("again").collection::<Document>("things");
    things.insert_one(doc! {"_id": 1, "a": 1}).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    things.insert_one(doc! {"_id": 2}).await?;
    let before = (last_timestamp(&client).await?, dbhash::snapshot(&client).await?);

    // The server logs other bytes of the document than it keeps, which no reader of the entry can
    // follow.
    let unfit = doc! {"op": "u", "ns": "again.things", "o2": {"_id": 1}, "o": {"$v": 2, "diff": {"d": {"_id": false}}}};
    let applied = client.database("admin").run_command(doc! {"applyOps": [unfit]}).await;
    if let Err(error) = applied {
        println!("this version refuses an update that the history cannot follow: {error}");
        return Ok(());
    }
    let amid = last_timestamp(&client).await?;
    things.insert_one(doc! {"_id": 3}).await?;
    wait_until_it_goes_on(&data).await?;
    things.insert_one(doc! {"_id": 4}).await?;
    let now = (last_timestamp(&client).await?, dbhash::snapshot(&client).await?);
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;

    for (at, wanted) in [&before, &now] {
        restores_exactly(&data, *at, wanted).await?;
    }
    only_the_hole_is_lost(&data, amid).await?;
    ensure!(up.stop().await?.success(), "{}", up.stderr());
    // The same holds from the files alone, and when the history is built from nothing.
    only_the_hole_is_lost(&data, amid).await?;
    std::fs::remove_dir_all(data.join("history"))?;
    only_the_hole_is_lost(&data, amid).await?;
    restores_exactly(&data, now.0, &now.1).await
}
