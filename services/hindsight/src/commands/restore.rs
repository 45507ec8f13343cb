use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use hindsight_proto::longrunning::Operation;
use hindsight_proto::v1::{CreateRestoreRequest, RestorePlan, RestoreSpec, TimeSpec};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::restores::{follow, metadata_of};
use super::{print_json, print_line, say};
use crate::backend::Backend;
use crate::cli::{Global, Output, Restore, RestoreTime};
use crate::exit::{Exit, Failure};
use crate::secret;
use crate::times::json_of;

/// Collections named in a summary.
const NAMES_SHOWN: usize = 5;

pub async fn run(global: &Global, restore: &Restore, backend: &Backend) -> Result<Exit> {
    let to = secret::read("--to", restore.to.to.as_deref(), restore.to.to_file.as_deref())?;
    let request = CreateRestoreRequest {
        restore: Some(RestoreSpec {
            time: Some(time(&restore.time)?),
            to,
            allow_non_empty: restore.allow_non_empty,
        }),
        request_id: bson::Uuid::new().to_string(),
        validate_only: restore.dry_run,
    };
    let operation = backend.create_restore(request).await?;
    let plan = metadata_of(&operation)?.plan.context("the server named no plan")?;
    // Before anything is written to the target that matters: the plan (I12).
    say(&plan.text);
    if restore.dry_run {
        return print_report(global, &dry_run_report(&plan));
    }
    finish(global, &operation, backend).await
}

/// Shows how a restore goes on, and its report once it is done.
pub async fn finish(global: &Global, operation: &Operation, backend: &Backend) -> Result<Exit> {
    let bar = ProgressBar::new_spinner();
    bar.set_style(
        ProgressStyle::with_template("{spinner} {msg}").context("set up the progress line")?,
    );
    bar.enable_steady_tick(Duration::from_millis(200));
    let ended = follow(operation, backend, &bar).await;
    bar.finish_and_clear();
    let report = ended?;
    print_report(global, &serde_json::from_str(&report.json).context("read the report")?)
}

fn time(time: &RestoreTime) -> Result<TimeSpec, Failure> {
    match (&time.until, &time.before) {
        (Some(text), None) => Ok(TimeSpec { text: text.clone(), exclusive: false }),
        (None, Some(text)) => Ok(TimeSpec { text: text.clone(), exclusive: true }),
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
        "summary": format!("dry run: nothing was written; {named} would be"),
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

/// Namespaces by the reason for which they were left out.
fn skipped(report: &Value) -> BTreeMap<&str, Vec<&str>> {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for skipped in report["skipped"].as_array().into_iter().flatten() {
        let text = |field: &str| skipped[field].as_str().unwrap_or_default();
        by_reason.entry(text("reason")).or_default().push(text("ns"));
    }
    by_reason
}
