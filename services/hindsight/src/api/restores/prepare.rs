//! Plan and checks of a restore: everything that can be said before the first write.

use std::sync::Arc;

use hindsight_oplog::Timestamp;
use hindsight_proto::v1 as api;
use hindsight_replayer::restore::{
    Prepared, RestoreSettings, SourceIdentity, Target, prepare as prepare_restore,
};
use hindsight_replayer::{Engine, HistorySnapshot};
use tonic::Status;

use super::super::reason::status_of_restore;
use super::super::{Service, invalid, status_of};
use crate::times::to_api;

pub(super) async fn prepare(
    service: &Service,
    restore: &api::RestoreSpec,
) -> Result<(Prepared, api::RestorePlan), Status> {
    let time = restore.time.clone().ok_or_else(|| invalid("time", "it is missing"))?;
    if restore.to.is_empty() {
        return Err(invalid("to", "it is missing: give the target's connection string"));
    }
    let engine = &service.engine;
    let at = service.reach(Some(time.clone())).await?;
    let history = Arc::clone(engine.history().map_err(status_of)?);
    let target = Target::connect(&restore.to).await.map_err(|error| status_of_restore(&error))?;
    let settings = RestoreSettings {
        allow_non_empty: restore.allow_non_empty,
        source: source_of(engine, at).await,
        ..RestoreSettings::default()
    };
    let snapshot = Arc::new(HistorySnapshot::new(history, at));
    let prepared = prepare_restore(snapshot, target, settings).await;
    let prepared = prepared.map_err(|error| status_of_restore(&error))?;
    let plan = plan_of(&prepared, &time, at);
    Ok((prepared, plan))
}

/// What the log and the base tell about the source, for the checks of the target.
async fn source_of(engine: &Engine, at: Timestamp) -> SourceIdentity {
    let end = engine.log.end().await.ok().flatten();
    let replica_set_id = end.map(|end| {
        end.header.source.replica_set_id.iter().map(|byte| format!("{byte:02x}")).collect()
    });
    let base = engine.index.plan(at).ok().map(|plan| engine.bases.join(plan.base.name));
    let opened = base.and_then(|path| hindsight_base::Base::open(&path).ok());
    let version = opened.map(|base| base.manifest().origin.source.server_version.clone());
    SourceIdentity { replica_set_id, version }
}

fn plan_of(prepared: &Prepared, time: &api::TimeSpec, at: Timestamp) -> api::RestorePlan {
    let plan = prepared.plan();
    let skipped = plan
        .skipped
        .iter()
        .map(|skipped| api::Skipped { ns: skipped.ns.clone(), reason: skipped.reason.clone() });
    api::RestorePlan {
        through: Some(to_api(at)),
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
