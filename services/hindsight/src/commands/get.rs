use clap::Args;
use hindsight_api::document_id;
use hindsight_api::extended_json::written;
use hindsight_api::times::{included, shown};
use hindsight_extended_json::Notation;
use hindsight_proto::v1::GetDocumentRequest;

use super::ask::Ask;
use super::print::{print_line, say};
use super::shown::{name_of, print_documents, warn};
use crate::backend::Backend;
use crate::exit::{Exit, Result};
use crate::global::{Global, Output};

/// Show one document as it was at a time.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hindsight get shop.orders '{\"$oid\":\"65f0c0ffee0000000000cafe\"}' \\\n      --at 2026-11-21T12:00:00Z"
)]
pub(crate) struct Get {
    /// Namespace: db.collection.
    pub ns: String,
    /// `_id`, as Extended JSON or a bare word.
    #[arg(allow_hyphen_values = true)]
    pub id: String,
    /// Time of the state to show.
    #[arg(long, value_name = "T", default_value = "latest")]
    pub at: String,
}

impl Ask for Get {
    async fn ask(&self, global: &Global, backend: &Backend) -> Result<Exit> {
        let id = document_id::parse(&self.id)?.into_bytes();
        let request =
            GetDocumentRequest { ns: self.ns.clone(), id: id.into(), at: Some(included(&self.at)) };
        let answer = backend.hindsight().get_document(request).await?.into_inner();
        say(&format!("{} as of {}", self.ns, shown(answer.at)));
        match global.output {
            Output::Json => {
                print_documents(&[answer.document], |document| name_of(&self.ns, document))?;
            }
            Output::Text => {
                let document = written(&answer.document, Notation::Relaxed)?;
                warn(|| name_of(&self.ns, &answer.document), document.inexact());
                print_line(&serde_json::to_string_pretty(&document)?)?;
            }
        }
        Ok(Exit::Done)
    }
}
