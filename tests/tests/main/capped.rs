//! Tests capped collections: what a restore holds of them, and in which order. Servers below 5.0 do
//! not log what they trim (docs/decisions/0003); later servers do.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use bson::{Document, doc};
use futures_util::TryStreamExt;
use hindsight_tests::hindsight::run_json;
use hindsight_tests::mongod::server_version;
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions};
use mongodb::{Client, Collection};

use crate::capture_checks::restored;

/// Collections that are capped by size, by number, and by whichever limit comes first.
const COLLECTIONS: [(&str, i32, Option<i32>); 3] =
    [("sized", 30_000, None), ("counted", 1_000_000, Some(40)), ("both", 20_000, Some(60))];
/// Documents that are inserted before anything is captured: every collection has rolled over
/// several times by then.
const BEFORE: i32 = 500;

fn collection(client: &Client, name: &str) -> Collection<Document> {
    client.database("w").collection(name)
}

/// Returns a document whose size, between 100 and 1,500 bytes, depends on its id.
fn document(id: i32) -> Document {
    let length = (id.unsigned_abs() as usize * 7_919) % 1_400;
    doc! {"_id": id, "f": "x".repeat(length + 70)}
}

/// Returns the ids in natural order.
async fn ids(client: &Client, name: &str) -> Result<Vec<i32>> {
    let found = collection(client, name).find(doc! {}).sort(doc! {"$natural": 1}).await?;
    let documents: Vec<Document> = found.try_collect().await?;
    documents.iter().map(|document| Ok(document.get_i32("_id")?)).collect()
}

async fn insert(client: &Client, ids: std::ops::Range<i32>) -> Result<()> {
    for id in ids {
        for (name, ..) in COLLECTIONS {
            collection(client, name).insert_one(document(id)).await?;
        }
    }
    Ok(())
}

/// Returns, for each collection, what the source has now and what a restore of now has.
async fn held_and_restored(client: &Client, data: &Path) -> Result<Vec<(Vec<i32>, Vec<i32>)>> {
    let last = hindsight_tests::replica_set::last_timestamp(client).await?;
    run_json(data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    let target = restored(data, last).await?;
    let restored = target.client().await?;
    let mut found = Vec::new();
    for (name, ..) in COLLECTIONS {
        found.push((ids(client, name).await?, ids(&restored, name).await?));
    }
    Ok(found)
}

fn assert_equal(found: &[(Vec<i32>, Vec<i32>)], when: &str) -> Result<()> {
    for ((name, ..), (held, restored)) in COLLECTIONS.iter().zip(found) {
        ensure!(held == restored, "{name} {when}: held {held:?}, restored {restored:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_capped_collection_held_is_restored_in_its_order() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    for (name, size, max) in COLLECTIONS {
        let mut create = doc! {"create": name, "capped": true, "size": size};
        create.extend(max.map(|max| ("max".to_owned(), max.into())));
        client.database("w").run_command(create).await?;
    }
    insert(&client, 0..BEFORE).await?;

    // The collections keep rolling over while the base is read.
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (client, stop) = (client.clone(), Arc::clone(&stop));
        async move {
            let mut next = BEFORE;
            while !stop.load(Ordering::Relaxed) {
                insert(&client, next..next + 1).await?;
                next += 1;
            }
            anyhow::Ok(next)
        }
    });
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    stop.store(true, Ordering::Relaxed);
    let next = writer.await??;
    assert_equal(&held_and_restored(&client, &data).await?, "after the base copy")?;

    insert(&client, next..next + 100).await?;
    assert_equal(&held_and_restored(&client, &data).await?, "after more")?;

    // Below 5.0, even an insert that fails removes the oldest documents, on the primary alone.
    for (name, ..) in COLLECTIONS {
        let failed = collection(&client, name).insert_one(document(next + 99)).await;
        ensure!(failed.is_err(), "a duplicate in {name} was accepted");
    }
    let found = held_and_restored(&client, &data).await?;
    if server_version(&client).await? >= (5, 0) {
        assert_equal(&found, "after failed inserts")?;
    }
    for ((name, ..), (held, restored)) in COLLECTIONS.iter().zip(&found) {
        ensure!(restored.ends_with(held), "{name}: held {held:?}, restored {restored:?}");
        ensure!(restored.len() <= held.len() + 20, "{name}: held {held:?}, restored {restored:?}");
    }
    // Documents that were removed too early soon roll out on both sides.
    insert(&client, next + 100..next + 200).await?;
    assert_equal(&held_and_restored(&client, &data).await?, "after the failed inserts")?;
    let status = up.stop().await?;
    ensure!(status.success(), "up ended with {status}");
    Ok(())
}
