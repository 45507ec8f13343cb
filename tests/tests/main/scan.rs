//! Tests that `scan` at a time, with a filter and a projection, answers like a server restored to
//! that time.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use hindsight_tests::hindsight::run_json;
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions};
use serde_json::Value;

use crate::capture_checks::{restored, spelled};

const ORDERS: i32 = 500;

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_scan_answers_what_a_restored_server_answers() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    let orders = client.database("shop").collection::<Document>("orders");
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    // The window begins where the base is exact.
    run_json(&data, &["wait"]).await?.expect_success()?;
    orders.insert_many((0..ORDERS).map(order)).await?;
    let at = last_timestamp(&client).await?;
    orders.update_many(doc! {}, doc! {"$set": {"total": -1}}).await?;
    orders.delete_many(doc! {"_id": {"$gt": 100}}).await?;
    run_json(&data, &["wait"]).await?.expect_success()?;

    let server = restored(&data, at).await?;
    let there = server.client().await?.database("shop").collection::<Document>("orders");
    for (filter, projection) in [
        (doc! {}, doc! {}),
        (doc! {"total": {"$gt": 300, "$lte": 900}}, doc! {"total": 1}),
        (doc! {"lines.sku": "b3"}, doc! {"lines": 0}),
        (doc! {"lines": {"$elemMatch": {"sku": "a1", "count": {"$gte": 2}}}}, doc! {"_id": 1}),
        (
            doc! {"$or": [{"note": {"$exists": false}}, {"note": null}]},
            doc! {"lines.sku": 1, "_id": 0},
        ),
        (doc! {"note": {"$regex": "^ORDER 1.$", "$options": "i"}}, doc! {}),
        (doc! {"_id": {"$mod": [7, 3]}, "total": {"$type": "double"}}, doc! {}),
        (doc! {"total": {"$in": [Bson::Double(6.0), Bson::Int64(9), Bson::Null]}}, doc! {}),
        (doc! {"no": "such"}, doc! {}),
    ] {
        let found = there.find(filter.clone()).projection(projection.clone());
        let wanted: Vec<Document> = found.sort(doc! {"_id": 1}).await?.try_collect().await?;
        let wanted: Vec<Value> =
            wanted.into_iter().map(|it| Bson::Document(it).into_canonical_extjson()).collect();
        let json = |document: &Document| {
            Bson::Document(document.clone()).into_canonical_extjson().to_string()
        };
        let (filter, projection, time) = (json(&filter), json(&projection), spelled(at));
        let args = [
            "scan",
            "shop.orders",
            "--at",
            &time,
            "--filter",
            &filter,
            "--projection",
            &projection,
        ];
        let answer = run_json(&data, &args).await?.expect_success()?;
        let answer = answer.json_lines().with_context(|| answer.stdout.clone())?;
        ensure!(answer == wanted, "{filter} {projection}: {answer:?} is not {wanted:?}");
    }
    let limited = ["scan", "shop.orders", "--at", &spelled(at), "--limit", "3", "--filter", "{}"];
    let limited = run_json(&data, &limited).await?.expect_success()?.json_lines()?;
    ensure!(limited.len() == 3, "{limited:?}");
    for (flag, text, word) in [
        ("--filter", "{\"a\":{\"$near\":1}}", "$near"),
        ("--filter", "{\"a\":", "JSON"),
        ("--filter", "[1]", "not a document"),
        ("--projection", "{\"a\":1,\"b\":0}", "projection"),
    ] {
        let refused =
            run_json(&data, &["scan", "shop.orders", flag, text]).await?.expect_code(2)?;
        ensure!(refused.stderr.contains(word), "{word:?} is missing: {}", refused.stderr);
    }
    ensure!(up.stop().await?.success(), "{}", up.stderr());
    Ok(())
}

fn order(number: i32) -> Document {
    let line = |of: i32| doc! {"sku": format!("{}{}", ["a", "b"][of as usize % 2], of % 5), "count": of % 4};
    let mut order = doc! {
        "_id": number,
        "total": if number % 3 == 0 { Bson::Double(f64::from(number) * 2.0) } else { Bson::Int32(number * 2) },
        "lines": [line(number), line(number / 3)],
    };
    match number % 4 {
        0 => drop(order.insert("note", format!("Order {number}"))),
        1 => drop(order.insert("note", Bson::Null)),
        _ => {}
    }
    order
}
