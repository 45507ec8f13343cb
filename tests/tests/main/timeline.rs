//! Tests that `timeline` counts what happened, and marks the commands.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bson::{Document, doc};
use hindsight_tests::hindsight::{run, run_json};
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions};

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_counts_operations_and_marks_commands() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    let shop = client.database("shop");
    let orders = shop.collection::<Document>("orders");
    orders.insert_many((0..300).map(|id| doc! {"_id": id})).await?;
    orders.update_many(doc! {"_id": {"$lt": 40}}, doc! {"$set": {"paid": true}}).await?;
    client.database("shopping").collection("carts").insert_one(doc! {"_id": 1}).await?;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    orders.delete_many(doc! {"_id": {"$gte": 40}}).await?;
    shop.collection::<Document>("notes").insert_one(doc! {"_id": 1}).await?;
    shop.collection::<Document>("notes").drop().await?;
    run_json(&data, &["wait"]).await?.expect_success()?;

    for bucket in ["1s", "60s"] {
        let args = ["timeline", "--ns", "shop.orders", "--bucket", bucket];
        let lines = run_json(&data, &args).await?.expect_success()?.json_lines()?;
        let sum = |name: &str| lines.iter().filter_map(|line| line[name].as_u64()).sum::<u64>();
        let counts = (sum("inserts"), sum("updates"), sum("deletes"));
        ensure!(counts == (300, 40, 260), "{counts:?}: {lines:?}");
        let commands: Vec<_> = lines.iter().filter_map(|line| line["command"].as_str()).collect();
        ensure!(commands == ["create"], "{commands:?}");
    }
    let database = run_json(&data, &["timeline", "--ns", "shop.*"]).await?.expect_success()?;
    let database = database.json_lines()?;
    let dropped = database.iter().find(|line| line["command"] == "drop").context("a drop")?;
    ensure!(dropped["ns"] == "shop.notes", "{dropped}");
    ensure!(database.iter().all(|line| line["ns"] != "shopping.carts"), "{database:?}");

    let data_name = data.display().to_string();
    let text =
        run(&["timeline", "--data", &data_name, "--bucket", "1s"]).await?.expect_success()?;
    ensure!(text.stdout.contains("mostly deletes"), "{}", text.stdout);
    ensure!(text.stdout.contains("drop  shop.notes"), "{}", text.stdout);
    let deletes = ["find", "--ns", "shop.orders", "--op", "d", "--limit", "0"];
    let deletes = run_json(&data, &deletes).await?.expect_success()?.json_lines()?;
    let first = &deletes.first().context("a delete")?["ts"]["$timestamp"];
    let storm = format!("({},{})  the first of 260 deletes  shop.orders", first["t"], first["i"]);
    ensure!(text.stdout.contains(&storm), "{storm} is not in {}", text.stdout);
    run(&["timeline", "--data", &data_name, "--bucket", "500ms"]).await?.expect_code(2)?;
    ensure!(up.stop().await?.success(), "{}", up.stderr());
    Ok(())
}
