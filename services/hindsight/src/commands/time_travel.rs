//! `get`, `history` and `scan`: data as of a time.

use hindsight_api::document_id;
use hindsight_api::extended_json::written;
use hindsight_api::json::{self, VersionJson};
use hindsight_api::times::{included, shown};
use hindsight_extended_json::Notation;
use hindsight_proto::v1::{
    GetDocumentRequest, ListVersionsRequest, ScanCollectionRequest, Version,
};

use super::shown::{name_of, print_documents, warn, warn_of_texts};
use super::{bson_of, print_json, print_line, say};
use crate::backend::Backend;
use crate::cli::{Get, Global, History, Output, Scan};
use crate::exit::{Exit, Result};

pub(super) async fn get(global: &Global, get: &Get, backend: &Backend) -> Result<Exit> {
    let id = document_id::parse(&get.id)?.into_bytes();
    let request =
        GetDocumentRequest { ns: get.ns.clone(), id: id.into(), at: Some(included(&get.at)) };
    let answer = backend.hindsight().get_document(request).await?.into_inner();
    say(&format!("{} as of {}", get.ns, shown(answer.at)));
    match global.output {
        Output::Json => {
            print_documents(&[answer.document], |document| name_of(&get.ns, document))?;
        }
        Output::Text => {
            let document = written(&answer.document, Notation::Relaxed)?;
            warn(|| name_of(&get.ns, &answer.document), document.inexact());
            print_line(&serde_json::to_string_pretty(&document)?)?;
        }
    }
    Ok(Exit::Done)
}

pub(super) async fn history(global: &Global, history: &History, backend: &Backend) -> Result<Exit> {
    let id = document_id::parse(&history.id)?.into_bytes();
    let mut request =
        ListVersionsRequest { ns: history.ns.clone(), id: id.into(), ..Default::default() };
    loop {
        let answer = backend.hindsight().list_versions(request.clone()).await?.into_inner();
        for version in &answer.versions {
            print_version(global, &history.ns, version)?;
        }
        if answer.next_page_token.is_empty() {
            return Ok(Exit::Done);
        }
        request.page_token = answer.next_page_token;
    }
}

fn print_version(global: &Global, ns: &str, version: &Version) -> Result<()> {
    let notation = match global.output {
        Output::Json => json::Notation::Canonical,
        Output::Text => json::Notation::Relaxed,
    };
    let version_json = VersionJson::of(version, notation)?;
    let from = shown(version.from);
    warn_of_texts(|| format!("the version of {ns} from {from}"), &version_json.inexact);
    if global.output == Output::Json {
        return print_json(&version_json);
    }
    let document = version_json.document.as_ref();
    print_line(&format!("{from}  {}", document.map_or("deleted", |document| document.get())))
}

pub(super) async fn scan(_global: &Global, scan: &Scan, backend: &Backend) -> Result<Exit> {
    let request = ScanCollectionRequest {
        ns: scan.ns.clone(),
        at: Some(included(&scan.at)),
        limit: scan.limit,
        filter: bson_of("--filter", scan.filter.as_deref())?,
        projection: bson_of("--projection", scan.projection.as_deref())?,
        page_token: String::new(),
    };
    let mut answers = backend.hindsight().scan_collection(request).await?.into_inner();
    let mut told = false;
    while let Some(answer) = answers.message().await? {
        if !told {
            say(&format!("{} as of {}", scan.ns, shown(answer.at)));
            told = true;
        }
        print_documents(&answer.documents, |document| name_of(&scan.ns, document))?;
    }
    Ok(Exit::Done)
}
