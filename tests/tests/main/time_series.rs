//! Tests time-series collections as servers really hold them, restored into the same version, the
//! next patch and the next major version: options, indexes, `dbHash`, and answers to queries, which
//! can differ where everything else is equal.

mod compared;
mod states;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bson::{Document, Timestamp, doc};
use hindsight_tests::hindsight::{RunOutput, run_json};
use hindsight_tests::replica_set::{last_timestamp, set_feature_version};
use hindsight_tests::{HindsightProcess, Mongod, MongodOptions, ReplicaSet, SetOptions};
use mongodb::Client;

use crate::capture_checks::{spelled, wait_durable};
use compared::{Held, held};
use states::{DATABASE, Era, Version};

const PATIENCE: Duration = Duration::from_secs(60);

async fn source_of(version: &str) -> Result<ReplicaSet> {
    ReplicaSet::start(SetOptions::members(1).mongod(|it| it.version(version))).await
}

async fn target_of(version: &str, feature_version: &str) -> Result<Mongod> {
    let target = Mongod::standalone(&MongodOptions::default().version(version)).await?;
    set_feature_version(&target.client().await?, feature_version).await?;
    Ok(target)
}

async fn restore(data: &Path, at: Timestamp, target: &Mongod) -> Result<RunOutput> {
    run_json(data, &["restore", "--until", &spelled(at), "--to", &target.uri()]).await
}

/// Restores, and returns the report and what the target then holds.
async fn restored(
    data: &Path,
    at: Timestamp,
    target: &Mongod,
) -> Result<(serde_json::Value, Held)> {
    let report = restore(data, at, target).await?.expect_success()?.json()?;
    ensure!(report["verified"] == true, "the restore says it is not verified: {report}");
    Ok((report, held(&target.client().await?, DATABASE).await?))
}

/// A time in the source's history, and what the source held then.
struct Point {
    at: Timestamp,
    held: Held,
}

impl Point {
    async fn now(client: &Client) -> Result<Self> {
        let held = held(client, DATABASE).await?;
        Ok(Point { at: last_timestamp(client).await?, held })
    }

    async fn restores_into(&self, data: &Path, target: &Mongod) -> Result<serde_json::Value> {
        let (report, held) = restored(data, self.at, target).await?;
        let difference = self.held.difference(&held);
        ensure!(
            difference.is_empty(),
            "the restore of {} differs:\n{difference}",
            spelled(self.at)
        );
        Ok(report)
    }
}

/// Restores every state from one version into others. Half of the states are made before the base
/// and half after it.
async fn pass(source: Version, targets: &[Version]) -> Result<()> {
    let set = source_of(source.server).await?;
    let client = set.client().await?;
    states::make(&client, source, Era::Base).await.context("states of the base")?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    states::change(&client, source, Era::Base).await.context("changes of the base's states")?;
    states::make(&client, source, Era::Log).await.context("states of the log")?;
    states::change(&client, source, Era::Log).await.context("changes of the log's states")?;
    let point = Point::now(&client).await?;
    wait_durable(&data, point.at, PATIENCE).await?;
    for version in targets {
        let into = || format!("{} into {}", source.server, version.server);
        let target = target_of(version.server, source.feature).await.with_context(into)?;
        let report = point.restores_into(&data, &target).await.with_context(into)?;
        states::told(&report, source).with_context(into)?;
    }
    let status = up.stop().await?;
    ensure!(status.success(), "up ended with {status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn from_5_0_they_pass_to_6_0() -> Result<()> {
    pass(Version::V5_0_4, &[Version::V5_0_4, Version::V6_0_5, Version::V6_0_27]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn from_6_0_5_they_pass_to_the_next_patch() -> Result<()> {
    pass(Version::V6_0_5, &[Version::V6_0_5, Version::V6_0_27]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_6_0_27_they_are_the_same() -> Result<()> {
    pass(Version::V6_0_27, &[Version::V6_0_27]).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes MongoDB 7.0, which make test does not fetch: make test-matrix runs it"]
async fn from_6_0_they_pass_to_7_0() -> Result<()> {
    pass(Version::V6_0_27, &[Version::V7_0_28]).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes MongoDB 7.0, which make test does not fetch: make test-matrix runs it"]
async fn of_7_0_they_are_the_same() -> Result<()> {
    pass(Version::V7_0_28, &[Version::V7_0_28]).await
}

/// Tests buckets of mixed types, which 5.0 makes and 6.0 only reads, in a set that is upgraded in
/// place.
#[tokio::test(flavor = "multi_thread")]
async fn buckets_of_mixed_types_are_restored_where_they_are_seen_and_else_refused() -> Result<()> {
    let mut set = source_of("5.0.4").await?;
    let client = set.client().await?;
    states::make_mixed(&client, "based").await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    states::make_mixed(&client, "logged").await?;
    states::make_pure(&client, "pure").await?;
    let old = Point::now(&client).await?;
    set.change_version(0, "6.0.5").await?;
    let client = set.client().await?;
    set_feature_version(&client, "6.0").await?;
    let raised = Point::now(&client).await?;
    ensure!(raised.held.answers() == old.held.answers(), "an upgrade changes no answer");
    wait_durable(&data, raised.at, PATIENCE).await?;

    for version in ["6.0.5", "6.0.27"] {
        old.restores_into(&data, &target_of(version, "5.0").await?).await.context(version)?;
    }
    raised.restores_into(&data, &target_of("6.0.27", "6.0").await?).await?;
    refused(&data, raised.at, &["w.system.buckets.based", "w.system.buckets.logged"]).await?;

    // A base of 6.0 says the same, from the catalog.
    let later = directory.path().join("later");
    let mut again = HindsightProcess::up(&set.uri(), &later, &[]).await?;
    run_json(&later, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    let based = Point::now(&client).await?;
    wait_durable(&later, based.at, PATIENCE).await?;
    based.restores_into(&later, &target_of("6.0.27", "6.0").await?).await?;
    refused(&later, based.at, &["w.system.buckets.based", "w.system.buckets.logged"]).await?;

    // The collections are marked, but no bucket is of mixed types, so nothing is lost without the
    // mark.
    for name in ["based", "logged"] {
        client.database(DATABASE).collection::<Document>(name).drop().await?;
    }
    let pure = Point::now(&client).await?;
    wait_durable(&data, pure.at, PATIENCE).await?;
    let report = pure.restores_into(&data, &target_of("6.0.5", "6.0").await?).await?;
    let warnings = report["warnings"].to_string();
    ensure!(warnings.contains("w.system.buckets.pure"), "{warnings}");
    ensure!(again.stop().await?.success() && up.stop().await?.success(), "up ended badly");
    Ok(())
}

/// Checks that the plan for 6.0.5 names each collection and the remedy, and that nothing is
/// written.
async fn refused(data: &Path, at: Timestamp, namespaces: &[&str]) -> Result<()> {
    let target = target_of("6.0.5", "6.0").await?;
    let output = restore(data, at, &target).await?;
    ensure!(output.code != Some(0), "restored: {}", output.stdout);
    for wanted in namespaces.iter().chain(&["6.0.17", "mixed types"]) {
        ensure!(output.stderr.contains(wanted), "{wanted} is missing in: {}", output.stderr);
    }
    let names = target.client().await?.database(DATABASE).list_collection_names().await?;
    ensure!(names.is_empty(), "something was written: {names:?}");
    Ok(())
}

/// A patched server takes such buckets at once when the collection is marked, and restores show the
/// mark.
#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_a_command_sets_is_followed() -> Result<()> {
    let set = source_of("6.0.27").await?;
    let client = set.client().await?;
    let db = client.database(DATABASE);
    let create = |name: &str| doc! {"create": name, "timeseries": {"timeField": "t"}};
    for name in ["before", "both"] {
        db.run_command(create(name)).await?;
    }
    let mark = |name: &str, mark: bool| {
        doc! {"collMod": name, "timeseriesBucketsMayHaveMixedSchemaData": mark}
    };
    db.run_command(mark("before", true)).await?;
    db.run_command(mark("both", true)).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    db.run_command(create("after")).await?;
    db.run_command(mark("after", true)).await?;
    db.run_command(mark("both", false)).await?;
    for name in ["before", "after"] {
        states::insert_mixed_buckets(&client, name).await?;
    }
    let point = Point::now(&client).await?;
    wait_durable(&data, point.at, PATIENCE).await?;
    let target = target_of("6.0.27", "6.0").await?;
    point.restores_into(&data, &target).await?;
    for (name, expected) in [("before", true), ("after", true), ("both", false)] {
        let held = states::mark_of(&target.client().await?, name).await?;
        ensure!(held == Some(expected), "{name} is marked {held:?}, not {expected}");
    }
    ensure!(up.stop().await?.success(), "up ended badly");
    Ok(())
}
