use clap::Subcommand;
use hindsight_api::times::{json_of, shown};
use hindsight_proto::v1::ListBasesRequest;
use serde_json::json;

use super::ask::Ask;
use super::print::{print_json, print_line};
use crate::backend::Backend;
use crate::exit::{Exit, Result};
use crate::global::{Global, Output};

/// Show the bases.
#[derive(Debug, Subcommand)]
pub(crate) enum Base {
    /// List the bases.
    List,
}

impl Ask for Base {
    async fn ask(&self, global: &Global, backend: &Backend) -> Result<Exit> {
        let answer = backend.hindsight().list_bases(ListBasesRequest {}).await?.into_inner();
        for base in &answer.bases {
            if global.output == Output::Json {
                print_json(&json!({
                    "name": base.name, "start": json_of(base.start), "exact_from": json_of(base.exact_from),
                    "created_ms": base.created_ms, "documents": base.documents, "bytes": base.bytes,
                }))?;
                continue;
            }
            let (name, documents, bytes) = (&base.name, base.documents, base.bytes);
            let from = shown(base.exact_from);
            print_line(&format!(
                "{name}  exact from {from}  {documents} documents  {bytes} bytes"
            ))?;
        }
        Ok(Exit::Done)
    }
}
