//! Tests that what replaced a collection is reported under the collection's own name, and that
//! there is something to find about time-series collections and views: an empty answer never stands
//! for "nothing happened".

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bson::{Document, doc};
use hindsight_tests::hindsight::{run, run_json};
use hindsight_tests::{Api, HindsightProcess, ReplicaSet, SetOptions};
use mongodb::{Client, Database};
use serde_json::Value;

const DROPPING: &str = ", dropping what was there";

#[tokio::test(flavor = "multi_thread")]
async fn what_took_a_name_is_told_under_it() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    let has_series = hindsight_tests::mongod::server_version(&client).await? >= (5, 0);
    replace(&client).await?;
    if has_series {
        series(&client.database("t")).await?;
    }
    view(&client.database("t")).await?;
    run_json(&data, &["wait"]).await?.expect_success()?;

    for (ns, from, drops) in [
        ("t.out", "t.tmp.agg_out.", true),
        ("t.capped", "t.tmp", true),
        ("t.taken", "t.taker", true),
        ("t.new", "t.renamed", false),
    ] {
        told(&data, ns, from, drops).await.with_context(|| ns.to_owned())?;
    }
    let api = up.api().await?;
    views(&data, &api).await?;
    if has_series {
        of_series(&data, &api).await?;
    }
    nothing(&data).await?;
    ensure!(up.stop().await?.success(), "{}", up.stderr());
    Ok(())
}

async fn replace(client: &Client) -> Result<()> {
    let t = client.database("t");
    for name in ["source", "out", "capped", "taken", "taker", "renamed"] {
        let documents = (0..20).map(|id| doc! {"_id": id, "of": name});
        t.collection::<Document>(name).insert_many(documents).await?;
    }
    t.collection::<Document>("source").aggregate([doc! {"$out": "out"}]).await?;
    t.run_command(doc! {"convertToCapped": "capped", "size": 100_000}).await?;
    let admin = client.database("admin");
    let rename = |from: &str, to: &str| doc! {"renameCollection": from, "to": to};
    let mut dropping = rename("t.taker", "t.taken");
    dropping.insert("dropTarget", true);
    admin.run_command(dropping).await?;
    admin.run_command(rename("t.renamed", "t.new")).await?;
    Ok(())
}

async fn series(t: &Database) -> Result<()> {
    t.run_command(doc! {"create": "w", "timeseries": {"timeField": "at", "metaField": "m"}})
        .await?;
    let measurement = |n: i64| doc! {"at": bson::DateTime::from_millis(1_795_000_000_000 + n), "m": n % 3, "v": n};
    t.collection::<Document>("w").insert_many((0..30).map(measurement)).await?;
    Ok(())
}

async fn view(t: &Database) -> Result<()> {
    t.run_command(doc! {"create": "v", "viewOn": "out", "pipeline": []}).await?;
    t.run_command(doc! {"create": "other", "viewOn": "out", "pipeline": []}).await?;
    let pipeline = [doc! {"$match": {"of": "source"}}];
    t.run_command(doc! {"collMod": "v", "viewOn": "out", "pipeline": pipeline}).await?;
    Ok(())
}

/// Checks that a rename is reported under the new name and the old name, in every form, and that a
/// rename that drops also counts as a drop of the new name alone.
async fn told(data: &Path, ns: &str, from: &str, drops: bool) -> Result<()> {
    let timeline = run_json(data, &["timeline", "--ns", ns]).await?.expect_success()?;
    let lines = timeline.json_lines()?;
    let renames: Vec<&Value> =
        lines.iter().filter(|line| line["command"] == "renameCollection").collect();
    ensure!(renames.len() == 1, "{lines:?}");
    ensure!(renames[0]["to"] == ns, "{}", renames[0]);
    ensure!(renames[0]["drops_target"] == drops || !drops, "{}", renames[0]);
    let old = renames[0]["ns"].as_str().context("a name")?;
    ensure!(old.starts_with(from), "{old}");
    let commands = lines.iter().filter(|line| line["ns"] == ns).map(|line| &line["commands"]);
    ensure!(commands.filter_map(Value::as_u64).sum::<u64>() >= 1, "not counted: {lines:?}");
    let of_old = run_json(data, &["timeline", "--ns", old]).await?.expect_success()?;
    ensure!(of_old.json_lines()?.contains(renames[0]), "{}", of_old.stdout);

    let name = data.display().to_string();
    let text = format!("{old} to {ns}{}", if drops { DROPPING } else { "" });
    let timeline = run(&["timeline", "--ns", ns, "--data", &name]).await?.expect_success()?;
    ensure!(timeline.stdout.contains(&text), "{text:?} is not in {}", timeline.stdout);
    let found = run(&["find", "--ns", ns, "--data", &name]).await?.expect_success()?;
    ensure!(found.stdout.contains(&text), "{text:?} is not in {}", found.stdout);
    for (ns, expected) in [(ns, usize::from(drops)), (old, 0)] {
        let found = run_json(data, &["find", "--ns", ns, "--op", "drop"]).await?;
        let found = found.expect_success()?.json_lines()?;
        ensure!(found.len() == expected, "{ns}: {found:?}");
        ensure!(found.iter().all(|it| !it["o"]["renameCollection"].is_null()), "{found:?}");
    }
    Ok(())
}

async fn views(data: &Path, api: &Api) -> Result<()> {
    let found = run_json(data, &["find", "--ns", "t.v"]).await?.expect_success()?;
    let kinds: Vec<Value> = found.json_lines()?.iter().map(|entry| entry["op"].clone()).collect();
    ensure!(kinds == ["i", "u"], "{}", found.stdout);
    ensure!(found.stderr.contains("t.v is a view of t.out"), "{}", found.stderr);
    let timeline = run_json(data, &["timeline", "--ns", "t.v"]).await?.expect_success()?;
    ensure!(timeline.stderr.contains("a search of t.v finds"), "{}", timeline.stderr);
    for path in ["/v1/timeline?ns=t.v", "/v1/entries?ns=t.v", "/v1/diff?ns=t.v&from=latest"] {
        let notes = &api.get(path).await?.expect(200)?.json()?["notes"];
        ensure!(notes[0].as_str().is_some_and(|it| it.contains("is a view of t.out")), "{notes}");
    }
    Ok(())
}

async fn of_series(data: &Path, api: &Api) -> Result<()> {
    let find = ["find", "--ns", "t.w", "--op", "i", "--limit", "0"];
    let found = run_json(data, &find).await?.expect_success()?;
    let lines = found.json_lines()?;
    let of = |ns: &str| lines.iter().filter(|entry| entry["ns"] == ns).count();
    let (buckets, definitions) = (of("t.system.buckets.w"), of("t.system.views"));
    ensure!(buckets > 0 && definitions == 1, "{}", found.stdout);
    ensure!(found.stderr.contains("t.w is a time-series collection"), "{}", found.stderr);
    let timeline = run_json(data, &["timeline", "--ns", "t.w"]).await?.expect_success()?;
    let counted = timeline.json_lines()?;
    let inserts = counted.iter().filter_map(|it| it["inserts"].as_u64()).sum::<u64>();
    ensure!(inserts == buckets as u64, "{}", timeline.stdout);
    let diff = api.get("/v1/diff?ns=t.w&from=latest").await?.expect(200)?.json()?;
    ensure!(diff["notes"][0].as_str().is_some_and(|it| it.contains("time-series")), "{diff}");
    Ok(())
}

async fn nothing(data: &Path) -> Result<()> {
    let found = run_json(data, &["find", "--ns", "t.mistyped"]).await?.expect_success()?;
    ensure!(found.stdout.is_empty() && found.stderr.contains("no entry"), "{}", found.stderr);
    let found = run_json(data, &["timeline", "--ns", "t.mistyped"]).await?.expect_success()?;
    ensure!(found.stdout.is_empty(), "{}", found.stdout);
    ensure!(found.stderr.contains("nothing was written to t.mistyped"), "{}", found.stderr);
    Ok(())
}
