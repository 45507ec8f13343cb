//! Tests that `find`, with each of its conditions, finds the same as a look at every entry.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bson::{Bson, Document, Uuid, doc};
use hindsight_tests::hindsight::{run, run_json};
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions};
use mongodb::Client;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn every_condition_finds_what_a_look_at_all_entries_finds() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    write(&client).await?;
    run_json(&data, &["wait"]).await?.expect_success()?;

    let find = async |args: &[&str]| -> Result<Vec<Value>> {
        let all: Vec<&str> = ["find", "--limit", "0"].iter().chain(args).copied().collect();
        run_json(&data, &all).await?.expect_success()?.json_lines()
    };
    let all = find(&[]).await?;
    ensure!(all.len() > 60, "{} entries", all.len());
    let same = |name: &str, found: &[Value], wanted: &dyn Fn(&Value) -> bool| -> Result<()> {
        let wanted: Vec<&Value> = all.iter().filter(|entry| wanted(entry)).collect();
        ensure!(!wanted.is_empty(), "{name}: nothing to be found");
        ensure!(found.iter().collect::<Vec<_>>() == wanted, "{name}: {found:?}, not {wanted:?}");
        Ok(())
    };

    let in_transaction = |entry: &&Value| entry["o"]["applyOps"].is_array();
    let transaction = all.iter().find(in_transaction).context("a transaction")?;
    let (lsid, number) = (&transaction["lsid"]["id"], &transaction["txnNumber"]);
    let session = session(lsid)?;
    let txn = format!("{session}:{}", number["$numberLong"].as_str().context("a number")?);
    let of_session = |entry: &Value| entry["lsid"]["id"] == *lsid;
    same("session", &find(&["--session", &session]).await?, &of_session)?;
    same("txn", &find(&["--txn", &txn]).await?, &|entry| {
        of_session(entry) && entry["txnNumber"] == *number
    })?;
    let sets = |entry: &Value, field: &str| !entry["o"]["diff"]["u"][field].is_null();
    same("changed field", &find(&["--changed-field", "status"]).await?, &|entry| {
        sets(entry, "status") || entry["o"]["applyOps"][0]["o"]["diff"]["u"]["status"].is_string()
    })?;
    let nested = ["--changed-field", "lines.0.count"];
    same("changed element", &find(&nested).await?, &|entry| {
        entry["o"]["diff"]["slines"]["s0"].is_object()
    })?;
    same("grep", &find(&["--grep", "\"note\":\"needle [0-9]\""]).await?, &|entry| {
        entry["o"]["note"].as_str().is_some_and(|note| note.starts_with("needle"))
    })?;
    same("filter", &find(&["--filter", "{\"o.total\":{\"$gt\":45}}"]).await?, &|entry| {
        let total = entry["o"]["total"]["$numberInt"].as_str();
        total.and_then(|total| total.parse::<i32>().ok()).is_some_and(|total| total > 45)
    })?;

    let drop = all.iter().position(|entry| entry["o"]["drop"].is_string()).context("a drop")?;
    let context = find(&["--op", "drop", "--before-context", "3"]).await?;
    ensure!(context == all[drop - 3..=drop], "{context:?}");
    let data_name = data.display().to_string();
    for wrong in [["--session", "no"], ["--txn", "no"], ["--grep", "("], ["--filter", "{\"$x\":1}"]]
    {
        run(&["find", "--data", &data_name, wrong[0], wrong[1]]).await?.expect_code(2)?;
    }
    follow(&client, &data_name).await?;
    ensure!(up.stop().await?.success(), "{}", up.stderr());
    Ok(())
}

async fn write(client: &Client) -> Result<()> {
    let orders = client.database("shop").collection::<Document>("orders");
    let order = |n: i32| doc! {"_id": n, "total": n, "status": "open", "lines": [{"sku": "a", "count": 1}, {"sku": "b", "count": 2}]};
    orders.insert_many((0..50).map(order)).await?;
    for n in 0..5 {
        orders.update_one(doc! {"_id": n}, doc! {"$set": {"status": "paid"}}).await?;
        orders.update_one(doc! {"_id": n}, doc! {"$set": {"lines.0.count": 9}}).await?;
    }
    let notes = client.database("shop").collection::<Document>("notes");
    notes.insert_one(doc! {"_id": 1, "note": "needle 7"}).await?;
    notes.insert_one(doc! {"_id": 2, "note": "hay"}).await?;
    let mut session = client.start_session().await?;
    session.start_transaction().await?;
    for n in 10..12 {
        let paid = doc! {"$set": {"status": "paid"}};
        orders.update_one(doc! {"_id": n}, paid).session(&mut session).await?;
    }
    session.commit_transaction().await?;
    notes.drop().await?;
    Ok(())
}

/// Returns the UUID of `{"$binary": {"base64": …}}`.
fn session(binary: &Value) -> Result<String> {
    let Bson::Binary(binary) = Bson::try_from(binary.clone())? else {
        bail!("{binary} is no session")
    };
    let bytes = <[u8; 16]>::try_from(binary.bytes).ok().context("a session has 16 bytes")?;
    Ok(Uuid::from_bytes(bytes).to_string())
}

/// Tests that entries written while the command runs arrive without asking again.
async fn follow(client: &Client, data: &str) -> Result<()> {
    let mut command = tokio::process::Command::new(hindsight_tests::tools::hindsight()?);
    command.args(["find", "--ns", "shop.late", "--follow", "-o", "json", "--data", data]);
    command.stdout(std::process::Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let output = child.stdout.take().context("it is piped")?;
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(output));
    let late = client.database("shop").collection::<Document>("late");
    for n in ["0", "1", "2"] {
        late.insert_one(doc! {"_id": n}).await?;
        loop {
            let line = tokio::time::timeout(Duration::from_secs(15), lines.next_line()).await??;
            let entry: Value = serde_json::from_str(&line.context("it goes on")?)?;
            if entry["op"] == "i" {
                ensure!(entry["o"]["_id"] == n, "{entry}");
                break;
            }
        }
    }
    child.kill().await?;
    Ok(())
}
