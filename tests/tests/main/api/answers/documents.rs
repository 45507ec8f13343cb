//! Compares single documents at each time, over both protocols and in all formats, and their
//! versions.

use anyhow::{Context, Result, ensure};
use bson::{RawDocument, RawDocumentBuf, Timestamp};
use hindsight_oplog::raw::Doc;
use hindsight_proto::v1 as api;
use hindsight_tests::Api;
use hindsight_tests::api::{encoded, reason};
use rand::Rng;

use super::super::served::until;
use super::Asked;
use super::held::{as_argument, canonical};
use crate::capture_checks::spelled;

const IDS: usize = 150;

pub(super) async fn compare(asked: &mut Asked) -> Result<()> {
    let ids = asked.ids(IDS);
    let (mut there, mut not_there, mut over_http) = (0, 0, 0);
    for (ns, id) in &ids {
        let page_size = asked.random.random_range(1..4);
        let versions = versions(&asked.api, ns, id, page_size).await?;
        for held in &asked.held {
            let about = || format!("{ns} {id:?} at {}", held.at);
            let wanted = held.find(ns, id);
            let missing = match held.collections.get(ns) {
                // The name was that of a collection at another time.
                Some(it) if it.kind != "collection" => "NO_SUCH_COLLECTION",
                // In such a collection, another spelling of the id may be equal.
                Some(it) if it.is_collated() && holds_strings(id)? => "INVALID_ARGUMENT",
                Some(_) => "NO_SUCH_DOCUMENT",
                None => "NO_SUCH_COLLECTION",
            };
            let got = get(&asked.api, ns, id, held.at, missing).await.with_context(about)?;
            same(got.as_deref(), wanted).with_context(about)?;
            same(in_force(&versions, held.at), wanted).with_context(about).context("versions")?;
            if let Some(path) = path(ns, id) {
                get_http(&asked.api, &path, held.at, wanted, missing).await.with_context(about)?;
                over_http += 1;
            }
            *if wanted.is_some() { &mut there } else { &mut not_there } += 1;
        }
        if let Some(path) = path(ns, id) {
            versions_http(&asked.api, &path, &versions).await?;
        }
    }
    println!("{there} documents and {not_there} that were not there, {over_http} over HTTP");
    ensure!(there > IDS && not_there > 20 && over_http > IDS, "that says little");
    Ok(())
}

fn holds_strings(id: &RawDocument) -> Result<bool> {
    let id = Doc::new(id.as_bytes())?.first()?.context("an id")?;
    Ok(hindsight_query::holds_strings(id))
}

fn same(got: Option<&[u8]>, wanted: Option<&RawDocumentBuf>) -> Result<()> {
    let wanted = wanted.map(|document| document.as_bytes());
    ensure!(got == wanted, "{got:?} is not {wanted:?}");
    Ok(())
}

async fn get(
    api: &Api,
    ns: &str,
    id: &RawDocument,
    at: Timestamp,
    missing: &str,
) -> Result<Option<bytes::Bytes>> {
    let id = bytes::Bytes::copy_from_slice(id.as_bytes());
    let request = api::GetDocumentRequest { ns: ns.to_owned(), id, at: until(at) };
    match api.hindsight.clone().get_document(request).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            let answered_at = answer.at.context("a time")?;
            ensure!((answered_at.t, answered_at.i) == (at.time, at.increment), "{answered_at:?}");
            Ok(Some(answer.document))
        }
        Err(status) => {
            ensure!(reason(&status) == *missing, "{status:?} is not {missing}");
            Ok(None)
        }
    }
}

/// Returns the path of a document, or `None` for an id that JSON would change.
fn path(ns: &str, id: &RawDocument) -> Option<String> {
    let text = as_argument(id)?;
    let json: serde_json::Value = serde_json::from_str(&text).ok()?;
    let id = json.get("_id")?.to_string();
    Some(format!("/v1/collections/{}/documents/{}", encoded(ns), encoded(&id)))
}

async fn get_http(
    api: &Api,
    path: &str,
    at: Timestamp,
    wanted: Option<&RawDocumentBuf>,
    missing: &str,
) -> Result<()> {
    let path = format!("{path}?at={}", spelled(at));
    let json = api.get(&path).await?;
    let raw = api.get_as(&path, "application/bson").await?;
    let Some(wanted) = wanted else {
        let status = if missing == "INVALID_ARGUMENT" { 400 } else { 404 };
        ensure!(json.expect(status)?.reason()? == missing);
        ensure!(raw.expect(status)?.reason()? == missing);
        return Ok(());
    };
    let json = json.expect(200)?.json()?;
    ensure!(json["document"] == canonical(wanted)?, "{json} is not {wanted:?}");
    ensure!(json["at"] == serde_json::json!({"t": at.time, "i": at.increment}), "{json}");
    let raw = raw.expect(200)?;
    ensure!(raw.body == wanted.as_bytes(), "{raw:?} is not {wanted:?}");
    ensure!(raw.header("content-type") == "application/bson", "{raw:?}");
    ensure!(raw.header("hindsight-at") == spelled(at), "{raw:?}");
    Ok(())
}

/// Returns all versions, in pages of this size.
async fn versions(
    api: &Api,
    ns: &str,
    id: &RawDocument,
    page_size: u32,
) -> Result<Vec<api::Version>> {
    let mut request = api::ListVersionsRequest {
        ns: ns.to_owned(),
        id: bytes::Bytes::copy_from_slice(id.as_bytes()),
        page_size,
        page_token: String::new(),
    };
    let mut all: Vec<api::Version> = Vec::new();
    loop {
        let page = api.hindsight.clone().list_versions(request.clone()).await?.into_inner();
        ensure!(page.versions.len() <= page_size as usize, "a page of {}", page.versions.len());
        all.extend(page.versions);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let position = |version: &api::Version| version.from.map(|from| (from.t, from.i));
    ensure!(all.is_sorted_by_key(position), "out of order: {all:?}");
    request.page_size = 0;
    request.page_token.clear();
    let whole = api.hindsight.clone().list_versions(request).await?.into_inner();
    ensure!(whole.versions == all && whole.next_page_token.is_empty(), "pages: {all:?}");
    Ok(all)
}

fn in_force(versions: &[api::Version], at: Timestamp) -> Option<&[u8]> {
    let has_come = |version: &&api::Version| {
        version.from.is_some_and(|from| (from.t, from.i) <= (at.time, at.increment))
    };
    versions.iter().take_while(has_come).last()?.document.as_deref()
}

async fn versions_http(api: &Api, path: &str, versions: &[api::Version]) -> Result<()> {
    let json = api.get(&format!("{path}/versions")).await?.expect(200)?.json()?;
    let told = json["versions"].as_array().context("versions")?;
    ensure!(told.len() == versions.len(), "{json} is not {versions:?}");
    for (told, version) in told.iter().zip(versions) {
        let document = match &version.document {
            None => serde_json::Value::Null,
            Some(document) => canonical(RawDocument::from_bytes(document)?)?,
        };
        ensure!(told["document"] == document, "{told} is not {version:?}");
        let from = version.from.context("a time")?;
        ensure!(told["from"] == serde_json::json!({"t": from.t, "i": from.i}), "{told}");
    }
    Ok(())
}
