use clap::Args;
use hindsight_api::times::{json_of, shown};
use hindsight_proto::v1::ListWindowsRequest;
use serde_json::json;

use super::ask::Ask;
use super::print::{print_json, print_line};
use crate::backend::Backend;
use crate::exit::{Exit, Result};
use crate::global::{Global, Output};

/// List restore windows and gaps.
#[derive(Debug, Args)]
pub(crate) struct Windows;

impl Ask for Windows {
    async fn ask(&self, global: &Global, backend: &Backend) -> Result<Exit> {
        let answer = backend.hindsight().list_windows(ListWindowsRequest {}).await?.into_inner();
        if global.output == Output::Json {
            let windows: Vec<_> = answer
            .windows
            .iter()
            .map(|window| json!({"from": json_of(window.from), "through": json_of(window.through)}))
            .collect();
            let gaps: Vec<_> = answer
            .gaps
            .iter()
            .map(|gap| {
                json!({"after": json_of(gap.after), "before": json_of(gap.before), "reason": gap.reason})
            })
            .collect();
            print_json(&json!({"windows": windows, "gaps": gaps}))?;
            return Ok(Exit::Done);
        }
        for window in &answer.windows {
            print_line(&format!(
                "restorable from {} through {}",
                shown(window.from),
                shown(window.through)
            ))?;
        }
        if answer.windows.is_empty() {
            print_line("nothing is restorable yet: no base is complete")?;
        }
        for gap in &answer.gaps {
            let (after, before) = (shown(gap.after), shown(gap.before));
            print_line(&format!("GAP after {after} until {before}: {}", gap.reason))?;
        }
        Ok(Exit::Done)
    }
}
