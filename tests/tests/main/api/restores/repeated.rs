//! Tests requests that are sent again, targets that do not answer, and records that earlier
//! processes left.

use std::time::Duration;

use anyhow::{Result, ensure};
use bson::{Document, doc};
use hindsight_proto::longrunning::{Operation, operation};
use hindsight_proto::v1 as api;
use hindsight_tests::api::reason;
use hindsight_tests::hindsight::run_json;
use hindsight_tests::{Api, HindsightProcess, Mongod, MongodOptions};
use prost_types::Any;
use tokio::net::TcpListener;
use tonic::{Code, Status};

use super::super::served::Served;
use super::{get, metadata, report, until_done};

const OFTEN: &str = "3f0c2a52-8f27-4f0e-9f53-5d1c0f5c7b01";
const SILENT: &str = "3f0c2a52-8f27-4f0e-9f53-5d1c0f5c7b02";
const OLD: &str = "3f0c2a52-8f27-4f0e-9f53-5d1c0f5c7b03";
/// A restore by an earlier version, with more collections than fit into a message of 4 MiB.
const OLD_NAME: &str = "restore-20260101-000000-0000ff";
const OLD_COLLECTIONS: usize = 200_000;
/// How long a restore waits for the target that does not answer.
const SILENCE: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_one_restore_however_often_it_is_sent() -> Result<()> {
    let mut served = Served::start(&[]).await?;
    let orders = served.client.database("shop").collection::<Document>("orders");
    orders.insert_many((0..100).map(|number| doc! {"_id": number})).await?;
    served.now().await?;
    let target = Mongod::standalone(&MongodOptions::default()).await?;
    let begun = at_the_same_time(&served.api().await?, &target.uri()).await?;
    validated_with_a_used_id(&served.api().await?).await?;
    silent(&served.api().await?).await?;
    by_command(&served).await?;
    restart(&mut served).await?;
    after_a_restart(&served.api().await?, &target.uri(), &begun).await?;
    let listed = run_json(&served.data, &["restores", "list"]).await?.expect_success()?;
    ensure!(listed.stdout.contains(OLD_NAME), "the large one is missing");
    served.ends_well().await
}

fn request(to: &str, request_id: &str) -> api::CreateRestoreRequest {
    let time = Some(api::TimeSpec { text: "latest".into(), exclusive: false });
    let restore = api::RestoreSpec { time, to: to.into(), ..Default::default() };
    let request_id = request_id.into();
    api::CreateRestoreRequest { restore: Some(restore), request_id, validate_only: false }
}

async fn create(api: &Api, request: api::CreateRestoreRequest) -> Result<Operation, Status> {
    Ok(api.hindsight.clone().create_restore(request).await?.into_inner())
}

fn is_reused(answer: Result<Operation, Status>) -> Result<()> {
    let Err(status) = answer else { anyhow::bail!("it is answered: {answer:?}") };
    let found = (status.code(), reason(&status));
    ensure!(found == (Code::AlreadyExists, "REQUEST_ID_REUSED".into()), "{status:?}");
    Ok(())
}

/// Makes two calls with one request, the second while the first is being prepared.
async fn at_the_same_time(api: &Api, to: &str) -> Result<Operation> {
    let (first, second) =
        tokio::join!(create(api, request(to, OFTEN)), create(api, request(to, OFTEN)));
    let (first, second) = (first?, second?);
    ensure!(first.name == second.name, "{} and {}", first.name, second.name);
    let ended = until_done(api, &first.name).await?;
    ensure!(report(&ended)?.verified, "{ended:?}");
    ensure!(create(api, request(to, OFTEN)).await? == ended);
    is_reused(create(api, request("mongodb://127.0.0.1:1", OFTEN)).await)?;
    Ok(ended)
}

async fn validated_with_a_used_id(api: &Api) -> Result<()> {
    let target = Mongod::standalone(&MongodOptions::default()).await?;
    let validate =
        api::CreateRestoreRequest { validate_only: true, ..request(&target.uri(), OFTEN) };
    let operation = create(api, validate).await?;
    ensure!(operation.done && operation.name.is_empty(), "{operation:?}");
    let plan = metadata(&operation)?.plan.unwrap_or_default();
    ensure!(plan.target.contains(&target.address()), "another target's plan: {plan:?}");
    Ok(())
}

/// Tests that a target that accepts connections and does not answer delays no other restore.
async fn silent(api: &Api) -> Result<()> {
    let target = Mongod::standalone(&MongodOptions::default()).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let wait = SILENCE.as_millis();
    let to = format!(
        "mongodb://{}/?directConnection=true&connectTimeoutMS={wait}&serverSelectionTimeoutMS={wait}",
        listener.local_addr()?
    );
    let (caller, slow) = (api.clone(), request(&to, SILENT));
    let slow = tokio::spawn(async move { create(&caller, slow).await });
    // Once the process has connected to the target, the restore is being prepared.
    let _unanswered = tokio::time::timeout(SILENCE, listener.accept()).await??;
    is_reused(create(api, request("mongodb://127.0.0.1:1", SILENT)).await)?;
    let begun = create(api, request(&target.uri(), "")).await?;
    ensure!(!slow.is_finished(), "it waited for the target that does not answer");
    ensure!(report(&until_done(api, &begun.name).await?)?.verified);
    let Err(status) = slow.await? else { anyhow::bail!("a target that does not answer is fine") };
    ensure!(reason(&status) == "TARGET_UNAVAILABLE", "{status:?}");
    // The id is free again, because nothing was begun with it.
    let again = create(api, request("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100", SILENT));
    let Err(status) = again.await else { anyhow::bail!("nobody is a target") };
    ensure!(reason(&status) == "TARGET_UNAVAILABLE", "{status:?}");
    Ok(())
}

/// Tests that a command begins exactly what it has printed before (I12).
async fn by_command(served: &Served) -> Result<()> {
    let target = Mongod::standalone(&MongodOptions::default()).await?;
    let args = ["restore", "--until", "latest", "--to", &target.uri()];
    let restored = run_json(&served.data, &args).await?.expect_success()?;
    let through = restored.json()?["through"].clone();
    let pinned = format!("{},{}", through["t"], through["i"]);
    let planned = "until latest (included): the last timestamp included is";
    ensure!(restored.stderr.contains(planned), "{}", restored.stderr);
    ensure!(restored.stderr.contains(&format!("({pinned})")), "{}", restored.stderr);
    let listed = run_json(&served.data, &["restores", "list"]).await?.expect_success()?;
    let newest = listed.json_lines()?.swap_remove(0);
    let text = newest["metadata"]["plan"]["text"].as_str().unwrap_or_default();
    ensure!(text.contains(&format!("until {pinned} (included)")), "{text}");
    Ok(())
}

/// Starts another process on the same directory, which holds a record of an earlier version.
async fn restart(served: &mut Served) -> Result<()> {
    ensure!(served.up.stop().await?.success(), "{}", served.up.stderr());
    let namespaces = (0..OLD_COLLECTIONS).map(|number| format!("shop.collection{number:012}"));
    let plan = api::RestorePlan { namespaces: namespaces.collect(), ..Default::default() };
    let metadata =
        api::RestoreMetadata { plan: Some(plan), request_id: OLD.into(), ..Default::default() };
    let report = api::RestoreReport { verified: true, ..Default::default() };
    let operation = Operation {
        name: format!("operations/{OLD_NAME}"),
        metadata: Some(Any::from_msg(&metadata)?),
        done: true,
        result: Some(operation::Result::Response(Any::from_msg(&report)?)),
    };
    let bytes = prost::Message::encode_to_vec(&operation);
    ensure!(bytes.len() > 4 << 20, "it fits: {}", bytes.len());
    std::fs::write(served.data.join("restores").join(OLD_NAME), bytes)?;
    served.up = HindsightProcess::up(&served.set.uri(), &served.data, &[]).await?;
    served.wait().await
}

async fn after_a_restart(api: &Api, to: &str, begun: &Operation) -> Result<()> {
    ensure!(get(api, &begun.name).await? == *begun, "it ended otherwise");
    ensure!(create(api, request(to, OFTEN)).await? == *begun, "it is another one");
    is_reused(create(api, request("mongodb://127.0.0.1:1", OFTEN)).await)?;
    // The request of this restore is no longer known.
    is_reused(create(api, request(to, OLD)).await)
}
