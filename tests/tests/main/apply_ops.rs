//! Tests a user's `applyOps` against the real server: what the history makes of the entry must be
//! what the server holds, byte for byte.
//!
//! MongoDB 6.0 and earlier apply such a command as a whole and log it as it was given: inserts of
//! existing documents, deletes of missing documents, and every update operator. Later servers log
//! each operation separately.

mod commands;
mod mirror;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bson::{Document, doc};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::mongod::server_version;
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions, dbhash};
use mongodb::Client;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::capture_checks::restored;
use crate::delta_fuzz::documents;
use mirror::Mirror;

const SEED: u64 = 20_261_130;
const DOCUMENTS: usize = 250;
const ROUNDS: usize = 16;

async fn apply_ops(client: &Client, command: Document) -> mongodb::error::Result<Document> {
    client.database("admin").run_command(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_user_applies_the_history_holds_what_the_server_does() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    let is_old = server_version(&client).await? < (5, 0);
    let mut random = StdRng::seed_from_u64(SEED);
    let slots = 0..DOCUMENTS;
    let whole: Vec<Document> = slots
        .map(|slot| documents::whole(&mut random, slot))
        .map(|whole| if is_old { documents::plainly_named(whole) } else { whole })
        .collect();
    let database = client.database("a");
    for name in mirror::COLLECTIONS {
        database.create_collection(name).await?;
        database.collection::<Document>(name).insert_many(&whole).await?;
    }
    let mirror = Mirror::of(&client).await?;
    let mut taken = 0;
    for round in 0..ROUNDS {
        let since = last_timestamp(&client).await?;
        for document in mirror.held(&client, "c").await?.values() {
            let document = Document::try_from(document)?;
            let command = commands::random(&mut random, &document);
            taken += usize::from(apply_ops(&client, command).await.is_ok());
        }
        mirror.follow(&client, since).await.with_context(|| format!("round {round}"))?;
        mirror.compare(&client).await.with_context(|| format!("round {round}"))?;
    }
    println!("{taken} commands were taken of {}", ROUNDS * DOCUMENTS);
    // From 7.0 on, the command takes no operators.
    let least = if server_version(&client).await? < (7, 0) { ROUNDS * DOCUMENTS / 4 } else { 1 };
    ensure!(taken >= least, "the server took {taken} commands only");
    Ok(())
}

/// Tests each form of the command with the whole program: none of them ends the history, and a
/// restore equals the source.
#[tokio::test(flavor = "multi_thread")]
async fn no_apply_ops_that_the_server_took_ends_the_history() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    let database = client.database("t");
    for (name, options) in commands::COLLECTIONS {
        let mut create = doc! {"create": name};
        create.extend(options());
        database.run_command(create).await?;
        database
            .collection(name)
            .insert_many([commands::document(1), commands::document(2)])
            .await?;
    }
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;

    let mut refused = Vec::new();
    for (name, _) in commands::COLLECTIONS {
        for command in commands::each_shape(&format!("t.{name}")) {
            if let Err(error) = apply_ops(&client, command.clone()).await {
                refused.push(format!("{command}: {error}"));
            }
        }
    }
    // Not every version takes delta updates, bare replacements, or deletes from capped collections.
    let limit = if server_version(&client).await? >= (7, 0) { usize::MAX } else { 12 };
    ensure!(refused.len() <= limit, "{} refused:\n{}", refused.len(), refused.join("\n"));

    let last = last_timestamp(&client).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    let target = restored(&data, last).await?;
    let held = dbhash::snapshot(&client).await?;
    let other = dbhash::snapshot(&target.client().await?).await?;
    ensure!(dbhash::diff(&held, &other).is_none(), "{:?}", dbhash::diff(&held, &other));
    let status = up.stop().await?;
    ensure!(status.success(), "up ended with {status}");
    Ok(())
}
