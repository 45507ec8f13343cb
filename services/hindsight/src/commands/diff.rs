use bytes::Bytes;
use clap::Args;
use hindsight_api::calls::diff_times::ChangeJson;
use hindsight_api::extended_json::written;
use hindsight_api::json::Notation;
use hindsight_api::times::{included, shown};
use hindsight_extended_json::{Notation as Form, at_path};
use hindsight_oplog::raw::Doc;
use hindsight_proto::v1::{Change, DiffTimesRequest};

use super::ask::Ask;
use super::print::{print_json, print_line, say};
use super::shown::{shorten, text_of, warn, warn_of_texts};
use super::values::bson_of;
use crate::backend::Backend;
use crate::exit::{Context, Exit, Result};
use crate::global::{Global, Output};

/// Longest value of a field in a line, in characters.
const VALUE_WIDTH: usize = 60;

/// Show the differences between two times.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hindsight diff shop.orders --from 2026-11-21T12:00:00Z --to latest"
)]
pub(crate) struct Diff {
    /// Namespace: db.collection, or db.* for a whole database. Default: all namespaces.
    pub ns: Option<String>,
    /// Time of the state before.
    #[arg(long, value_name = "T")]
    pub from: String,
    /// Time of the state after.
    #[arg(long, value_name = "T", default_value = "latest")]
    pub to: String,
    /// Only documents that match before or after, in MongoDB's query language as Extended JSON.
    #[arg(long, value_name = "JSON")]
    pub filter: Option<String>,
    /// Limit on the number of changes; 0 is no limit.
    #[arg(long, default_value_t = 0)]
    pub limit: u64,
}

impl Ask for Diff {
    async fn ask(&self, global: &Global, backend: &Backend) -> Result<Exit> {
        let request = DiffTimesRequest {
            ns: self.ns.clone().unwrap_or_default(),
            from: Some(included(&self.from)),
            to: Some(included(&self.to)),
            filter: bson_of("--filter", self.filter.as_deref())?,
            limit: self.limit,
        };
        let mut answers = backend.hindsight().diff_times(request).await?.into_inner();
        let (mut told, mut sums) = (false, [0_u64; 3]);
        while let Some(answer) = answers.message().await? {
            if !told {
                say(&format!("from {} to {}", shown(answer.from), shown(answer.to)));
                told = true;
            }
            answer.notes.iter().for_each(|note| say(note));
            for change in &answer.changes {
                match global.output {
                    Output::Json => {
                        let json = ChangeJson::of(change, Notation::Canonical)?;
                        let name = || format!("{} {}", json.ns, json.id);
                        warn_of_texts(name, &json.inexact);
                        print_json(&json)?;
                    }
                    Output::Text => print_change(change)?,
                }
                sums[(change.kind as usize).clamp(1, 3) - 1] += 1;
            }
        }
        let is_limited = self.limit > 0 && sums.iter().sum::<u64>() >= self.limit;
        let more = if is_limited { "; there may be more: the limit is reached" } else { "" };
        say(&format!("{} added, {} removed, {} changed{more}", sums[0], sums[1], sums[2]));
        Ok(Exit::Done)
    }
}

/// `+ shop.orders 42`, `- …`, or `~ …` with a line for each field.
fn print_change(change: &Change) -> Result<()> {
    let id = written(&change.id, Form::Relaxed)?;
    let id = id.value(b"_id").context("a change without _id")?;
    let name = format!("{} {}", change.ns, text_of(&id));
    let side = |bytes: &Option<Bytes>| -> Result<Option<String>> {
        let Some(bytes) = bytes else { return Ok(None) };
        let written = written(bytes, Form::Relaxed)?;
        warn(|| name.clone(), written.inexact());
        Ok(Some(serde_json::to_string(&written)?))
    };
    match (side(&change.before)?, side(&change.after)?) {
        (None, Some(after)) => print_line(&format!("+ {name}  {}", shorten(&after, VALUE_WIDTH))),
        (Some(before), None) => print_line(&format!("- {name}  {}", shorten(&before, VALUE_WIDTH))),
        _ => {
            print_line(&format!("~ {name}"))?;
            let at = |side: &Option<Bytes>, field: &str| values_at(side.as_deref(), field);
            for field in &change.fields {
                let (before, after) = (at(&change.before, field), at(&change.after, field));
                print_line(&format!("    {field}: {before} -> {after}"))?;
            }
            Ok(())
        }
    }
}

/// Returns the values at a dotted path, each shortened: several values when a field comes twice,
/// `nothing` when there is no value.
fn values_at(document: Option<&[u8]>, path: &str) -> String {
    let document = document.and_then(|bytes| Doc::new(bytes).ok());
    let found = document.map_or_else(Vec::new, |document| at_path(document, path, Form::Relaxed));
    let texts: Vec<String> = found.iter().map(|it| shorten(&text_of(it), VALUE_WIDTH)).collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
}
