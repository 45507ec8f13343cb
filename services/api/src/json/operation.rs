//! A restore as an operation.

use anyhow::{Context, Result};
use hindsight_proto::longrunning::{self, operation};
use hindsight_proto::v1 as api;
use hindsight_refusal::REMEDIES;
use hindsight_remedy::{Remedy, from_json};
use prost_types::Any;
use serde::Serialize;
use tonic_types::RpcStatusExt;
use utoipa::ToSchema;

use super::{PlanJson, ReportJson};

/// A restore.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Operation)]
pub struct OperationJson {
    /// `operations/…`; empty when the restore was only validated.
    pub name: String,
    /// Whether the restore has ended. A restore that succeeded has a `response`; a restore that
    /// failed has an `error`.
    pub done: bool,
    pub metadata: MetadataJson,
    /// The report of the restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub response: Option<ReportJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub error: Option<FailureJson>,
}

/// The progress of a restore.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RestoreMetadata)]
pub struct MetadataJson {
    pub plan: Option<PlanJson>,
    /// `checks`, `collections`, `documents`, `indexes`, `views`, `verification`, `expiry`, `users`,
    /// `done`.
    pub phase: String,
    /// How many collections, documents, indexes or views are done, depending on the phase.
    pub progress: u64,
    pub total: Option<u64>,
    pub bytes: u64,
    pub bytes_total: Option<u64>,
    pub per_second: f64,
    pub remaining_seconds: Option<f64>,
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
    pub ended_ms: Option<i64>,
    pub requested_by: String,
    pub request_id: String,
    pub cancel_requested: bool,
}

/// Why a restore failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RestoreFailure)]
pub struct FailureJson {
    pub reason: String,
    pub detail: String,
    /// What can be done about it, by name, or as an object with a name and its values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>, required = false)]
    pub remedies: Vec<Remedy>,
}

/// All operations, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Operations)]
pub struct OperationsJson {
    pub operations: Vec<OperationJson>,
    /// Empty on the last page.
    pub next_page_token: String,
}

impl OperationJson {
    /// # Errors
    /// Returns an error when the metadata or the report is not that of a restore.
    pub fn of(operation: &longrunning::Operation) -> Result<Self> {
        let metadata = operation.metadata.as_ref().context("an operation without metadata")?;
        let metadata: api::RestoreMetadata =
            metadata.to_msg().context("an operation's metadata")?;
        let (mut response, mut error) = (None, None);
        match &operation.result {
            None => {}
            Some(operation::Result::Response(report)) => {
                let report: api::RestoreReport =
                    Any::to_msg(report).context("an operation's response")?;
                response = Some(report.into());
            }
            Some(operation::Result::Error(failed)) => {
                let info = failed.get_details_error_info();
                let (reason, metadata) =
                    info.map_or_else(Default::default, |info| (info.reason, info.metadata));
                let remedies = metadata.get(REMEDIES).map_or_else(Vec::new, |json| from_json(json));
                error = Some(FailureJson { reason, detail: failed.message.clone(), remedies });
            }
        }
        let metadata = metadata_of(metadata);
        let (name, done) = (operation.name.clone(), operation.done);
        Ok(Self { name, done, metadata, response, error })
    }
}

fn metadata_of(metadata: api::RestoreMetadata) -> MetadataJson {
    MetadataJson {
        phase: metadata.phase().as_str_name().to_ascii_lowercase(),
        plan: metadata.plan.map(Into::into),
        progress: metadata.done,
        total: metadata.total,
        bytes: metadata.bytes_done,
        bytes_total: metadata.bytes_total,
        per_second: metadata.per_second,
        remaining_seconds: metadata.remaining_seconds,
        created_ms: metadata.created_ms,
        ended_ms: (metadata.ended_ms != 0).then_some(metadata.ended_ms),
        requested_by: metadata.requested_by,
        request_id: metadata.request_id,
        cancel_requested: metadata.cancel_requested,
    }
}

impl OperationsJson {
    /// # Errors
    /// Returns the errors of [`OperationJson::of`].
    pub fn of(answer: &longrunning::ListOperationsResponse) -> Result<Self> {
        let operations: Result<_> = answer.operations.iter().map(OperationJson::of).collect();
        Ok(Self { operations: operations?, next_page_token: answer.next_page_token.clone() })
    }
}
