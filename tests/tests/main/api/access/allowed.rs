//! Tests each call with each role.

use std::collections::HashMap;
use std::fmt::Debug;

use anyhow::{Context, Result, ensure};
use axum::http::Method;
use bson::doc;
use hindsight_proto::longrunning as ops;
use hindsight_proto::v1 as api;
use hindsight_tests::Api;
use hindsight_tests::api::reason;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{Keys, PASSWORD};

/// The roles of callers, in ascending order of their rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Viewer,
    Operator,
    Restorer,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Restorer => "restorer",
        }
    }
}

/// Returns the URI of a target that nobody listens on.
fn nowhere() -> String {
    format!("mongodb://root:{PASSWORD}@127.0.0.1:1/?serverSelectionTimeoutMS=300")
}

fn restore() -> Option<api::RestoreSpec> {
    let time = Some(api::TimeSpec { text: "latest".into(), exclusive: false });
    Some(api::RestoreSpec { time, to: nowhere(), ..Default::default() })
}

pub(super) async fn by_role(url: &str, keys: &Keys) -> Result<()> {
    for (role, token) in [
        (Role::Viewer, &keys.viewer),
        (Role::Operator, &keys.operator),
        (Role::Restorer, &keys.restorer),
    ] {
        let api = Api::connect_with_tls(url, &keys.ca, Some(token)).await?;
        for (call, needed, code) in grpc(&api).await? {
            let about = format!("{call} by {role:?}");
            let Err(status) = code else {
                ensure!(role >= needed, "{about} is answered");
                continue;
            };
            let is_denied = status.code() == Code::PermissionDenied;
            ensure!(is_denied == (role < needed), "{about}: {status:?}");
            if is_denied {
                ensure!(reason(&status) == "PERMISSION_DENIED", "{about}: {status:?}");
                let details = status.get_error_details();
                let metadata: &HashMap<_, _> = &details.error_info().context("no info")?.metadata;
                ensure!(metadata["role"] == needed.name(), "{about}: {metadata:?}");
            }
        }
        for (method, path, body, needed, otherwise) in http() {
            let about = format!("{method} {path} by {role:?}");
            let json = [("content-type", "application/json")];
            let body = body.map_or_else(String::new, |body| body.to_string());
            let answer = api.send(method, path, &json, body).await?;
            let wanted = if role < needed { 403 } else { otherwise };
            ensure!(answer.status == wanted, "{about}: {answer:?}");
            if wanted == 403 {
                ensure!(answer.reason()? == "PERMISSION_DENIED", "{about}: {answer:?}");
            }
        }
    }
    Ok(())
}

type Called = (&'static str, Role, Result<(), Status>);

fn called<T: Debug>(call: &'static str, role: Role, answer: Result<T, Status>) -> Called {
    (call, role, answer.map(drop))
}

async fn grpc(api: &Api) -> Result<Vec<Called>> {
    use Role::{Operator, Restorer, Viewer};
    let (mut calls, mut operations) = (api.hindsight.clone(), api.operations.clone());
    let document = |id: i32| api::GetDocumentRequest {
        ns: "shop.orders".into(),
        id: doc! {"_id": id}.to_vec().unwrap().into(),
        at: None,
    };
    let scan = api::ScanCollectionRequest { ns: "shop.orders".into(), ..Default::default() };
    let scanned = match calls.scan_collection(scan).await {
        // Read to the end, so that the audit file says OK.
        Ok(mut answers) => loop {
            match answers.get_mut().message().await {
                Ok(Some(_)) => {}
                Ok(None) => break Ok(()),
                Err(status) => break Err(status),
            }
        },
        Err(status) => Err(status),
    };
    let plan = api::PlanRestoreRequest { restore: restore() };
    let create = api::CreateRestoreRequest { restore: restore(), ..Default::default() };
    let list = ops::ListOperationsRequest::default();
    let name = || "operations/none".to_owned();
    let cancel = ops::CancelOperationRequest { name: name() };
    let delete = ops::DeleteOperationRequest { name: name() };
    Ok(vec![
        called("GetStatus", Viewer, calls.get_status(api::GetStatusRequest {}).await),
        called("ListWindows", Viewer, calls.list_windows(api::ListWindowsRequest {}).await),
        called("GetDocument", Viewer, calls.get_document(document(1)).await),
        called("GetDocument", Viewer, calls.get_document(document(-1)).await),
        called("ScanCollection", Viewer, scanned),
        called("Verify", Operator, calls.verify(api::VerifyRequest { deep: false }).await),
        called("PlanRestore", Operator, calls.plan_restore(plan).await),
        called("CreateRestore", Restorer, calls.create_restore(create).await),
        called("ListOperations", Viewer, operations.list_operations(list).await),
        called("CancelOperation", Operator, operations.cancel_operation(cancel).await),
        called("DeleteOperation", Operator, operations.delete_operation(delete).await),
    ])
}

type HttpCall = (Method, &'static str, Option<Value>, Role, u16);

/// Returns the calls over HTTP. The last column is the status for callers with the role.
fn http() -> Vec<HttpCall> {
    use Role::{Operator, Restorer, Viewer};
    let spec = json!({"until": "latest", "to": nowhere()});
    let create = json!({"restore": spec});
    vec![
        (Method::GET, "/v1/status", None, Viewer, 200),
        (Method::GET, "/v1/collections/shop.orders/documents/1", None, Viewer, 200),
        (Method::GET, "/v1/collections/shop.orders/documents/77", None, Viewer, 404),
        (Method::GET, "/v1/entries", None, Viewer, 200),
        (Method::GET, "/v1/operations", None, Viewer, 200),
        (Method::GET, "/openapi.json", None, Viewer, 200),
        (Method::GET, "/metrics", None, Viewer, 200),
        (Method::POST, "/v1/verify", Some(json!({})), Operator, 200),
        (Method::POST, "/v1/restores/plan", Some(spec), Operator, 424),
        (Method::POST, "/v1/restores", Some(create), Restorer, 424),
        (Method::POST, "/v1/operations/none/cancel", None, Operator, 404),
        (Method::DELETE, "/v1/operations/none", None, Operator, 404),
    ]
}

/// Checks that callers without a token, or with an invalid token, learn nothing except whether the
/// process lives.
pub(super) async fn strangers(url: &str, keys: &Keys) -> Result<()> {
    let mut wrong = keys.viewer.clone();
    let last = wrong.pop().context("a token")?;
    wrong.push(if last == 'a' { 'b' } else { 'a' });
    for token in [None, Some(wrong.as_str()), Some("x")] {
        let api = Api::connect_with_tls(url, &keys.ca, token).await?;
        for (call, _, answer) in grpc(&api).await? {
            let status = answer.err().with_context(|| format!("{call} is answered"))?;
            ensure!(status.code() == Code::Unauthenticated, "{call}: {status:?}");
            ensure!(reason(&status) == "UNAUTHENTICATED", "{call}: {status:?}");
        }
        for (method, path, ..) in http() {
            if path == "/openapi.json" {
                continue;
            }
            let answer = api.send(method, path, &[], "").await?;
            ensure!(answer.status == 401, "{path}: {answer:?}");
            ensure!(answer.reason()? == "UNAUTHENTICATED", "{path}: {answer:?}");
            ensure!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
        }
        for path in ["/healthz", "/readyz", "/openapi.json"] {
            api.get(path).await?.expect(200)?;
        }
    }
    // The certificate is checked, and nothing is available without TLS.
    let other = rcgen::generate_simple_self_signed(vec!["localhost".into()])?.cert.pem();
    let other = Api::connect_with_tls(url, &other, Some(&keys.viewer)).await;
    ensure!(other.is_err(), "any certificate is taken");
    let plain = Api::connect(&url.replace("https", "http")).await;
    let answered = match plain {
        Ok(api) => api.get("/healthz").await.is_ok(),
        Err(_) => false,
    };
    ensure!(!answered, "answered without TLS");
    Ok(())
}
