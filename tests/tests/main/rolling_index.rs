//! Tests indexes that are built on each member alone, in turn, and that the oplog does not mention.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::{Document, doc};
use hindsight_tests::hindsight::{RunOutput, run_json};
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::workload::{self, WorkloadOptions};
use hindsight_tests::{HindsightProcess, Mongod, MongodOptions, ReplicaSet, SetOptions, dbhash};
use mongodb::{Client, IndexModel};
use serde_json::Value;

use crate::capture_checks::{restores_exactly, spelled, status};

const PATIENCE: Duration = Duration::from_secs(60);
const EVERY: [&str; 2] = ["--catalog-check-every", "1s"];

async fn create_index(client: &Client, field: &str) -> Result<()> {
    let orders = client.database("shop").collection::<Document>("orders");
    orders.create_index(IndexModel::builder().keys(doc! {field: 1}).build()).await?;
    Ok(())
}

/// Waits until `is_so` returns true for the status of the catalog, and returns that status.
async fn wait_for_catalog(
    data: &Path,
    what: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let started = Instant::now();
    loop {
        let catalog = status(data).await?["catalog"].clone();
        if is_so(&catalog) {
            return Ok(catalog);
        }
        ensure!(started.elapsed() < PATIENCE, "never so that {what}: {catalog:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Returns the names of the indexes of `shop.orders`.
async fn indexes(server: &Mongod) -> Result<Vec<String>> {
    let orders = server.client().await?.database("shop").collection::<Document>("orders");
    let mut names = orders.list_index_names().await?;
    names.sort();
    Ok(names)
}

async fn restore(data: &Path, until: &str, target: &Mongod, more: &[&str]) -> Result<RunOutput> {
    let uri = target.uri();
    let args = ["restore", "--until", until, "--to", &uri];
    run_json(data, &[&args[..], more].concat()).await?.expect_success()
}

/// Returns the warnings of a restore's plan.
async fn warnings(data: &Path, until: &str) -> Result<String> {
    let target = Mongod::standalone(&MongodOptions::default()).await?;
    let plan = restore(data, until, &target, &["--dry-run"]).await?.json()?;
    Ok(plan["warnings"].to_string())
}

/// Restores into a fresh server, and returns the indexes that it then has.
async fn restored_indexes(data: &Path, until: &str) -> Result<Vec<String>> {
    let target = Mongod::standalone(&MongodOptions::default()).await?;
    let report = restore(data, until, &target, &[]).await?.json()?;
    ensure!(report["verified"] == true, "not verified: {report}");
    indexes(&target).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_built_on_each_member_alone_is_restored() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(3)).await?;
    let client = set.client().await?;
    let orders = client.database("shop").collection::<Document>("orders");
    orders.insert_many((0..50).map(|i| doc! {"_id": i, "x": i % 7, "y": i})).await?;
    create_index(&client, "y").await?;
    set.wait_replicated().await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let member = set.server(1).address();
    let args = [&EVERY[..], &["--member", &member, "--allow-primary"]].concat();
    let mut up = HindsightProcess::up(&set.uri(), &data, &args).await?;
    run_json(&data, &["wait"]).await?.expect_success()?;
    wait_for_catalog(&data, "it was looked at", |it| it["checked_seconds_ago"].is_u64()).await?;
    let before = spelled(last_timestamp(&client).await?);

    // Halfway, the member that is listed has the index, and the others do not.
    set.maintain(1, async |alone| create_index(&alone, "x").await).await?;
    let differ = |it: &Value| it["members_differ"].to_string().contains("shop.orders: 1 of 3");
    let catalog = wait_for_catalog(&data, "members differ", differ).await?;
    ensure!(catalog["unlogged"] == 0, "taken up halfway: {catalog:#}");

    set.maintain(2, async |alone| create_index(&alone, "x").await).await?;
    let catalog = wait_for_catalog(&data, "it is taken up", |it| it["unlogged"] == 1).await?;
    let text = catalog["newest_unlogged"][0]["differences"].to_string();
    ensure!(text.contains("index x_1 is on the members"), "{catalog:#}");

    set.step_down().await?;
    set.maintain(0, async |alone| create_index(&alone, "x").await).await?;
    let client = set.client().await?;
    let after = last_timestamp(&client).await?;
    run_json(&data, &["wait", "--for", &spelled(after)]).await?.expect_success()?;
    let after = spelled(after);
    let (old, new) = (["_id_", "y_1"], ["_id_", "x_1", "y_1"]);
    ensure!(restored_indexes(&data, &after).await? == new);
    ensure!(warnings(&data, &after).await?.contains("as members of the source were seen"));
    ensure!(restored_indexes(&data, &before).await? == old);
    ensure!(warnings(&data, &before).await?.contains("make up for it by hand"));

    // The index is in the log, so that what is derived from the log comes out the same.
    ensure!(up.stop().await?.success(), "{}", up.stderr());
    for derived in ["index", "history"] {
        std::fs::remove_dir_all(data.join(derived))?;
    }
    run_json(&data, &["verify", "--deep"]).await?.expect_success()?;
    ensure!(restored_indexes(&data, &after).await? == new, "after it was derived again");
    ensure!(restored_indexes(&data, &before).await? == old, "after it was derived again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_is_not_copied_from_a_member_without_indexes() -> Result<()> {
    // The member has no vote, because servers refuse to build an index that a voter cannot build.
    let bare = doc! {"hidden": true, "priority": 0.0, "votes": 0, "buildIndexes": false};
    let mut set = ReplicaSet::start(SetOptions::members(3).member(1, bare)).await?;
    let client = set.client().await?;
    let orders = client.database("shop").collection::<Document>("orders");
    orders.insert_many((0..50).map(|i| doc! {"_id": i, "x": i})).await?;
    create_index(&client, "x").await?;
    set.wait_replicated().await?;
    let directory = tempfile::tempdir()?;
    // Capture prefers the hidden member, which has no index except that on `_id`.
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &EVERY).await?;
    run_json(&data, &["wait"]).await?.expect_success()?;
    ensure!(status(&data).await?["member"] == set.server(1).address().as_str());
    ensure!(restored_indexes(&data, "latest").await? == ["_id_", "x_1"]);
    wait_for_catalog(&data, "it was looked at", |it| it["checked_seconds_ago"].is_u64()).await?;
    ensure!(up.stop().await?.success());

    // Where this is the only member to read from, the indexes of the other members are taken up.
    let data = directory.path().join("another");
    let member = set.server(1).address();
    let args = [&EVERY[..], &["--member", &member]].concat();
    let mut up = HindsightProcess::up(&set.uri(), &data, &args).await?;
    run_json(&data, &["wait"]).await?.expect_success()?;
    wait_for_catalog(&data, "it is taken up", |it| it["unlogged"] == 1).await?;
    ensure!(restored_indexes(&data, "latest").await? == ["_id_", "x_1"]);
    ensure!(up.stop().await?.success());
    Ok(())
}

/// However listings and entries race, what the entries say is not a difference.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_with_many_commands_shows_no_difference() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(PATIENCE).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let args = ["--catalog-check-every", "100ms"];
    let mut up = HindsightProcess::up(&set.uri(), &data, &args).await?;
    run_json(&data, &["wait"]).await?.expect_success()?;
    let client = set.client().await?;
    let options = WorkloadOptions::new(20_261_130, 1_500);
    let mut end = None;
    workload::run(&client, &options, async |_| {
        end = Some((last_timestamp(&client).await?, dbhash::snapshot(&client).await?));
        Ok(())
    })
    .await?;
    let (at, snapshot) = end.context("the end is a quiet point")?;
    run_json(&data, &["wait", "--for", &spelled(at)]).await?.expect_success()?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let catalog = status(&data).await?["catalog"].clone();
    ensure!(catalog["unlogged"] == 0, "{catalog:#}");
    restores_exactly(&data, at, &snapshot).await?;
    ensure!(up.stop().await?.success());
    Ok(())
}

/// The only member of the source is started alone to get an index, so that no set is visible
/// meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_may_stand_alone_for_a_while() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(PATIENCE).await?;
    let client = set.client().await?;
    let orders = client.database("shop").collection::<Document>("orders");
    orders.insert_one(doc! {"_id": 1, "x": 1}).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &EVERY).await?;
    run_json(&data, &["wait"]).await?.expect_success()?;
    set.maintain_in_place(0, async |alone| {
        create_index(&alone, "x").await?;
        // Long enough for more than one look at the source.
        tokio::time::sleep(Duration::from_secs(8)).await;
        Ok(())
    })
    .await?;
    set.wait_for_primary(PATIENCE).await?;
    let client = set.client().await?;
    let orders = client.database("shop").collection::<Document>("orders");
    orders.insert_one(doc! {"_id": 2}).await?;
    wait_for_catalog(&data, "it is taken up", |it| it["unlogged"] == 1).await?;
    let last = spelled(last_timestamp(&client).await?);
    run_json(&data, &["wait", "--for", &last]).await?.expect_success()?;
    ensure!(restored_indexes(&data, &last).await? == ["_id_", "x_1"]);
    ensure!(up.stderr().contains("is a standalone"), "nothing was seen: {}", up.stderr());
    ensure!(up.stop().await?.success(), "{}", up.stderr());
    Ok(())
}
