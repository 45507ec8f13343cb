//! Tests the harness itself: that it runs what it says, and that its comparison sees a difference.

use std::time::Duration;

use anyhow::{Context, Result};
use bson::{Document, doc};
use hindsight_tests::mongod::{client_of, server_version};
use hindsight_tests::replica_set::{first_timestamp, last_timestamp};
use hindsight_tests::workload::{self, WorkloadOptions};
use hindsight_tests::{Mongod, MongodOptions, ReplicaSet, SetOptions, dbhash};

#[tokio::test]
async fn the_members_of_a_set_are_equal_after_a_workload_and_a_change_is_seen() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(3)).await?;
    let client = set.client().await?;
    let options = WorkloadOptions { quiet_points: 3, ..WorkloadOptions::new(1, 500) };
    let mut points = Vec::new();
    let report = workload::run(&client, &options, async |point| {
        points.push((point, last_timestamp(&client).await?));
        Ok(())
    })
    .await?;
    assert_eq!(report.total(), 500, "{report}");
    assert_eq!(points.len(), 3);
    assert!(points.windows(2).all(|pair| pair[0].1 < pair[1].1), "{points:?}");
    assert!(points[2].0.last);

    set.wait_replicated().await?;
    let primary = dbhash::snapshot(&set.member_client(0).await?).await?;
    assert!(primary.collections.len() > 5, "{primary:#?}");
    for member in [1, 2] {
        let other = dbhash::snapshot(&set.member_client(member).await?).await?;
        assert_eq!(dbhash::diff(&primary, &other), None, "member {member}");
    }
    a_change_is_seen(&set, &primary).await
}

/// Checks that one more document, one changed option and one more index are each named.
async fn a_change_is_seen(set: &ReplicaSet, before: &dbhash::Snapshot) -> Result<()> {
    let client = set.member_client(0).await?;
    let database = client.database("extra");
    let change = [
        (doc! {"create": "c"}, "extra.c: only on the right"),
        (doc! {"insert": "c", "documents": [{"_id": 1, "a": 1, "b": 1}]}, "documents: 0 <> 1"),
        (doc! {"update": "c", "updates": [{"q": {}, "u": {"_id": 1, "b": 1, "a": 1}}]}, "dbHash: "),
        (doc! {"collMod": "c", "validator": {"n": 1}}, "options: "),
        (doc! {"createIndexes": "c", "indexes": [{"key": {"n": 1}, "name": "n"}]}, "index n: only"),
        (doc! {"collMod": "c", "index": {"name": "n", "hidden": true}}, "index n: {"),
        (
            doc! {"createRole": "r", "privileges": [], "roles": []},
            "admin system.roles extra.r: only",
        ),
        (doc! {"createUser": "u", "pwd": "x", "roles": ["r"]}, "admin system.users extra.u: only"),
    ];
    let mut before = before.clone();
    for (command, expected) in change {
        database.run_command(command.clone()).await?;
        let after = dbhash::snapshot(&client).await?;
        let difference =
            dbhash::diff(&before, &after).with_context(|| format!("{command} was not seen"))?;
        assert!(difference.contains(expected), "{command}: {difference}");
        before = after;
    }
    Ok(())
}

/// Every kind of operation succeeds at least once, so that none is without effect.
#[tokio::test]
async fn a_workload_reaches_every_kind_of_operation() -> Result<()> {
    let set = ReplicaSet::start(SetOptions::members(1)).await?;
    let client = set.client().await?;
    let options = WorkloadOptions { big_transactions: 2, ..WorkloadOptions::new(7, 20_000) };
    let report = workload::run(&client, &options, async |_| Ok(())).await?;
    println!("{report}");
    assert_eq!(report.never_done(), Vec::<&str>::new(), "{report}");
    let version = server_version(&client).await?;
    for kind in workload::kinds(version).chain(["big_transaction"]) {
        assert!(report.counts.contains_key(kind), "{kind} was never tried");
    }
    let failed: u64 = report.counts.values().map(|count| count.failed).sum();
    assert!(failed * 4 < report.total(), "more than a quarter failed: {report}");
    Ok(())
}

#[tokio::test]
async fn the_same_seed_asks_for_the_same_operations() -> Result<()> {
    let options = WorkloadOptions { workers: 1, ..WorkloadOptions::new(3, 300) };
    let mut reports = Vec::new();
    for _ in 0..2 {
        let set = ReplicaSet::start(SetOptions::members(1)).await?;
        let report = workload::run(&set.client().await?, &options, async |_| Ok(())).await?;
        // Whether a statement succeeds can depend on timing; which statements are run does not.
        let asked =
            report.counts.into_iter().map(|(kind, count)| (kind, count.done + count.failed));
        reports.push(asked.collect::<Vec<_>>());
    }
    assert_eq!(reports[0], reports[1]);
    Ok(())
}

#[tokio::test]
async fn elections_kills_and_pauses_leave_a_working_set() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(3)).await?;
    let client = set.client().await?;
    let collection = client.database("d").collection::<Document>("c");
    collection.insert_one(doc! {"_id": 1}).await?;

    let primary = set.step_down().await?;
    assert_ne!(primary, 0);
    collection.insert_one(doc! {"_id": 2}).await?;

    let secondary = (primary + 1) % 3;
    set.kill_member(secondary)?;
    collection.insert_one(doc! {"_id": 3}).await?;
    set.restart_member(secondary).await?;
    set.wait_replicated().await?;

    set.pause_member(secondary)?;
    collection.insert_one(doc! {"_id": 4}).await?;
    set.resume_member(secondary)?;
    set.wait_replicated().await?;
    let snapshot = dbhash::snapshot(&set.member_client(secondary).await?).await?;
    assert_eq!(snapshot.collections["d.c"].documents, Some(4));
    Ok(())
}

#[tokio::test]
async fn a_workload_survives_an_election_when_told_to() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(3)).await?;
    let client = set.client().await?;
    let options = WorkloadOptions { tolerate_outages: true, ..WorkloadOptions::new(5, 3_000) };
    let load =
        tokio::spawn(async move { workload::run(&client, &options, async |_| Ok(())).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    set.step_down().await?;
    assert_eq!(load.await??.total(), 3_000);
    set.wait_replicated().await
}

#[tokio::test]
async fn a_small_oplog_rolls_over() -> Result<()> {
    let options = SetOptions::members(1).mongod(|m| m.oplog_mb(1).arg("--syncdelay=1"));
    let set = ReplicaSet::start(options).await?;
    let client = set.client().await?;
    let first = first_timestamp(&client).await?;
    let collection = client.database("d").collection::<Document>("c");
    let filler = "x".repeat(100_000);
    for _ in 0..300 {
        collection.insert_one(doc! {"filler": &filler}).await?;
        if first_timestamp(&client).await? > first {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("the first entry is still there after 30 MB")
}

#[tokio::test]
async fn a_set_with_authentication_lets_only_its_user_in() -> Result<()> {
    let set = ReplicaSet::start(SetOptions::members(1).mongod(MongodOptions::with_auth)).await?;
    let client = set.client().await?;
    client.database("d").run_command(doc! {"create": "c"}).await?;
    let nobody = client_of(&set.server(0).uri()).await?;
    let refused = nobody.database("d").run_command(doc! {"create": "e"}).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("authentication")));
    assert!(dbhash::snapshot(&client).await?.accounts.contains_key("system.users admin.root"));
    Ok(())
}

#[tokio::test]
async fn a_standalone_is_no_replica_set_and_stops_by_itself() -> Result<()> {
    let mut server = Mongod::standalone(&MongodOptions::default()).await?;
    let client = server.client().await?;
    client.database("d").run_command(doc! {"create": "c"}).await?;
    let hello = client.database("admin").run_command(doc! {"hello": 1}).await?;
    assert!(!hello.contains_key("setName"));
    server.stop().await?;
    assert!(!server.is_running()?);
    server.restart().await?;
    assert!(dbhash::snapshot(&server.client().await?).await?.collections.contains_key("d.c"));
    Ok(())
}

/// The server hashes buckets like any other collection; a view has nothing to hash.
#[tokio::test]
async fn a_snapshot_holds_buckets_and_views() -> Result<()> {
    let server = Mongod::standalone(&MongodOptions::default()).await?;
    let client = server.client().await?;
    let database = client.database("d");
    database.run_command(doc! {"create": "v", "viewOn": "c", "pipeline": []}).await?;
    let mut expected = vec!["d.system.views", "d.v"];
    if server_version(&client).await? >= (5, 0) {
        let series = doc! {"timeField": "t", "metaField": "m"};
        database.run_command(doc! {"create": "ts", "timeseries": series}).await?;
        let measurement = doc! {"t": bson::DateTime::from_millis(0), "m": 1, "v": 2.0};
        database.collection("ts").insert_one(measurement).await?;
        expected.splice(0..0, ["d.system.buckets.ts"]);
        expected.insert(2, "d.ts");
    }
    let snapshot = dbhash::snapshot(&client).await?;
    assert_eq!(snapshot.collections.keys().collect::<Vec<_>>(), expected);
    assert_eq!(snapshot.collections["d.v"].hash, None);
    assert!(snapshot.collections["d.system.views"].hash.is_some());
    if let Some(buckets) = snapshot.collections.get("d.system.buckets.ts") {
        assert!(buckets.hash.is_some(), "{buckets:?}");
        assert_eq!(buckets.documents, Some(1));
    }
    Ok(())
}
