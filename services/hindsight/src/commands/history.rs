use clap::Args;
use hindsight_api::calls::list_versions::VersionJson;
use hindsight_api::document_id;
use hindsight_api::json;
use hindsight_api::times::shown;
use hindsight_proto::v1::{ListVersionsRequest, Version};

use super::ask::Ask;
use super::print::{print_json, print_line, say};
use super::shown::warn_of_texts;
use crate::backend::Backend;
use crate::exit::{Exit, Result};
use crate::global::{Global, Output};

/// Show every version of one document.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hindsight history shop.orders 42")]
pub(crate) struct History {
    /// Namespace: db.collection.
    pub ns: String,
    /// `_id`, as Extended JSON or a bare word.
    #[arg(allow_hyphen_values = true)]
    pub id: String,
}

impl Ask for History {
    async fn ask(&self, global: &Global, backend: &Backend) -> Result<Exit> {
        let id = document_id::parse(&self.id)?.into_bytes();
        let mut request =
            ListVersionsRequest { ns: self.ns.clone(), id: id.into(), ..Default::default() };
        loop {
            let answer = backend.hindsight().list_versions(request.clone()).await?.into_inner();
            answer.notes.iter().for_each(|note| say(note));
            for version in &answer.versions {
                print_version(global, &self.ns, version)?;
            }
            if answer.next_page_token.is_empty() {
                return Ok(Exit::Done);
            }
            request.page_token = answer.next_page_token;
        }
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
