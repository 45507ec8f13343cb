//! Tests restores that are refused before they begin.

use anyhow::{Context, Result, ensure};
use bson::{Document, doc};
use hindsight_proto::v1 as api;
use hindsight_tests::{Api, Mongod, MongodOptions};
use serde_json::{Value, json};
use tonic::Code;

use super::super::served::Served;
use super::{failed, problem};

fn request(time: &str, to: &str, request_id: &str) -> api::CreateRestoreRequest {
    let time = Some(api::TimeSpec { text: time.into(), exclusive: false });
    let restore = api::RestoreSpec { time, to: to.into(), ..Default::default() };
    let request_id = request_id.into();
    api::CreateRestoreRequest { restore: Some(restore), request_id, validate_only: false }
}

fn body(to: &str) -> Value {
    json!({"restore": {"until": "latest", "to": to}})
}

pub(super) async fn refusals(served: &Served) -> Result<()> {
    let target = Mongod::standalone(&MongodOptions::default()).await?;
    let there = target.client().await?.database("shop").collection::<Document>("orders");
    there.insert_one(doc! {"_id": "mine"}).await?;
    let api = served.api().await?;
    let full = target.uri();
    let source = served.set.uri();
    let nobody = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300";
    let user = "mongodb://root:hunter2secret@127.0.0.1:1/?serverSelectionTimeoutMS=300";
    let invalid = (Code::InvalidArgument, "INVALID_ARGUMENT", 400);
    for (what, to, (code, reason, status)) in [
        ("a full target", full.as_str(), (Code::FailedPrecondition, "TARGET_NOT_EMPTY", 409)),
        ("the source", source.as_str(), (Code::FailedPrecondition, "TARGET_UNSUITABLE", 409)),
        ("nobody", nobody, (Code::Unavailable, "TARGET_UNAVAILABLE", 424)),
        ("nobody with a password", user, (Code::Unavailable, "TARGET_UNAVAILABLE", 424)),
        ("no URI", "x", invalid),
        ("an empty URI", "", invalid),
        ("a URI of another kind", "http://127.0.0.1:1/", invalid),
        ("a password that is not encoded", "mongodb://root:hunter2?t@127.0.0.1:1/", invalid),
        ("another one", "mongodb://root:hunter2%é@127.0.0.1:1/", invalid),
        ("a password without a host", "mongodb://root:hunter2", invalid),
    ] {
        let answer = api.hindsight.clone().create_restore(request("latest", to, "")).await;
        if let Err(status) = &answer {
            ensure!(!status.message().contains("hunter2"), "{status:?}");
        }
        failed(what, answer, code, reason)?;
        let spec = request("latest", to, "").restore;
        let plan = api::PlanRestoreRequest { restore: spec };
        let answer = api.hindsight.clone().plan_restore(plan).await;
        failed(what, answer, code, reason)?;
        let answer = api.post("/v1/restores", &body(to)).await?;
        problem(what, &answer, status, reason)?;
        ensure!(!String::from_utf8_lossy(&answer.body).contains("hunter2"), "{answer:?}");
        let answer = api.post("/v1/restores/plan", &body(to)["restore"]).await?;
        problem(what, &answer, status, reason)?;
    }
    let mine = there.find_one(doc! {}).await?.context("what was there")?;
    ensure!(mine == doc! {"_id": "mine"}, "{mine}");
    ensure!(there.count_documents(doc! {}).await? == 1, "something was written");
    ensure!(!served.up.stderr().contains("hunter2"), "a password is in the log");
    let audit = std::fs::read_to_string(served.data.join("audit.jsonl"))?;
    ensure!(!audit.contains("hunter2"), "a password is in the audit file");
    ids(&api).await
}

async fn ids(api: &Api) -> Result<()> {
    let target = Mongod::standalone(&MongodOptions::default()).await?;
    let create = |request| {
        let mut hindsight = api.hindsight.clone();
        async move { hindsight.create_restore(request).await }
    };
    let nothing = api::CreateRestoreRequest::default();
    let invalid = (Code::InvalidArgument, "INVALID_ARGUMENT");
    failed("no restore", create(nothing).await, invalid.0, invalid.1)?;
    let no_uuid = request("latest", &target.uri(), "mine");
    failed("no UUID", create(no_uuid).await, invalid.0, invalid.1)?;
    for (until, before) in [(Some("latest"), Some("latest")), (None, None)] {
        let body = json!({"restore": {"until": until, "before": before, "to": target.uri()}});
        problem("two times", &api.post("/v1/restores", &body).await?, 400, "INVALID_ARGUMENT")?;
    }

    let id = "0b3c6ab5-6f1c-4a7e-9d43-2b1b6f0d9a11";
    let first = create(request("latest", &target.uri(), id)).await?.into_inner();
    let second = create(request("latest", &target.uri(), id)).await?.into_inner();
    ensure!(first.name == second.name, "{} and {}", first.name, second.name);
    let other = create(request("latest", "mongodb://127.0.0.1:1", id)).await;
    failed("another target", other, Code::AlreadyExists, "REQUEST_ID_REUSED")?;
    let mut other = body("mongodb://127.0.0.1:1");
    other["request_id"] = id.into();
    let answer = api.post("/v1/restores", &other).await?;
    problem("another target", &answer, 409, "REQUEST_ID_REUSED")
}
