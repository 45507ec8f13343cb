use clap::Args;
use hindsight_api::calls::resolve_time::ResolvedTimeJson;
use hindsight_api::json::Notation;
use hindsight_api::times::shown;
use hindsight_proto::v1::{ResolveTimeRequest, TimeSpec};

use super::ask::Ask;
use super::find;
use super::print::{print_json, print_line};
use super::shown::warn_of_texts;
use crate::backend::Backend;
use crate::exit::{Exit, Result};
use crate::global::{Global, Output};

/// Show what a time means: its position, its window, and the entries on both sides of it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hindsight resolve 2026-11-21T12:00:00Z")]
pub(crate) struct Resolve {
    /// Time to resolve.
    #[arg(value_name = "T")]
    pub time: String,
    /// Exclude the time itself, and of a whole second all of it, as `restore --before` does.
    #[arg(long)]
    pub before: bool,
}

impl Ask for Resolve {
    async fn ask(&self, global: &Global, backend: &Backend) -> Result<Exit> {
        let time = TimeSpec { text: self.time.clone(), exclusive: self.before };
        let answer = backend
            .hindsight()
            .resolve_time(ResolveTimeRequest { time: Some(time) })
            .await?
            .into_inner();
        if global.output == Output::Json {
            let json = ResolvedTimeJson::of(answer, Notation::Canonical)?;
            warn_of_texts(|| "an entry".to_owned(), &json.inexact);
            print_json(&json)?;
            return Ok(Exit::Done);
        }
        print_line(&format!("through {}", shown(answer.at)))?;
        let neighbours =
            [("last included", &answer.last_included), ("first excluded", &answer.first_excluded)];
        for (name, entry) in neighbours {
            if !entry.is_empty() {
                print_line(&format!("{name:<15} {}", find::summary(entry)?))?;
            }
        }
        Ok(Exit::Done)
    }
}
