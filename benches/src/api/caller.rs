//! Asks the same questions over gRPC and HTTP, with one connection for each. Every answer is
//! checked after its time was taken.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use bson::oid::ObjectId;
use bson::{Bson, Document, Timestamp, rawdoc};
use hindsight_proto::v1 as api;
use serde_json::Value;

use super::bodies::{
    DocumentCounter, Scanned, check_entry_id, check_id, check_json_entry_id, check_json_id,
    each_document, is_there,
};
use super::draw::spelled;
use super::http::{Connection, escaped};
use crate::questions::{Api, connect, get};
use crate::writes::DATABASE;

/// The format that is asked for over HTTP, where it is available; otherwise the format is JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One object, or, where that is refused, an object on each line.
    Json,
    /// BSON documents.
    Bson,
}

impl Format {
    fn of_stream(self) -> &'static str {
        match self {
            Self::Json => "application/x-ndjson",
            Self::Bson => "application/bson",
        }
    }
}

/// One connection to the API.
#[derive(Debug)]
pub enum Caller {
    /// A connection over gRPC.
    Grpc(Api),
    /// A connection over HTTP, with the format to ask for.
    Http(Connection, Format),
}

/// A request for the documents of a collection as of a time.
#[derive(Debug)]
pub struct Scan<'a> {
    /// The name of the collection, without the database.
    pub collection: &'a str,
    /// The time of the scan.
    pub at: Timestamp,
    /// The most documents to return; 0 means no limit.
    pub limit: u64,
    /// A filter in MongoDB's query language.
    pub filter: Option<&'a Document>,
}

impl Caller {
    /// Connects over gRPC.
    pub async fn grpc(url: &str) -> Result<Self> {
        Ok(Self::Grpc(connect(url.to_owned()).await?))
    }

    /// Connects over HTTP.
    pub async fn http(url: &str, format: Format) -> Result<Self> {
        Ok(Self::Http(Connection::open(url).await?, format))
    }

    /// Returns the name of the transport and the format, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Grpc(_) => "gRPC",
            Self::Http(_, Format::Json) => "HTTP, JSON",
            Self::Http(_, Format::Bson) => "HTTP, BSON",
        }
    }

    /// Returns whether the document existed, and how long the answer took.
    pub async fn get(
        &mut self,
        collection: &str,
        id: ObjectId,
        at: Timestamp,
    ) -> Result<(bool, Duration)> {
        let (connection, format) = match self {
            Self::Grpc(api) => {
                let (document, took) = get(api, collection, id, spelled(at)).await?;
                return Ok((document.is_some(), took));
            }
            Self::Http(connection, format) => (connection, *format),
        };
        let path = format!("{}?at={}", document_path(collection, id), spelled(at));
        let accept = if format == Format::Bson { "application/bson" } else { "application/json" };
        let (code, body, took) = ask(connection, &path, accept).await?;
        if !is_there(code, &body)? {
            return Ok((false, took));
        }
        match format {
            Format::Bson => check_id(&body, id)?,
            Format::Json => {
                check_json_id(&serde_json::from_slice::<Value>(&body)?["document"], id)?;
            }
        }
        Ok((true, took))
    }

    /// Returns how many versions there are, and how long the answer took.
    pub async fn versions(&mut self, collection: &str, id: ObjectId) -> Result<(u64, Duration)> {
        let connection = match self {
            Self::Grpc(api) => return grpc_versions(api, collection, id).await,
            Self::Http(connection, _) => connection,
        };
        let path = format!("{}/versions", document_path(collection, id));
        let (code, body, took) = ask(connection, &path, "application/json").await?;
        ensure!(is_there(code, &body)?, "{id} in {collection} has no versions");
        let answer: Value = serde_json::from_slice(&body)?;
        let versions = answer["versions"].as_array().map_or(&[][..], Vec::as_slice);
        ensure!(!versions.is_empty() && answer["next_page_token"] == "", "not all: {answer}");
        for version in versions.iter().filter(|version| !version["document"].is_null()) {
            check_json_id(&version["document"], id)?;
        }
        Ok((versions.len() as u64, took))
    }

    /// Returns how many entries of the document were returned, at most the newest `limit`, and how
    /// long the answer took. A limit of 0 streams all entries.
    pub async fn find(
        &mut self,
        collection: &str,
        id: ObjectId,
        limit: u64,
    ) -> Result<(u64, Duration)> {
        let (connection, format) = match self {
            Self::Grpc(api) => return grpc_find(api, collection, id, limit).await,
            Self::Http(connection, format) => (connection, *format),
        };
        let path = format!("/v1/entries?ns={DATABASE}.{collection}&id={id}&limit={limit}");
        let (code, body, took) = ask(connection, &path, format.of_stream()).await?;
        ensure!(is_there(code, &body)?, "no entries of {id} in {collection}");
        let entries = match format {
            Format::Bson => {
                let entries = each_document(&body)?;
                entries.iter().try_for_each(|entry| check_entry_id(entry, id))?;
                entries.len()
            }
            Format::Json => {
                let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                let entries =
                    lines.map(serde_json::from_slice).collect::<Result<Vec<Value>, _>>()?;
                entries.iter().try_for_each(|entry| check_json_entry_id(entry, id))?;
                entries.len()
            }
        };
        Ok((entries as u64, took))
    }

    /// Returns how many writes of the whole window the timeline counts, and how long the answer
    /// took.
    pub async fn timeline(&mut self) -> Result<(u64, Duration)> {
        let ns = format!("{DATABASE}.*");
        match self {
            Self::Grpc(api) => {
                let asked = Instant::now();
                let request = api::GetTimelineRequest { ns, ..Default::default() };
                let answer = api.get_timeline(request).await?.into_inner();
                let counted = answer.buckets.iter().map(|it| it.inserts + it.updates + it.deletes);
                Ok((counted.sum(), asked.elapsed()))
            }
            Self::Http(connection, _) => {
                let path = format!("/v1/timeline?ns={ns}");
                let (code, body, took) = ask(connection, &path, "application/json").await?;
                ensure!(is_there(code, &body)?, "there is no timeline");
                let answer: Value = serde_json::from_slice(&body)?;
                let buckets = answer["buckets"].as_array().map_or(&[][..], Vec::as_slice);
                let kinds = ["inserts", "updates", "deletes"];
                let counts = buckets.iter().flat_map(|bucket| kinds.map(|kind| &bucket[kind]));
                Ok((counts.filter_map(Value::as_u64).sum(), took))
            }
        }
    }

    /// Counts the documents of a scan and their bytes, and returns how long the answer took. Lines
    /// of JSON have other bytes than documents.
    pub async fn scan(&mut self, scan: &Scan<'_>) -> Result<(Scanned, Duration)> {
        let (connection, format) = match self {
            Self::Grpc(api) => return grpc_scan(api, scan).await,
            Self::Http(connection, format) => (connection, *format),
        };
        let Scan { collection, at, limit, filter } = scan;
        let mut path = format!("/v1/collections/{DATABASE}.{collection}/documents?limit={limit}");
        path.push_str(&format!("&at={}", spelled(*at)));
        if let Some(filter) = filter {
            let json = Bson::Document(Document::clone(filter)).into_canonical_extjson();
            path.push_str(&format!("&filter={}", escaped(&json.to_string())));
        }
        let asked = Instant::now();
        let (mut counter, mut lines) = (DocumentCounter::default(), Scanned::default());
        let mut refusal = Vec::new();
        let code = connection.get(&path, format.of_stream(), |piece| {
            if format == Format::Bson {
                counter.take(piece);
            }
            lines.bytes += piece.len() as u64;
            lines.documents += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
            if refusal.len() + piece.len() < 4096 {
                refusal.extend_from_slice(piece);
            }
        });
        let code = code.await?;
        let took = asked.elapsed();
        ensure!(code == 200, "HTTP {code}: {}", String::from_utf8_lossy(&refusal));
        let scanned = if format == Format::Bson { counter.end()? } else { lines };
        Ok((scanned, took))
    }
}

fn document_path(collection: &str, id: ObjectId) -> String {
    format!("/v1/collections/{DATABASE}.{collection}/documents/{id}")
}

async fn ask(
    connection: &mut Connection,
    path: &str,
    accept: &str,
) -> Result<(u16, Vec<u8>, Duration)> {
    let asked = Instant::now();
    let mut body = Vec::new();
    let code = connection.get(path, accept, |piece| body.extend_from_slice(piece)).await?;
    Ok((code, body, asked.elapsed()))
}

async fn grpc_versions(api: &mut Api, collection: &str, id: ObjectId) -> Result<(u64, Duration)> {
    let request = api::ListVersionsRequest {
        ns: format!("{DATABASE}.{collection}"),
        id: rawdoc! {"_id": id}.into_bytes().into(),
        ..Default::default()
    };
    let asked = Instant::now();
    let answer = api.list_versions(request).await?.into_inner();
    let took = asked.elapsed();
    ensure!(!answer.versions.is_empty() && answer.next_page_token.is_empty(), "not all versions");
    answer
        .versions
        .iter()
        .filter_map(|version| version.document.as_ref())
        .try_for_each(|document| check_id(document, id))?;
    Ok((answer.versions.len() as u64, took))
}

async fn grpc_find(
    api: &mut Api,
    collection: &str,
    id: ObjectId,
    limit: u64,
) -> Result<(u64, Duration)> {
    let request = api::SearchEntriesRequest {
        ns: format!("{DATABASE}.{collection}"),
        id: rawdoc! {"_id": id}.into_bytes().into(),
        limit,
        ..Default::default()
    };
    let asked = Instant::now();
    let mut answers = api.search_entries(request).await?.into_inner();
    let mut entries = Vec::new();
    while let Some(answer) = answers.message().await? {
        entries.extend(answer.entries);
    }
    let took = asked.elapsed();
    entries.iter().try_for_each(|entry| check_entry_id(entry, id))?;
    Ok((entries.len() as u64, took))
}

async fn grpc_scan(api: &mut Api, scan: &Scan<'_>) -> Result<(Scanned, Duration)> {
    let filter = scan.filter.map(Document::to_vec).transpose()?;
    let request = api::ScanCollectionRequest {
        ns: format!("{DATABASE}.{}", scan.collection),
        at: Some(api::TimeSpec { text: spelled(scan.at), exclusive: false }),
        limit: scan.limit,
        filter: filter.unwrap_or_default().into(),
        ..Default::default()
    };
    let asked = Instant::now();
    let mut answers = api.scan_collection(request).await?.into_inner();
    let mut scanned = Scanned::default();
    while let Some(answer) = answers.message().await? {
        scanned.documents += answer.documents.len() as u64;
        scanned.bytes += answer.documents.iter().map(|it| it.len() as u64).sum::<u64>();
        if scan.limit == 0 && !answer.next_page_token.is_empty() {
            bail!("a scan without a limit ended before its end");
        }
    }
    Ok((scanned, asked.elapsed()))
}
