use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hindsight_api::json::ReportJson;
use hindsight_api::times::{from_api, included, json_of};
use hindsight_proto::longrunning::Operation;
use hindsight_proto::v1::{CreateRestoreRequest, RestorePlan, RestoreSpec, TimeSpec};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::ask::Ask;
use super::print::{print_json, print_line, say};
use super::restores::{follow, metadata_of};
use crate::backend::Backend;
use crate::exit::{Context, Exit, Failure, Result};
use crate::global::{Global, Output};
use crate::secret;

/// Number of collections that a summary names.
const NAMES_SHOWN: usize = 5;

/// Restore everything as of a time into another MongoDB.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  hindsight restore --before 1795000000,42 --to mongodb://localhost:27018"
)]
pub(crate) struct Restore {
    #[command(flatten)]
    pub time: RestoreTime,
    #[command(flatten)]
    pub to: TargetUri,
    /// Print the plan and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Write into a target that already holds data.
    #[arg(long)]
    pub allow_non_empty: bool,
    /// Leave out individual indexes, options and documents that this target can never hold, and
    /// name them in the report, instead of refusing the restore.
    #[arg(long)]
    pub leave_out_unrestorable: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct RestoreTime {
    /// Restore everything up to and including this time. A whole second is restored to its end,
    /// which must be held.
    #[arg(long, value_name = "T")]
    pub until: Option<String>,
    /// Restore everything before this time.
    #[arg(long, value_name = "T")]
    pub before: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct TargetUri {
    /// Connection string of the target (HINDSIGHT_TO keeps a password out of the process list).
    #[arg(
        long,
        env = "HINDSIGHT_TO",
        hide_env_values = true,
        hide_default_value = true,
        value_name = "URI"
    )]
    pub to: Option<String>,
    /// File that holds the target's connection string.
    #[arg(long, env = "HINDSIGHT_TO_FILE", value_name = "FILE")]
    pub to_file: Option<PathBuf>,
}

impl Ask for Restore {
    async fn ask(&self, global: &Global, backend: &Backend) -> Result<Exit> {
        let to = secret::read("--to", self.to.to.as_deref(), self.to.to_file.as_deref())?;
        let spec = RestoreSpec {
            time: Some(time(self.time.until.as_deref(), self.time.before.as_deref())?),
            to,
            allow_non_empty: self.allow_non_empty,
            leave_out_unrestorable: self.leave_out_unrestorable,
        };
        // Plan first, then restore: nothing is written before the plan is on the screen (I12).
        let validate = CreateRestoreRequest {
            restore: Some(spec.clone()),
            validate_only: true,
            ..Default::default()
        };
        let plan =
            metadata_of(&backend.hindsight().create_restore(validate).await?.into_inner())?.plan;
        let plan = plan.context("the server returned no plan")?;
        say(&plan.text);
        if self.dry_run {
            return print_report(global, &dry_run_report(&plan));
        }
        let request = CreateRestoreRequest {
            restore: Some(RestoreSpec { time: Some(planned_time(&plan)?), ..spec }),
            request_id: bson::Uuid::new().to_string(),
            validate_only: false,
        };
        let operation = backend.hindsight().create_restore(request).await?.into_inner();
        finish(global, &operation, &plan.warnings, backend).await
    }
}

/// Returns the position that the plan was made for: `latest` may be a later position by now.
fn planned_time(plan: &RestorePlan) -> Result<TimeSpec> {
    let through = plan.through.context("the server returned no position")?;
    Ok(included(&from_api(through).to_string()))
}

/// Shows the progress of a restore, and its report once it is done. Warnings in `shown` are not
/// repeated.
pub(super) async fn finish(
    global: &Global,
    operation: &Operation,
    shown: &[String],
    backend: &Backend,
) -> Result<Exit> {
    let bar = ProgressBar::new_spinner();
    bar.set_style(
        ProgressStyle::with_template("{spinner} {msg}").context("set up the progress line")?,
    );
    bar.enable_steady_tick(Duration::from_millis(200));
    let ended = follow(operation, backend, &bar).await;
    bar.finish_and_clear();
    let report = serde_json::to_value(ReportJson::from(ended?))?;
    if global.output != Output::Json {
        for warning in warnings(&report).filter(|warning| !shown.iter().any(|w| w == warning)) {
            say(&format!("warning: {warning}"));
        }
    }
    print_report(global, &report)
}

/// Returns the time that one of two flags names.
pub(super) fn time(until: Option<&str>, before: Option<&str>) -> Result<TimeSpec, Failure> {
    match (until, before) {
        (Some(text), None) => Ok(TimeSpec { text: text.to_owned(), exclusive: false }),
        (None, Some(text)) => Ok(TimeSpec { text: text.to_owned(), exclusive: true }),
        _ => Err(Failure::usage("give either --until T (included) or --before T (excluded)")),
    }
}

fn dry_run_report(plan: &RestorePlan) -> Value {
    let first = plan.namespaces[..plan.namespaces.len().min(NAMES_SHOWN)].join(", ");
    let named = match plan.namespaces.len().saturating_sub(NAMES_SHOWN) {
        0 if first.is_empty() => "nothing".to_owned(),
        0 => first,
        more => format!("{first} and {more} more"),
    };
    let skipped: Vec<Value> = plan
        .skipped
        .iter()
        .map(|skipped| json!({"ns": skipped.ns, "reason": skipped.reason}))
        .collect();
    json!({
        "dry_run": true,
        "through": json_of(plan.through),
        "target": plan.target,
        "collections": plan.namespaces,
        "skipped": skipped,
        "warnings": plan.warnings,
        "summary": format!("dry run: nothing was written; a restore would write {named}"),
    })
}

fn print_report(global: &Global, report: &Value) -> Result<Exit> {
    if global.output == Output::Json {
        print_json(report)?;
    } else {
        print_line(report["summary"].as_str().unwrap_or("done"))?;
        for (reason, names) in skipped(report) {
            say(&format!("skipped {}: {reason}", names.join(", ")));
        }
    }
    let verified = report["verified"].as_bool().unwrap_or(true);
    Ok(if verified { Exit::Done } else { Exit::VerificationFailed })
}

fn warnings(report: &Value) -> impl Iterator<Item = &str> {
    report["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Groups the namespaces that were left out by the reason.
fn skipped(report: &Value) -> BTreeMap<&str, Vec<&str>> {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for skipped in report["skipped"].as_array().into_iter().flatten() {
        let text = |field: &str| skipped[field].as_str().unwrap_or_default();
        by_reason.entry(text("reason")).or_default().push(text("ns"));
    }
    by_reason
}

#[cfg(test)]
mod tests {
    use hindsight_proto::v1::Timestamp;

    use super::*;

    #[test]
    fn what_is_begun_is_what_was_planned() {
        let through = Timestamp { t: 1_795_000_000, i: u32::MAX };
        let text = "restoring everything until latest (included)".to_owned();
        let plan = RestorePlan { through: Some(through), text, ..Default::default() };
        let time = planned_time(&plan).expect("a position");
        assert_eq!((time.text.as_str(), time.exclusive), ("1795000000,4294967295", false));
        let parsed: hindsight_oplog::TimeSpec = time.text.parse().expect("a time");
        let latest = hindsight_oplog::Timestamp::MAX;
        let position = parsed.until_inclusive(latest);
        assert_eq!(position, from_api(through));
        assert!(planned_time(&RestorePlan::default()).is_err());
    }
}
