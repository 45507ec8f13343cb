//! `GetTimeline`: what happened when.

use std::num::NonZeroU32;

use axum::response::Response;
use hindsight_access::Role;
use hindsight_proto::v1 as api;
use hindsight_refusal::status_of;
use hindsight_replayer::Engine;
use hindsight_replayer::find::NamespacePattern;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tonic::Status;
use utoipa::{IntoParams, ToSchema};

use crate::json::PositionJson;
use crate::service::{ApiCall, Counted, Place, Service, Unary, about, apart, missing, whereabouts};
use crate::times::to_api;
use crate::v1::answer::json;
use crate::v1::problem::{Problem, ProblemJson};
use crate::v1::question::{Asker, Params, time};

impl ApiCall for api::GetTimelineRequest {
    const NAME: &'static str = "GetTimeline";
    const ROLE: Role = Role::Viewer;
    const DOCUMENTS: Counted<Self::Answer> = None;
    type Answer = api::GetTimelineResponse;

    fn about(&self) -> Value {
        about::given([("ns", self.ns.as_str().into())])
    }
}

impl Unary for api::GetTimelineRequest {
    async fn answer(self, service: &Service, place: Place) -> Result<Self::Answer, Status> {
        let engine = service.engine.clone();
        apart(place, move |_| answer(&engine, self)).await
    }
}

fn answer(
    engine: &Engine,
    request: api::GetTimelineRequest,
) -> Result<api::GetTimelineResponse, Status> {
    let namespace = (!request.ns.is_empty()).then(|| NamespacePattern::parse(&request.ns));
    let bound = |time: Option<api::TimeSpec>, lower| {
        time.map(|time| engine.bound(&time.text, lower)).transpose().map_err(status_of)
    };
    let (from, to) = (bound(request.from, true)?, bound(request.to, false)?);
    let mut notes = whereabouts::notes(engine, &request.ns);
    notes.extend(missing::notes(engine, from, to)?);
    let bucket = NonZeroU32::new(request.bucket_seconds);
    let found = engine.timeline(namespace.as_ref(), from, to, bucket).map_err(status_of)?;
    let buckets = found.rows.into_iter().map(|row| api::TimelineBucket {
        start: row.start_seconds,
        ns: row.ns,
        inserts: row.counts.inserts,
        updates: row.counts.updates,
        deletes: row.counts.deletes,
        commands: row.counts.commands,
    });
    let commands = found.commands.into_iter().map(|note| api::TimelineCommand {
        at: Some(to_api(note.optime.ts)),
        command: note.command,
        ns: note.ns,
        to: note.renamed_to.unwrap_or_default(),
        drops_target: note.drops_target,
    });
    Ok(api::GetTimelineResponse {
        buckets: buckets.collect(),
        commands: commands.collect(),
        bucket_seconds: found.bucket_seconds.get(),
        commands_truncated: found.has_older_commands,
        notes,
    })
}

/// The number of operations per namespace and stretch of time, and the commands among them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Timeline)]
pub struct TimelineJson {
    /// By time, then namespace. Buckets in which nothing happened are left out.
    pub buckets: Vec<BucketJson>,
    /// In the order of the log. At most 10,000 commands: the newest.
    pub commands: Vec<CommandJson>,
    /// Whether the requested time range has older commands than these.
    pub commands_truncated: bool,
    /// For people: gaps in the range that was searched, and where to look for what a time-series
    /// collection or a view of this name shows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub notes: Vec<String>,
}

/// The operations of one namespace in one stretch of time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Bucket)]
pub struct BucketJson {
    pub start: PositionJson,
    pub seconds: u32,
    pub ns: String,
    pub inserts: u64,
    pub updates: u64,
    pub deletes: u64,
    pub commands: u64,
}

/// `create`, `drop`, `renameCollection`, …
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Command)]
pub struct CommandJson {
    pub at: Option<PositionJson>,
    pub command: String,
    pub ns: String,
    /// For a rename: the new name.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    pub to: String,
    /// Whether the rename dropped the collection that had the new name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub drops_target: bool,
}

impl From<api::TimelineCommand> for CommandJson {
    fn from(command: api::TimelineCommand) -> Self {
        let api::TimelineCommand { at, command, ns, to, drops_target } = command;
        Self { at: at.map(Into::into), command, ns, to, drops_target }
    }
}

impl From<api::GetTimelineResponse> for TimelineJson {
    fn from(answer: api::GetTimelineResponse) -> Self {
        let bucket = |bucket: api::TimelineBucket| BucketJson {
            start: PositionJson { t: bucket.start, i: 0 },
            seconds: answer.bucket_seconds,
            ns: bucket.ns,
            inserts: bucket.inserts,
            updates: bucket.updates,
            deletes: bucket.deletes,
            commands: bucket.commands,
        };
        Self {
            buckets: answer.buckets.into_iter().map(bucket).collect(),
            commands: answer.commands.into_iter().map(Into::into).collect(),
            commands_truncated: answer.commands_truncated,
            notes: answer.notes,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TimelineParams {
    /// `db.collection`, or `db.*`. Default: all.
    ns: Option<String>,
    /// Default: from the first entry held.
    from: Option<String>,
    /// Default: to the last entry held.
    to: Option<String>,
    /// Length of a bucket in seconds. Default, and for 0: a length that makes at most 60 buckets.
    bucket_seconds: Option<u32>,
}

/// Counts operations per namespace and stretch of time, and lists the commands among them.
#[utoipa::path(get, path = "/v1/timeline", tag = "search", params(TimelineParams), responses(
    (status = 200, body = TimelineJson), (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn timeline(
    asker: Asker,
    Params(params): Params<TimelineParams>,
) -> Result<Response, Problem> {
    let request = api::GetTimelineRequest {
        ns: params.ns.unwrap_or_default(),
        from: time(params.from),
        to: time(params.to),
        bucket_seconds: params.bucket_seconds.unwrap_or_default(),
    };
    let answer = asker.one(request).await?;
    Ok(json(&TimelineJson::from(answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_says_that_older_commands_are_left_out() {
        for commands_truncated in [false, true] {
            let answer = api::GetTimelineResponse { commands_truncated, ..Default::default() };
            let json = serde_json::to_value(TimelineJson::from(answer)).expect("plain data");
            assert_eq!(json["commands_truncated"], commands_truncated);
        }
    }
}
