//! `restores`: lists the restores that any caller started, and shows the progress of one restore.

use clap::Subcommand;
use hindsight_api::json::operation::OperationJson;
use hindsight_api::times::shown;
use hindsight_proto::longrunning::operation::Result as Ended;
use hindsight_proto::longrunning::{
    CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
    Operation,
};
use hindsight_proto::v1::{RestoreMetadata, RestorePhase, RestoreReport, WatchRestoreRequest};
use indicatif::ProgressBar;
use prost_types::Any;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::ask::Ask;
use super::print::{print_json, print_line, say};
use super::restore;
use crate::backend::Backend;
use crate::exit::{Context, Exit, Failure, Result};
use crate::global::{Global, Output};

/// List, watch, cancel or delete restores that were started.
#[derive(Debug, Subcommand)]
pub(crate) enum Restores {
    /// List restores, newest first.
    List,
    /// Show the progress of a restore until it ends.
    Watch { name: String },
    /// Cancel a restore. What it wrote stays in the target, which must not be used.
    Cancel { name: String },
    /// Delete the record of a restore that has ended.
    Delete { name: String },
}

impl Ask for Restores {
    async fn ask(&self, global: &Global, backend: &Backend) -> Result<Exit> {
        match self {
            Self::List => list(global, backend).await,
            Self::Watch { name } => {
                let name = full(name);
                let operation = backend
                    .operations()
                    .get_operation(GetOperationRequest { name })
                    .await?
                    .into_inner();
                restore::finish(global, &operation, &[], backend).await
            }
            Self::Cancel { name } => {
                let name = full(name);
                backend
                    .operations()
                    .cancel_operation(CancelOperationRequest { name: name.clone() })
                    .await?;
                say(&format!(
                    "{name} stops within seconds: `hindsight restores watch {name}` shows how it ended"
                ));
                Ok(Exit::Done)
            }
            Self::Delete { name } => {
                let name = full(name);
                backend.operations().delete_operation(DeleteOperationRequest { name }).await?;
                Ok(Exit::Done)
            }
        }
    }
}

/// Returns the full name of a restore: callers may leave out the prefix `operations/`.
fn full(name: &str) -> String {
    if name.starts_with("operations/") { name.to_owned() } else { format!("operations/{name}") }
}

async fn list(global: &Global, backend: &Backend) -> Result<Exit> {
    let mut request = ListOperationsRequest::default();
    loop {
        let answer = backend.operations().list_operations(request.clone()).await?.into_inner();
        for operation in &answer.operations {
            match global.output {
                Output::Json => {
                    print_json(&serde_json::to_value(OperationJson::of(operation)?)?)?;
                }
                Output::Text => print_line(&line(operation)?)?,
            }
        }
        if answer.next_page_token.is_empty() {
            return Ok(Exit::Done);
        }
        request.page_token = answer.next_page_token;
    }
}

fn line(operation: &Operation) -> Result<String> {
    let metadata = metadata_of(operation)?;
    let plan = metadata.plan.clone().unwrap_or_default();
    let state = match &operation.result {
        None => progress(&metadata),
        Some(Ended::Error(error)) => format!("failed: {}", error.message),
        Some(Ended::Response(_)) => "done".to_owned(),
    };
    let (through, target) = (shown(plan.through), plan.target);
    Ok(format!("{}  through {through} into {target}  {state}", operation.name))
}

pub(super) fn metadata_of(operation: &Operation) -> Result<RestoreMetadata> {
    let metadata = operation.metadata.as_ref().context("an operation without metadata")?;
    metadata.to_msg().context("read an operation's metadata")
}

/// `documents: 1200 of 5000, 3 MB, 400/s, 9 s left`
fn progress(metadata: &RestoreMetadata) -> String {
    let phase = metadata.phase().as_str_name().to_ascii_lowercase();
    let mut text = format!("{phase}: {}", metadata.done);
    if let Some(total) = metadata.total {
        text.push_str(&format!(" of {total}"));
    }
    if metadata.bytes_done > 0 {
        text.push_str(&format!(", {} MB", metadata.bytes_done / 1_000_000));
    }
    if metadata.phase() == RestorePhase::Documents && metadata.per_second > 0.0 {
        text.push_str(&format!(", {:.0}/s", metadata.per_second));
    }
    if let Some(seconds) = metadata.remaining_seconds {
        text.push_str(&format!(", {seconds:.0} s left"));
    }
    text
}

/// Waits until the restore is done, and shows its progress. On Ctrl-C, a restore on a server
/// continues without this command; a restore in this process is cancelled.
pub(super) async fn follow(
    operation: &Operation,
    backend: &Backend,
    bar: &ProgressBar,
) -> Result<RestoreReport> {
    let name = operation.name.clone();
    let interrupted = CancellationToken::new();
    let mut states = backend
        .hindsight()
        .watch_restore(WatchRestoreRequest { name: name.clone() })
        .await?
        .into_inner();
    let mut last = operation.clone();
    let mut interrupts = Box::pin(tokio::signal::ctrl_c());
    loop {
        let state = tokio::select! {
            state = states.message() => state?,
            _ = &mut interrupts, if !interrupted.is_cancelled() => {
                if !backend.is_own_process() {
                    return Err(Failure::other(format!(
                        "the restore continues without this command: `hindsight restores watch {name}` shows it, \
                         `hindsight restores cancel {name}` stops it"
                    )));
                }
                bar.suspend(|| say("cancelling"));
                interrupted.cancel();
                let request = CancelOperationRequest { name: name.clone() };
                backend.operations().cancel_operation(request).await?;
                continue;
            }
        };
        let Some(state) = state else { break };
        last = state;
        bar.set_message(progress(&metadata_of(&last)?));
    }
    match last.result {
        Some(Ended::Response(report)) => {
            Any::to_msg(&report).context("read the report of a restore")
        }
        Some(Ended::Error(error)) => {
            let details = prost::Message::encode_to_vec(&error).into();
            Err(Status::with_details(error.code.into(), error.message, details).into())
        }
        None => Err(Failure::other(format!(
            "the server stopped without reporting how the restore {name} ended"
        ))),
    }
}
