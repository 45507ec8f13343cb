//! Tests restores as operations: begun by one call, and watched and ended by others.

mod begun;
mod ended;
mod repeated;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::{Document, doc};
use hindsight_proto::longrunning::{Operation, operation};
use hindsight_proto::v1 as api;
use hindsight_tests::{Api, Mongod, MongodOptions};
use mongodb::Client;
use prost_types::Any;

use super::served::Served;

/// Enough documents that a restore can be caught in the middle of them.
const DOCUMENTS: i32 = 120_000;
const BATCH: i32 = 20_000;
const PATIENCE: Duration = Duration::from_secs(120);
/// How many inserts wait, of about twenty that run four at a time. A restore reports its progress
/// twice per second.
const SLOW_INSERTS: i32 = 12;
const WAIT_OF_AN_INSERT: Duration = Duration::from_millis(500);

/// Starts a source with so many documents that a restore takes some seconds.
async fn full_source() -> Result<Served> {
    let served = Served::start(&[]).await?;
    let orders = served.client.database("shop").collection::<Document>("orders");
    let payload = "x".repeat(300);
    for first in (0..DOCUMENTS).step_by(BATCH as usize) {
        let order = |number: i32| doc! {"_id": number, "n": number % 97, "payload": &payload};
        orders.insert_many((first..first + BATCH).map(order)).await?;
    }
    let small = served.client.database("shop").collection::<Document>("notes");
    small.insert_many((0..50).map(|number| doc! {"_id": number})).await?;
    orders.create_index(mongodb::IndexModel::builder().keys(doc! {"n": 1}).build()).await?;
    served.now().await?;
    Ok(served)
}

/// Starts an empty server whose first inserts are slow, so that a restore into it can be caught in
/// the middle however fast the machine is.
async fn slow_target() -> Result<Mongod> {
    let options = MongodOptions::default().parameter("enableTestCommands", "1");
    let target = Mongod::standalone(&options).await?;
    let milliseconds = i64::try_from(WAIT_OF_AN_INSERT.as_millis())?;
    let slow = doc! {
        "configureFailPoint": "failCommand",
        "mode": {"times": SLOW_INSERTS},
        "data": {"failCommands": ["insert"], "blockConnection": true, "blockTimeMS": milliseconds},
    };
    target.client().await?.database("admin").run_command(slow).await?;
    Ok(target)
}

fn request(target: &Mongod) -> api::CreateRestoreRequest {
    let time = Some(api::TimeSpec { text: "latest".into(), exclusive: false });
    let restore = api::RestoreSpec { time, to: target.uri(), ..Default::default() };
    api::CreateRestoreRequest { restore: Some(restore), ..Default::default() }
}

async fn create(api: &Api, target: &Mongod) -> Result<Operation> {
    let operation = api.hindsight.clone().create_restore(request(target)).await?.into_inner();
    ensure!(operation.name.starts_with("operations/"), "{operation:?}");
    Ok(operation)
}

fn metadata(operation: &Operation) -> Result<api::RestoreMetadata> {
    let metadata: &Any = operation.metadata.as_ref().context("an operation without metadata")?;
    Ok(metadata.to_msg()?)
}

/// Returns the report of a restore that succeeded. It says whether everything was read back.
fn report(operation: &Operation) -> Result<api::RestoreReport> {
    match &operation.result {
        Some(operation::Result::Response(report)) => Ok(report.to_msg()?),
        other => anyhow::bail!("no report: {other:?}"),
    }
}

async fn get(api: &Api, name: &str) -> Result<Operation> {
    let request = hindsight_proto::longrunning::GetOperationRequest { name: name.into() };
    Ok(api.operations.clone().get_operation(request).await?.into_inner())
}

/// Asks for an operation again and again until `is` returns true for it.
async fn until(
    api: &Api,
    name: &str,
    what: &str,
    is: impl Fn(&Operation, &api::RestoreMetadata) -> bool,
) -> Result<Operation> {
    let started = Instant::now();
    loop {
        let operation = get(api, name).await?;
        if is(&operation, &metadata(&operation)?) {
            return Ok(operation);
        }
        ensure!(started.elapsed() < PATIENCE, "not {what} after {PATIENCE:?}: {operation:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until_done(api: &Api, name: &str) -> Result<Operation> {
    until(api, name, "done", |operation, _| operation.done).await
}

/// Waits until the target holds some documents, and then pauses the target, so that this stays so.
async fn hold_in_the_middle(api: &Api, name: &str, target: &mut Mongod) -> Result<()> {
    let client = target.client().await?;
    let orders = client.database("shop").collection::<Document>("orders");
    let started = Instant::now();
    while orders.estimated_document_count().await? == 0 {
        ensure!(started.elapsed() < PATIENCE, "nothing is written after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    target.pause()?;
    let operation = get(api, name).await?;
    ensure!(!operation.done, "it was done before it could be met: {operation:?}");
    Ok(())
}

async fn documents_in(client: &Client) -> Result<u64> {
    Ok(client.database("shop").collection::<Document>("orders").count_documents(doc! {}).await?)
}
