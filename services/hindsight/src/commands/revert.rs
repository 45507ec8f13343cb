use std::path::PathBuf;

use clap::Args;
use hindsight_api::times::included;
use hindsight_mongo::{Client, Deployment};
use hindsight_proto::v1::DiffTimesRequest;
use hindsight_revert::{Direction, Report, RevertFile, Settings};
use hindsight_reverts::{Outcome, Planned, Planning};
use indicatif::ProgressBar;
use serde_json::Value;

use super::ask::Ask;
use super::print::{print_json, print_line, say};
use super::restore::{TargetUri, time};
use super::values::bson_of;
use crate::backend::Backend;
use crate::exit::{Context, Exit, Failure, Result};
use crate::global::{Global, Output};
use crate::secret;

/// Put documents of the live deployment back to what they were, except those that somebody wrote
/// since.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hindsight revert shop.orders --before 1795000000,42 --to mongodb://localhost:27017"
)]
pub(crate) struct Revert {
    /// Namespaces: db.collection, or db.* for a whole database.
    #[arg(required_unless_present = "undo", conflicts_with = "undo")]
    pub ns: Vec<String>,
    /// Put documents back to what they were up to and including this time.
    #[arg(long, value_name = "T", conflicts_with_all = ["before", "undo"])]
    pub until: Option<String>,
    /// Put documents back to what they were before this time.
    #[arg(long, value_name = "T", conflicts_with = "undo")]
    pub before: Option<String>,
    #[command(flatten)]
    pub to: TargetUri,
    /// Only documents that match then or now, in MongoDB's query language as Extended JSON.
    #[arg(long, value_name = "JSON", conflicts_with = "undo")]
    pub filter: Option<String>,
    /// Write. Without this, say what would be written.
    #[arg(long)]
    pub yes: bool,
    /// Where to write both states of every document. The same file undoes the revert. Default: a
    /// new file in the current directory.
    #[arg(long, value_name = "FILE", conflicts_with = "undo")]
    pub file: Option<PathBuf>,
    /// Undo the revert of this file.
    #[arg(long, value_name = "FILE")]
    pub undo: Option<PathBuf>,
}

impl Ask for Revert {
    async fn ask(&self, global: &Global, backend: &Backend) -> Result<Exit> {
        let to = secret::read("--to", self.to.to.as_deref(), self.to.to_file.as_deref())?;
        let deployment = Deployment::parse(&to).await;
        let deployment = deployment.map_err(|error| Failure::usage(format!("--to: {error}")))?;
        let client = deployment.app_name("hindsight revert").client();
        let client = client.map_err(|error| Failure::usage(format!("--to: {error}")))?;
        let (planned, direction) = match &self.undo {
            Some(file) => (Planned::undo(file)?, Direction::Undo),
            None => (self.plan(backend).await?, Direction::Revert),
        };
        let namespaces = planned.namespaces();
        let held = hindsight_revert::collections_of(&client, &namespaces).await?;
        hindsight_revert::check(&held)?;
        if self.yes && !namespaces.is_empty() {
            return carry_out(global, &client, &planned, direction).await;
        }
        show(global, &planned.json(), planned.lines())?;
        if !namespaces.is_empty() {
            say("nothing was written: --yes writes. The file holds both states of each document");
        }
        Ok(Exit::Done)
    }
}

impl Revert {
    /// Asks what differs between the wanted time and now, and writes the file of it.
    async fn plan(&self, backend: &Backend) -> Result<Planned> {
        let filter = bson_of("--filter", self.filter.as_deref())?;
        let mut planning = Planning::new(self.file.clone());
        let from = time(self.until.as_deref(), self.before.as_deref())?;
        let mut to = included("latest");
        for ns in &self.ns {
            let request = DiffTimesRequest {
                ns: ns.clone(),
                from: Some(from.clone()),
                to: Some(to.clone()),
                filter: filter.clone(),
                limit: 0,
            };
            let mut answers = backend.hindsight().diff_times(request).await?.into_inner();
            while let Some(answer) = answers.message().await? {
                answer.notes.iter().for_each(|note| say(note));
                to = included(&planning.take(answer)?.to_string());
            }
        }
        Ok(planning.finish()?)
    }
}

/// Writes what is in the file.
async fn carry_out(
    global: &Global,
    client: &Client,
    planned: &Planned,
    direction: Direction,
) -> Result<Exit> {
    let file = planned.file();
    let bar = ProgressBar::new_spinner();
    let progress = |report: &Report| {
        let (done, left) = (report.totals().documents(), report.conflict_count);
        bar.set_message(format!("{done} documents written, {left} left alone"));
        bar.tick();
    };
    let reversions = RevertFile::open(file)?;
    let (report, error) =
        hindsight_revert::run(client, reversions, direction, Settings::default(), progress).await;
    bar.finish_and_clear();
    let outcome = Outcome { report: &report, file, direction };
    show(global, &outcome.json()?, &outcome.lines()?)?;
    if let Some(error) = error {
        return Err(Failure::from(error)).context("the revert stopped; repeating it goes on");
    }
    if direction == Direction::Revert {
        say(&format!("undo this with: hindsight revert --undo {} --to URI --yes", file.display()));
    }
    Ok(if report.conflict_count == 0 { Exit::Done } else { Exit::Failed })
}

fn show(global: &Global, answer: &Value, lines: &[String]) -> Result<()> {
    if global.output == Output::Json {
        return print_json(answer);
    }
    lines.iter().try_for_each(|line| print_line(line))?;
    print_line(answer["summary"].as_str().unwrap_or_default())
}
