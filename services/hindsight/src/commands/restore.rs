use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::StreamExt;
use hindsight_proto::v1::restore_response::Step;
use hindsight_proto::v1::{RestoreRequest, TimeSpec};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::{print_json, print_line, say};
use crate::backend::Backend;
use crate::cli::{Global, Output, Restore, RestoreTime};
use crate::exit::{Exit, Failure};
use crate::secret;

pub async fn run(global: &Global, restore: &Restore, backend: &Backend) -> Result<Exit> {
    let to = secret::read("--to", restore.to.to.as_deref(), restore.to.to_file.as_deref())?;
    let request = RestoreRequest {
        time: Some(time(&restore.time)?),
        to,
        dry_run: restore.dry_run,
        allow_non_empty: restore.allow_non_empty,
    };
    let mut steps = backend.restore(request).await?;
    let bar = ProgressBar::new_spinner();
    bar.set_style(
        ProgressStyle::with_template("{spinner} {msg}").context("set up the progress line")?,
    );
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut report = None;
    while let Some(step) = steps.next().await {
        match step?.step {
            // Before anything is written (I12).
            Some(Step::Plan(plan)) => bar.suspend(|| say(&plan.text)),
            Some(Step::Progress(now)) => bar.set_message(format!(
                "{}: {} documents, {} MB",
                now.phase,
                now.documents,
                now.bytes / 1_000_000
            )),
            Some(Step::Report(json)) => report = Some(json),
            None => {}
        }
    }
    bar.finish_and_clear();
    let report = report.context("the server ended the restore without a report")?;
    print_report(global, &serde_json::from_str(&report).context("read the report")?)
}

fn time(time: &RestoreTime) -> Result<TimeSpec, Failure> {
    match (&time.until, &time.before) {
        (Some(text), None) => Ok(TimeSpec { text: text.clone(), exclusive: false }),
        (None, Some(text)) => Ok(TimeSpec { text: text.clone(), exclusive: true }),
        _ => Err(Failure::usage("give either --until T (included) or --before T (excluded)")),
    }
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
