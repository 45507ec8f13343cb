use clap::Args;
use hindsight_api::times::{included, shown};
use hindsight_proto::v1::ScanCollectionRequest;

use super::ask::Ask;
use super::print::say;
use super::shown::{name_of, print_documents};
use super::values::bson_of;
use crate::backend::Backend;
use crate::exit::{Exit, Result};
use crate::global::Global;

/// Show the documents of a collection as they were at a time.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hindsight scan shop.orders --at 1795000000,42 --filter '{\"total\":{\"$gt\":100}}' \\\n      --limit 10"
)]
pub(crate) struct Scan {
    /// Namespace: db.collection.
    pub ns: String,
    /// Time of the state to show.
    #[arg(long, value_name = "T", default_value = "latest")]
    pub at: String,
    /// Only documents that match, in MongoDB's query language as Extended JSON.
    #[arg(long, value_name = "JSON")]
    pub filter: Option<String>,
    /// Fields to show, as MongoDB's `find` takes them: {"total":1}, or {"notes":0}.
    #[arg(long, value_name = "JSON")]
    pub projection: Option<String>,
    /// Field to sort by; only `_id` is supported.
    #[arg(long, value_name = "FIELD", default_value = "_id", value_parser = ["_id"])]
    pub sort: String,
    /// Limit on the number of documents; 0 is no limit.
    #[arg(long, default_value_t = 0)]
    pub limit: u64,
}

impl Ask for Scan {
    async fn ask(&self, _global: &Global, backend: &Backend) -> Result<Exit> {
        let request = ScanCollectionRequest {
            ns: self.ns.clone(),
            at: Some(included(&self.at)),
            limit: self.limit,
            filter: bson_of("--filter", self.filter.as_deref())?,
            projection: bson_of("--projection", self.projection.as_deref())?,
            page_token: String::new(),
        };
        let mut answers = backend.hindsight().scan_collection(request).await?.into_inner();
        let mut told = false;
        while let Some(answer) = answers.message().await? {
            if !told {
                say(&format!("{} as of {}", self.ns, shown(answer.at)));
                told = true;
            }
            print_documents(&answer.documents, |document| name_of(&self.ns, document))?;
        }
        Ok(Exit::Done)
    }
}
