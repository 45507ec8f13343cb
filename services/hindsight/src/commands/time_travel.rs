//! `get`, `history` and `scan`: data as it was.

use anyhow::Result;
use futures_util::StreamExt;
use hindsight_proto::v1::{GetDocumentRequest, ListVersionsRequest, ScanCollectionRequest};
use serde_json::{Value, json};

use super::{bson_of, print_documents, print_json, print_line, say};
use crate::backend::Backend;
use crate::cli::{Get, Global, History, Output, Scan};
use crate::exit::Exit;
use crate::times::{included, json_of, shown};
use crate::{document_id, extended_json};

pub async fn get(global: &Global, get: &Get, backend: &Backend) -> Result<Exit> {
    let id = document_id::parse(&get.id)?.into_bytes();
    let request =
        GetDocumentRequest { ns: get.ns.clone(), id: id.into(), at: Some(included(&get.at)) };
    let answer = backend.get_document(request).await?;
    say(&format!("{} as of {}", get.ns, shown(answer.at)));
    print_document(global, &extended_json::shown(global.output, &answer.document)?)?;
    Ok(Exit::Done)
}

fn print_document(global: &Global, document: &Value) -> Result<()> {
    match global.output {
        Output::Json => print_json(document),
        Output::Text => print_line(&serde_json::to_string_pretty(document)?),
    }
}

pub async fn history(global: &Global, history: &History, backend: &Backend) -> Result<Exit> {
    let id = document_id::parse(&history.id)?.into_bytes();
    let mut request =
        ListVersionsRequest { ns: history.ns.clone(), id: id.into(), ..Default::default() };
    loop {
        let answer = backend.list_versions(request.clone()).await?;
        for version in answer.versions {
            let show = |bytes| extended_json::shown(global.output, bytes);
            let document = version.document.as_deref().map(show).transpose()?;
            if global.output == Output::Json {
                print_json(&json!({"from": json_of(version.from), "document": document}))?;
                continue;
            }
            let state =
                document.map_or_else(|| "deleted".to_owned(), |document| document.to_string());
            print_line(&format!("{}  {state}", shown(version.from)))?;
        }
        if answer.next_page_token.is_empty() {
            return Ok(Exit::Done);
        }
        request.page_token = answer.next_page_token;
    }
}

pub async fn scan(_global: &Global, scan: &Scan, backend: &Backend) -> Result<Exit> {
    let request = ScanCollectionRequest {
        ns: scan.ns.clone(),
        at: Some(included(&scan.at)),
        limit: scan.limit,
        filter: bson_of("--filter", scan.filter.as_deref())?,
        projection: bson_of("--projection", scan.projection.as_deref())?,
        page_token: String::new(),
    };
    let mut answers = backend.scan_collection(request).await?;
    let mut told = false;
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        if !told {
            say(&format!("{} as of {}", scan.ns, shown(answer.at)));
            told = true;
        }
        print_documents(&answer.documents)?;
    }
    Ok(Exit::Done)
}
