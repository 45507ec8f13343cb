//! Tests collections that are left out of the history.

use std::time::Duration;

use anyhow::{Result, ensure};
use bson::{Document, doc};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions, dbhash};

use crate::capture_checks::{restored, restores_exactly, spelled};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_is_refused_searched_and_comes_back_with_the_setting() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    let collection = |db: &str, name: &str| client.database(db).collection::<Document>(name);
    collection("logs", "hits").insert_one(doc! {"_id": 1}).await?;
    collection("shop", "orders").insert_one(doc! {"_id": 1}).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let leave_out = ["--history-exclude", "logs.*"];
    let mut up = HindsightProcess::up(&set.uri(), &data, &leave_out).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    for id in 2..10 {
        collection("logs", "hits").insert_one(doc! {"_id": id}).await?;
        collection("logs", "later").insert_one(doc! {"_id": id}).await?;
        collection("shop", "orders").insert_one(doc! {"_id": id}).await?;
    }
    let (at, everything) = (last_timestamp(&client).await?, dbhash::snapshot(&client).await?);
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;

    let commands: [&[&str]; 4] = [
        &["get", "logs.hits", "1"],
        &["scan", "logs.later"],
        &["history", "logs.hits", "5"],
        &["diff", "logs.hits", "--from", &spelled(at)],
    ];
    for command in commands {
        let refused = run_json(&data, command).await?.expect_code(3)?;
        ensure!(refused.stderr.contains("is left out"), "{command:?}: {}", refused.stderr);
    }
    run_json(&data, &["get", "shop.orders", "5"]).await?.expect_success()?;
    let found = run_json(&data, &["find", "--ns", "logs.later"]).await?.expect_success()?;
    ensure!(found.json_lines()?.len() >= 8, "{}", found.stdout);
    let target = restored(&data, at).await?;
    let there = dbhash::snapshot(&target.client().await?).await?;
    let names: Vec<_> = there.collections.keys().filter(|ns| ns.starts_with("logs.")).collect();
    ensure!(names.is_empty() && there.collections.contains_key("shop.orders"), "{names:?}");

    // Whoever takes the setting back gets everything back.
    ensure!(up.stop().await?.success(), "{}", up.stderr());
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    restores_exactly(&data, at, &everything).await?;
    ensure!(up.stop().await?.success(), "{}", up.stderr());
    Ok(())
}
