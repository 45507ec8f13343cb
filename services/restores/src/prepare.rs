//! Plans a restore and checks the target: everything that can be decided before the first write.

use std::sync::Arc;
use std::time::Duration;

use hindsight_oplog::{Hex, Timestamp};
use hindsight_proto::v1 as api;
use hindsight_refusal::{Reason, invalid, status_of, status_of_restore};
use hindsight_replayer::{Applied, Engine, HistorySnapshot, QueryError};
use hindsight_restore::{
    Prepared, RestoreSettings, Selection, SourceIdentity, prepare as prepare_restore,
};
use hindsight_restore_mongod::MongodDestination;
use hindsight_segment::Sequence;
use tonic::Status;

/// Limit on the time to prepare a restore. A target that answers takes seconds. For a target that
/// does not answer, the wait is as long as its URI says, which is up to the caller, and meanwhile
/// the request takes a place among the restores.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn prepare(
    engine: &Engine,
    restore: &api::RestoreSpec,
) -> Result<(Prepared, api::RestorePlan), Status> {
    // On the heap, because the future is large.
    within(PATIENCE, Box::pin(prepare_at_leisure(engine, restore))).await
}

async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let worked = tokio::time::timeout(patience, work).await;
    worked.unwrap_or_else(|_| {
        Err(Reason::TargetUnavailable.status(format!(
            "target unavailable: it was not connected to and checked within {} s. Nothing was written",
            patience.as_secs()
        )))
    })
}

async fn prepare_at_leisure(
    engine: &Engine,
    restore: &api::RestoreSpec,
) -> Result<(Prepared, api::RestorePlan), Status> {
    let time = restore.time.clone().ok_or_else(|| invalid("time", "it is missing"))?;
    if restore.to.is_empty() {
        return Err(invalid("to", "it is missing: give the target's connection string"));
    }
    let at = engine.resolve(&time.text, time.exclusive).map_err(status_of)?;
    engine.wait_applied(at).await.map_err(status_of)?;
    let history = Arc::clone(engine.history().map_err(status_of)?);
    let target = MongodDestination::connect(&restore.to).await;
    let target = Arc::new(target.map_err(|error| status_of_restore(&error))?);
    let settings = RestoreSettings {
        allow_non_empty: restore.allow_non_empty,
        leave_out_unrestorable: restore.leave_out_unrestorable,
        source: source_of(engine, at).await.map_err(status_of)?,
        ..RestoreSettings::default()
    };
    let ended = ended_at(&engine.applied.borrow(), at);
    let snapshot = Arc::new(HistorySnapshot::new(history, at).warning(ended));
    let prepared = prepare_restore(snapshot, target, Selection::Everything, settings).await;
    let prepared = prepared.map_err(|error| status_of_restore(&error))?;
    let plan = plan_of(&prepared, &time, at);
    Ok((prepared, plan))
}

/// Returns a warning when the history has ended at `at`: a caller who asks for the newest time must
/// know that newer times exist and cannot be restored.
fn ended_at(history: &Applied, at: Timestamp) -> Option<String> {
    let stopped = history.stopped.as_ref()?;
    history.through.is_some_and(|through| at >= through).then(|| {
        format!(
            "the history has ended here: what was written later is in the log, and cannot be restored for now ({})",
            stopped.reason
        )
    })
}

/// Returns what the log and the base say about the source, for the checks of the target.
async fn source_of(engine: &Engine, at: Timestamp) -> Result<SourceIdentity, QueryError> {
    // The first segment is enough: a log whose end is damaged still knows its source.
    let first = engine.log.infos(Sequence::FIRST, 1).await.map_err(QueryError::from)?.pop();
    let replica_set_id = first.map(|first| Hex(&first.header.source.replica_set_id).to_string());
    let series = engine.series_seen(at)?.iter().map(ToString::to_string).collect();
    Ok(SourceIdentity { replica_set_id, series })
}

fn plan_of(prepared: &Prepared, time: &api::TimeSpec, at: Timestamp) -> api::RestorePlan {
    let plan = prepared.plan();
    let skipped = plan
        .skipped
        .iter()
        .map(|skipped| api::Skipped { ns: skipped.ns.clone(), reason: skipped.reason.clone() });
    api::RestorePlan {
        through: Some(api::Timestamp { t: at.seconds(), i: at.increment() }),
        target: prepared.target(),
        namespaces: plan.namespaces().collect(),
        skipped: skipped.collect(),
        warnings: prepared.warnings().to_vec(),
        text: text_of(prepared, time, at),
    }
}

fn text_of(prepared: &Prepared, time: &api::TimeSpec, at: Timestamp) -> String {
    let how = match time.exclusive {
        true => format!("everything before {} (excluded)", time.text),
        false => format!("everything until {} (included)", time.text),
    };
    let plan = prepared.plan();
    let mut text = format!(
        "restoring {how}: the last timestamp included is {}\ninto {}: {} collections, {} views",
        at.for_people(),
        prepared.target(),
        plan.collections.len(),
        plan.views.len()
    );
    for warning in prepared.warnings() {
        text.push_str("\nwarning: ");
        text.push_str(warning);
    }
    text
}

#[cfg(test)]
mod tests {
    use hindsight_replayer::Stopped;

    use super::*;

    #[test]
    fn a_restore_of_the_end_of_a_history_says_so() {
        let stopped = Stopped { reason: "entry 9: unknown".into(), needs_base: true };
        let at = |seconds| Timestamp::new(seconds, 1);
        let ended = Applied { through: Some(at(5)), stopped: Some(stopped), ..Applied::default() };
        assert!(ended_at(&ended, at(5)).is_some_and(|text| text.contains("entry 9")));
        assert_eq!(ended_at(&ended, at(4)), None);
        assert_eq!(ended_at(&Applied { stopped: None, ..ended }, at(5)), None);
    }

    #[tokio::test]
    async fn a_target_that_does_not_answer_is_given_up() {
        let never = std::future::pending::<Result<(), Status>>();
        let error = within(Duration::from_millis(10), never).await.expect_err("it never answers");
        assert_eq!(error.code(), tonic::Code::Unavailable);
        assert!(error.message().contains("Nothing was written"), "{error:?}");
        let fine = within(PATIENCE, std::future::ready(Ok(7))).await;
        assert_eq!(fine.expect("it answers"), 7);
    }
}
