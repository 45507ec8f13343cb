//! Tests restores that succeed, however they are begun and whoever watches.

use anyhow::{Context, Result, ensure};
use axum::http::Method;
use futures_util::StreamExt;
use hindsight_proto::longrunning::{
    DeleteOperationRequest, ListOperationsRequest, Operation, WaitOperationRequest,
};
use hindsight_proto::v1 as api;
use hindsight_tests::dbhash;
use hindsight_tests::hindsight::run_json;
use hindsight_tests::{Api, Mongod, MongodOptions};
use mongodb::Client;
use serde_json::json;

use super::super::served::Served;
use super::{create, full_source, get, metadata, report, request, slow_target, until_done};

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_is_watched_to_its_verified_end() -> Result<()> {
    let served = full_source().await?;
    let api = served.api().await?;
    over_grpc(&served, &api).await?;
    over_http(&served, &api).await?;
    of_a_caller_who_leaves(&served, &api).await?;
    validated(&api).await?;
    served.ends_well().await
}

async fn equals_the_source(served: &Served, target: &Client) -> Result<()> {
    let source = dbhash::snapshot(&served.client).await?;
    let target = dbhash::snapshot(target).await?;
    let difference = dbhash::diff(&source, &target);
    ensure!(difference.is_none(), "the target differs: {}", difference.unwrap_or_default());
    Ok(())
}

async fn over_grpc(served: &Served, api: &Api) -> Result<()> {
    let target = slow_target().await?;
    let name = create(api, &target).await?.name;
    let watch = api::WatchRestoreRequest { name: name.clone() };
    let mut states = api.hindsight.clone().watch_restore(watch).await?.into_inner();
    let mut seen: Vec<Operation> = Vec::new();
    while let Some(state) = states.next().await {
        seen.push(state?);
    }
    let last = seen.last().context("a watch shows something")?.clone();
    ensure!(last.done && report(&last)?.verified, "{last:?}");
    let all: Vec<_> = seen.iter().map(metadata).collect::<Result<_>>()?;
    for pair in all.windows(2) {
        let rises = pair[0].phase < pair[1].phase
            || (pair[0].phase == pair[1].phase && pair[0].done <= pair[1].done);
        ensure!(rises, "it goes back: {:?} and then {:?}", pair[0], pair[1]);
    }
    let middle = all.iter().find(|now| now.phase() == api::RestorePhase::Documents && now.done > 0);
    let middle = middle.with_context(|| format!("no progress was seen: {all:?}"))?;
    ensure!(middle.total.is_none_or(|total| total >= middle.done), "{middle:?}");
    equals_the_source(served, &target.client().await?).await?;

    let end = metadata(&last)?;
    ensure!(end.requested_by == "local" && end.created_ms > 0, "{end:?}");
    ensure!(end.ended_ms >= end.created_ms, "{end:?}");
    let plan = end.plan.context("a plan")?;
    ensure!(plan.namespaces.contains(&"shop.orders".to_owned()), "{plan:?}");
    ensure!(get(api, &name).await? == last, "get and watch do not say the same");
    let wait = WaitOperationRequest { name: name.clone(), timeout: None };
    let waited = api.operations.clone().wait_operation(wait).await?.into_inner();
    ensure!(waited == last, "wait and watch do not say the same");
    let list = ListOperationsRequest::default();
    let listed = api.operations.clone().list_operations(list).await?.into_inner().operations;
    ensure!(listed == [last], "{listed:?}");

    let listed = run_json(&served.data, &["restores", "list"]).await?.expect_success()?;
    let listed = listed.json_lines()?;
    ensure!(listed.len() == 1 && listed[0]["name"] == *name, "{listed:?}");
    let watched = run_json(&served.data, &["restores", "watch", &name]).await?.expect_success()?;
    ensure!(watched.json()?["verified"] == true, "{}", watched.stdout);
    let delete = DeleteOperationRequest { name: name.clone() };
    api.operations.clone().delete_operation(delete).await?;
    ensure!(get(api, &name).await.is_err(), "a deleted operation is still there");
    Ok(())
}

async fn over_http(served: &Served, api: &Api) -> Result<()> {
    let target = slow_target().await?;
    let body = json!({
        "restore": {"until": "latest", "to": target.uri()},
        "request_id": "6f1c0d3e-54d5-4d0f-8bb8-9d4b4d8f2c11",
    });
    let begun = api.post("/v1/restores", &body).await?.expect(200)?.json()?;
    let path = format!("/v1/{}", begun["name"].as_str().context("a name")?);
    let again = api.post("/v1/restores", &body).await?.expect(200)?.json()?;
    ensure!(again["name"] == begun["name"], "{again}");
    let watched = api.get(&format!("{path}/watch")).await?.expect(200)?;
    ensure!(watched.header("content-type") == "application/x-ndjson", "{watched:?}");
    let states = watched.json_lines()?;
    let last = states.last().context("a watch shows something")?;
    ensure!(last["done"] == true && last["response"]["verified"] == true, "{last}");
    ensure!(last["metadata"]["phase"] == "done", "{last}");
    ensure!(states.iter().any(|it| it["metadata"]["phase"] == "documents"), "{states:?}");
    equals_the_source(served, &target.client().await?).await?;
    ensure!(api.get(&path).await?.expect(200)?.json()? == *last, "get and watch differ");
    let listed = api.get("/v1/operations").await?.expect(200)?.json()?;
    ensure!(listed["operations"] == json!([last]), "{listed}");
    let deleted = api.send(Method::DELETE, &path, &[], "").await?.expect(204)?;
    ensure!(deleted.body.is_empty(), "{deleted:?}");
    ensure!(api.get(&path).await?.expect(404)?.reason()? == "NO_SUCH_OPERATION");
    Ok(())
}

/// Tests that a restore goes on when the connection that began it is closed.
async fn of_a_caller_who_leaves(served: &Served, api: &Api) -> Result<()> {
    let target = slow_target().await?;
    let caller = served.api().await?;
    let name = create(&caller, &target).await?.name;
    let watch = api::WatchRestoreRequest { name: name.clone() };
    let mut states = caller.hindsight.clone().watch_restore(watch).await?.into_inner();
    states.next().await.context("a first state")??;
    drop((states, caller));
    let ended = until_done(api, &name).await?;
    ensure!(report(&ended)?.verified, "{ended:?}");
    equals_the_source(served, &target.client().await?).await
}

async fn validated(api: &Api) -> Result<()> {
    let target = Mongod::standalone(&MongodOptions::default()).await?;
    let request = api::CreateRestoreRequest { validate_only: true, ..request(&target) };
    let operation = api.hindsight.clone().create_restore(request).await?.into_inner();
    ensure!(operation.done && operation.name.is_empty(), "{operation:?}");
    let plan = metadata(&operation)?.plan.context("a plan")?;
    ensure!(plan.namespaces.contains(&"shop.notes".to_owned()), "{plan:?}");
    let body = json!({"restore": {"until": "latest", "to": target.uri()}, "validate_only": true});
    let answer = api.post("/v1/restores", &body).await?.expect(200)?.json()?;
    ensure!(answer["done"] == true && answer["name"] == "", "{answer}");
    let planned = api.post("/v1/restores/plan", &body["restore"]).await?.expect(200)?.json()?;
    ensure!(planned["namespaces"] == answer["metadata"]["plan"]["namespaces"], "{planned}");
    let held = dbhash::snapshot(&target.client().await?).await?;
    ensure!(held.collections.is_empty(), "something was written: {held:?}");
    Ok(())
}
