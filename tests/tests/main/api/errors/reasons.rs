//! Tests questions that have no answer.

use anyhow::{Context, Result, ensure};
use bson::{Bson, Document, doc, rawdoc};
use hindsight_proto::longrunning::{GetOperationRequest, ListOperationsRequest};
use hindsight_proto::v1::{self as v1, TimeSpec};
use hindsight_tests::Api;
use hindsight_tests::api::encoded;
use tonic::Code;

use super::super::served::Served;
use super::{failed, problem};

fn at(text: &str) -> Option<TimeSpec> {
    Some(TimeSpec { text: text.into(), exclusive: false })
}

fn id(value: impl Into<Bson>) -> bytes::Bytes {
    let document = doc! {"_id": value.into()};
    document.to_vec().unwrap().into()
}

fn get(ns: &str, id: bytes::Bytes, time: &str) -> v1::GetDocumentRequest {
    v1::GetDocumentRequest { ns: ns.into(), id, at: at(time) }
}

fn scan(filter: Document) -> v1::ScanCollectionRequest {
    let filter = filter.to_vec().unwrap().into();
    v1::ScanCollectionRequest { ns: "shop.orders".into(), filter, ..Default::default() }
}

pub(super) async fn questions(served: &Served) -> Result<()> {
    let api = served.api().await?;
    documents(&api).await?;
    scans(&api).await?;
    times(&api).await?;
    paths(&api).await?;
    deadlines(served).await
}

async fn documents(api: &Api) -> Result<()> {
    let not_found = (Code::NotFound, "NO_SUCH_DOCUMENT");
    let invalid = (Code::InvalidArgument, "INVALID_ARGUMENT");
    let no_id = bytes::Bytes::from(rawdoc! {"x": 1}.into_bytes());
    for (what, request, (code, reason)) in [
        ("a document that never was", get("shop.orders", id(99_999), "latest"), not_found),
        (
            "a collection that never was",
            get("shop.none", id(1), "latest"),
            (Code::NotFound, "NO_SUCH_COLLECTION"),
        ),
        ("a name without a dot", get("shop", id(1), "latest"), invalid),
        ("a name that ends with a dot", get("shop.", id(1), "latest"), invalid),
        ("no name", get("", id(1), "latest"), invalid),
        ("no id", get("shop.orders", bytes::Bytes::new(), "latest"), invalid),
        ("an id without _id", get("shop.orders", no_id, "latest"), invalid),
        ("an id that is no BSON", get("shop.orders", vec![7; 9].into(), "latest"), invalid),
        (
            "a time that is none",
            get("shop.orders", id(1), "yesterday"),
            (Code::InvalidArgument, "INVALID_TIME"),
        ),
    ] {
        failed(what, api.hindsight.clone().get_document(request).await, code, reason)?;
    }
    let request =
        v1::ListVersionsRequest { ns: "shop.orders".into(), id: id(-1), ..Default::default() };
    let answer = api.hindsight.clone().list_versions(request).await;
    failed("no versions", answer, Code::NotFound, "NO_SUCH_DOCUMENT")?;
    for (path, status, reason) in [
        ("/v1/collections/shop.orders/documents/99999", 404, "NO_SUCH_DOCUMENT"),
        ("/v1/collections/shop.orders/documents/99999/versions", 404, "NO_SUCH_DOCUMENT"),
        ("/v1/collections/shop/documents/1", 400, "INVALID_ARGUMENT"),
        ("/v1/collections/shop.orders/documents/%7B%22a", 400, "INVALID_ARGUMENT"),
        ("/v1/collections/shop.orders/documents/%FF", 400, "INVALID_ARGUMENT"),
        ("/v1/collections/shop.orders/documents/1?at=yesterday", 400, "INVALID_TIME"),
        ("/v1/collections/shop.orders/documents/1?at=latest&at=latest", 400, "INVALID_ARGUMENT"),
        ("/v1/collections/shop.orders/documents/1?when=latest", 400, "INVALID_ARGUMENT"),
        ("/v1/collections/shop.orders/documents/1?notation=poetic", 400, "INVALID_ARGUMENT"),
    ] {
        problem(path, &api.get(path).await?, status, reason)?;
    }
    Ok(())
}

async fn scans(api: &Api) -> Result<()> {
    let broken = v1::ScanCollectionRequest { filter: vec![1, 2].into(), ..scan(doc! {}) };
    let invalid = (Code::InvalidArgument, "INVALID_ARGUMENT");
    let both: bytes::Bytes = doc! {"a": 1, "b": 0}.to_vec()?.into();
    let projection = v1::ScanCollectionRequest { projection: both, ..scan(doc! {}) };
    let nowhere = v1::ScanCollectionRequest { ns: "shop.none".into(), ..Default::default() };
    let no_dot = v1::ScanCollectionRequest { ns: "shop".into(), ..Default::default() };
    for (what, request, (code, reason)) in [
        ("an unknown operator", scan(doc! {"n": {"$near": 1}}), invalid),
        ("a filter that is no BSON", broken, invalid),
        ("a mixed projection", projection, invalid),
        ("a collection that never was", nowhere, (Code::NotFound, "NO_SUCH_COLLECTION")),
        ("a name without a dot", no_dot, invalid),
    ] {
        failed(what, api.hindsight.clone().scan_collection(request).await, code, reason)?;
    }
    let entries = v1::SearchEntriesRequest { limit: 100_001, ..Default::default() };
    let answer = api.hindsight.clone().search_entries(entries).await;
    failed("too large a limit", answer.map(drop), invalid.0, invalid.1)?;
    let documents = "/v1/collections/shop.orders/documents";
    for (path, status, reason) in [
        (
            format!("{documents}?filter={}", encoded(r#"{"n":{"$near":1}}"#)),
            400,
            "INVALID_ARGUMENT",
        ),
        (format!("{documents}?filter={}", encoded(r#"{"n":"#)), 400, "INVALID_ARGUMENT"),
        (format!("{documents}?filter={}", encoded("[1]")), 400, "INVALID_ARGUMENT"),
        (format!("{documents}?limit=10001"), 400, "INVALID_ARGUMENT"),
        (format!("{documents}?limit=0"), 400, "INVALID_ARGUMENT"),
        (format!("{documents}?limit=-1"), 400, "INVALID_ARGUMENT"),
        (format!("{documents}?limit=18446744073709551616"), 400, "INVALID_ARGUMENT"),
        ("/v1/entries?limit=0".into(), 400, "INVALID_ARGUMENT"),
        ("/v1/entries?limit=10001".into(), 400, "INVALID_ARGUMENT"),
        ("/v1/collections/shop.none/documents".into(), 404, "NO_SUCH_COLLECTION"),
        ("/v1/diff".into(), 400, "INVALID_ARGUMENT"),
        ("/v1/collections?page_size=-1".into(), 400, "INVALID_ARGUMENT"),
    ] {
        problem(&path, &api.get(&path).await?, status, reason)?;
    }
    let missing = api.hindsight.clone().diff_times(v1::DiffTimesRequest::default()).await;
    failed("a difference from nowhere", missing.map(drop), invalid.0, invalid.1)
}

async fn times(api: &Api) -> Result<()> {
    let window = api.get("/v1/windows").await?.json()?["windows"][0].clone();
    let seconds = window["from"]["t"].as_u64().context("a window has a beginning")?;
    let outside = (Code::OutOfRange, "OUT_OF_WINDOW", 422);
    let no_time = (Code::InvalidArgument, "INVALID_TIME", 400);
    for (text, (code, reason, status)) in [
        ("1,1", outside),
        (&format!("{},1", seconds - 3_600), outside),
        ("4000000000,1", outside),
        ("2100-01-01T00:00:00Z", outside),
        ("9999-12-31T23:59:59Z", no_time),
        ("", no_time),
        ("1,1,1", no_time),
        (&"x".repeat(10_000), no_time),
    ] {
        let resolve = v1::ResolveTimeRequest { time: at(text) };
        let answer = api.hindsight.clone().resolve_time(resolve).await;
        let shown = &text[..text.len().min(40)];
        failed(shown, answer, code, reason)?;
        let path = format!("/v1/resolve?time={}", encoded(text));
        problem(shown, &api.get(&path).await?, status, reason)?;
    }
    let wait = v1::WaitRestorableRequest { time: at("4000000000,1"), timeout_ms: 300 };
    let answer = api.hindsight.clone().wait_restorable(wait).await;
    failed("a wait", answer, Code::DeadlineExceeded, "TIMED_OUT")?;
    let path = "/v1/wait?time=4000000000,1&timeout_ms=300";
    problem(path, &api.get(path).await?, 408, "TIMED_OUT")?;
    let path = format!("/v1/wait?time={},1", seconds - 3_600);
    problem(&path, &api.get(&path).await?, 422, "OUT_OF_WINDOW")?;
    unfinished_second(api).await
}

/// Tests the second in which the newest window ends: it is refused as long as more entries may come
/// in that second, and is never cut short.
async fn unfinished_second(api: &Api) -> Result<()> {
    for _ in 0..10 {
        let through = api.get("/v1/windows").await?.json()?["windows"][0]["through"].clone();
        let seconds = through["t"].to_string();
        let path = format!("/v1/resolve?time={seconds}");
        let answer = api.get(&path).await?;
        if answer.status == 200 {
            // Meanwhile, something came after that second.
            let at = answer.json()?["at"].clone();
            ensure!(at["i"] == u32::MAX, "{at} is not all of that second");
            continue;
        }
        problem(&path, &answer, 422, "OUT_OF_WINDOW")?;
        let detail = answer.json()?["detail"].to_string();
        for part in ["not held to its end yet", "latest", &format!("({seconds},")] {
            ensure!(detail.contains(part), "{part:?} is not in {detail}");
        }
        return Ok(());
    }
    anyhow::bail!("each time the second was over at once")
}

async fn paths(api: &Api) -> Result<()> {
    for path in ["/", "/v1", "/v1/nothing", "/v1/operations/", "/v2/status", "/v1/status/x"] {
        problem(path, &api.get(path).await?, 404, "NO_SUCH_PATH")?;
    }
    for (method, path, allowed) in [
        (axum::http::Method::POST, "/v1/status", "GET,HEAD"),
        (axum::http::Method::GET, "/v1/restores", "POST"),
        (axum::http::Method::PUT, "/v1/operations/x", "GET,HEAD,DELETE"),
    ] {
        let answer = api.send(method, path, &[], "").await?;
        problem(path, &answer, 405, "NO_SUCH_METHOD")?;
        let mut told: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
        let mut allowed: Vec<&str> = allowed.split(',').collect();
        told.sort_unstable();
        allowed.sort_unstable();
        ensure!(told == allowed, "{path} allows {told:?}");
    }
    let request = GetOperationRequest { name: "operations/none".into() };
    let answer = api.operations.clone().get_operation(request).await;
    failed("an operation", answer, Code::NotFound, "NO_SUCH_OPERATION")?;
    let path = "/v1/operations/none";
    problem(path, &api.get(path).await?, 404, "NO_SUCH_OPERATION")?;
    let request = ListOperationsRequest { filter: "x".into(), ..Default::default() };
    let answer = api.operations.clone().list_operations(request).await;
    failed("a filter of operations", answer, Code::InvalidArgument, "INVALID_ARGUMENT")
}

/// Sends a call by hand, because a client that knows the deadline ends the call itself and receives
/// no reason.
async fn deadlines(served: &Served) -> Result<()> {
    let wait = v1::WaitRestorableRequest { time: at("4000000000,1"), timeout_ms: 60_000 };
    let wait = prost::Message::encode_to_vec(&wait);
    let length = u32::try_from(wait.len())?.to_be_bytes();
    let head = "POST /hindsight.v1.Hindsight/WaitRestorable HTTP/1.1\r\n\
        Content-Type: application/grpc\r\nTE: trailers\r\ngrpc-timeout: 200m";
    let started = std::time::Instant::now();
    let answer = served.up.exchange(head, &[&[0][..], &length, &wait].concat()).await?;
    ensure!(started.elapsed().as_secs() < 10, "it took {:?}", started.elapsed());
    let code = answer.lines().find_map(|line| line.strip_prefix("grpc-status: "));
    ensure!(code == Some("4"), "not DEADLINE_EXCEEDED: {answer}");
    ensure!(answer.contains("deadline"), "it does not say why: {answer}");
    Ok(())
}

/// Sends tokens of other requests, parts of tokens, and text that never was a token.
pub(super) async fn pages(served: &Served) -> Result<()> {
    let api = served.api().await?;
    let page = |path: &str| {
        let (api, path) = (api.clone(), path.to_owned());
        async move {
            let answer = api.get(&path).await?.expect(200)?.json()?;
            let token = answer["next_page_token"].as_str().context("a token")?.to_owned();
            ensure!(!token.is_empty(), "{path} has no next page: {answer}");
            anyhow::Ok(token)
        }
    };
    let orders = "/v1/collections/shop.orders/documents";
    let scan = page(&format!("{orders}?limit=2")).await?;
    let collections = page("/v1/collections?page_size=1").await?;
    let filtered = format!("{orders}?filter=%7B%7D&limit=2&page_token=");
    let half = &scan[..scan.len() / 2];
    let extended = format!("{scan}AAAA");
    let reserved = scan.replace(|c: char| c.is_ascii_digit(), "!");
    let long = "A".repeat(40_000);
    for (path, token) in [
        (filtered.as_str(), scan.as_str()),
        ("/v1/collections?page_token=", &scan),
        ("/v1/collections?ns=shop.orders&page_token=", &collections),
        (&format!("{orders}?page_token="), &collections),
        (&format!("{orders}?page_token="), half),
        (&format!("{orders}?page_token="), &reserved),
        (&format!("{orders}?page_token="), "AQ"),
        (&format!("{orders}/1/versions?page_token="), &scan),
        ("/v1/operations?page_token=", &scan),
        ("/v1/operations?page_token=", "bm90IGEgdG9rZW4"),
    ] {
        let whole = format!("{path}{}", encoded(token));
        problem(&whole, &api.get(&whole).await?, 400, "INVALID_PAGE_TOKEN")?;
    }
    // The bytes after the key of an id need not be a key; they do no harm.
    api.get(&format!("{orders}?limit=2&page_token={extended}")).await?;
    let of = |page_token: &str| v1::ScanCollectionRequest {
        ns: "shop.orders".into(),
        page_token: page_token.into(),
        ..Default::default()
    };
    for token in [half, &long, "!", "\u{0}"] {
        let answer = api.hindsight.clone().scan_collection(of(token)).await;
        failed("a token", answer.map(drop), Code::InvalidArgument, "INVALID_PAGE_TOKEN")?;
    }
    Ok(())
}
