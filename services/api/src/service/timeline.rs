//! The timeline: what happened when, as an API message.

use std::num::NonZeroU32;

use hindsight_proto::v1 as api;
use hindsight_replayer::Engine;
use hindsight_replayer::find::NamespacePattern;
use tonic::Status;

use super::{missing, status_of, whereabouts};
use crate::times::to_api;

pub(super) fn timeline(
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
