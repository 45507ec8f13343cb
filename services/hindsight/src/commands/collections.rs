use clap::Args;
use hindsight_api::calls::list_collections::CollectionJson;
use hindsight_api::extended_json::written;
use hindsight_api::json::Notation;
use hindsight_api::times::{included, shown};
use hindsight_extended_json::Notation as Form;
use hindsight_proto::v1::ListCollectionsRequest;

use super::ask::Ask;
use super::print::{print_json, print_line, say};
use super::shown::{warn, warn_of_texts};
use crate::backend::Backend;
use crate::exit::{Exit, Result};
use crate::global::{Global, Output};

/// List the collections and views that existed at a time, with their options and indexes.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hindsight collections --ns 'shop.*' --at 1795000000,42")]
pub(crate) struct Collections {
    /// Namespace: db.collection, or db.* for a whole database.
    #[arg(long)]
    pub ns: Option<String>,
    /// Time of the state to show.
    #[arg(long, value_name = "T", default_value = "latest")]
    pub at: String,
}

impl Ask for Collections {
    async fn ask(&self, global: &Global, backend: &Backend) -> Result<Exit> {
        let mut request = ListCollectionsRequest {
            at: Some(included(&self.at)),
            ns: self.ns.clone().unwrap_or_default(),
            ..Default::default()
        };
        loop {
            let answer = backend.hindsight().list_collections(request.clone()).await?.into_inner();
            if request.page_token.is_empty() {
                say(&format!("as of {}", shown(answer.at)));
            }
            for collection in &answer.collections {
                if global.output == Output::Json {
                    let json = CollectionJson::of(collection, Notation::Canonical)?;
                    warn_of_texts(|| collection.ns.clone(), &json.inexact);
                    print_json(&json)?;
                    continue;
                }
                let options = written(&collection.options, Form::Relaxed)?;
                warn(|| format!("the options of {}", collection.ns), options.inexact());
                let options = serde_json::to_string(&options)?;
                let indexes = match collection.indexes.len() {
                    1 => "1 index".to_owned(),
                    number => format!("{number} indexes"),
                };
                print_line(&format!(
                    "{:<12} {}  {indexes}  {options}",
                    collection.r#type, collection.ns
                ))?;
            }
            if answer.next_page_token.is_empty() {
                return Ok(Exit::Done);
            }
            request.page_token = answer.next_page_token;
        }
    }
}
