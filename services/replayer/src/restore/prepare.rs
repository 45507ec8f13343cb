//! What comes before the first write: the plan, and the checks of the target.

use std::sync::Arc;

use hindsight_oplog::raw::{Doc, Element};

use super::authorization::read_all;
use super::checks::check;
use super::error::RestoreError;
use super::plan::{self, Plan, ViewDocuments};
use super::settings::RestoreSettings;
use super::snapshot::{CollectionState, Snapshot};
use super::target::{Target, TargetFacts};

/// A restore that may start: planned, and the target checked. Nothing has been written.
pub struct Prepared {
    pub(super) snapshot: Arc<dyn Snapshot>,
    pub(super) target: Target,
    pub(super) settings: RestoreSettings,
    pub(super) plan: Arc<Plan>,
    pub(super) facts: TargetFacts,
    pub(super) warnings: Vec<String>,
}

/// Plans the restore of a snapshot into a target and checks the target, without writing anything.
///
/// # Errors
/// [`RestoreError::TargetNotEmpty`], [`RestoreError::TargetUnsuitable`] with everything that is wrong,
/// [`RestoreError::Unavailable`], [`RestoreError::Source`], [`RestoreError::Settings`].
pub async fn prepare(
    snapshot: Arc<dyn Snapshot>,
    target: Target,
    settings: RestoreSettings,
) -> Result<Prepared, RestoreError> {
    settings.validate().map_err(RestoreError::Settings)?;
    let (reading, users_and_roles) = (Arc::clone(&snapshot), settings.users_and_roles);
    let read = tokio::task::spawn_blocking(move || {
        read_plan(reading.as_ref(), users_and_roles).map(|read| (read, reading.warnings()))
    });
    let facts = target.probe().await;
    let ((plan, feature_version), known) =
        read.await.map_err(|panic| RestoreError::Defect(panic.to_string()))??;
    let facts = facts?;
    let mut warnings = [plan.warnings.clone(), known].concat();
    check(&plan, &facts, feature_version.as_deref(), &settings, &mut warnings)?;
    Ok(Prepared { snapshot, target, settings, plan: Arc::new(plan), facts, warnings })
}

/// The plan, and the source's feature compatibility version at that time if the state tells it.
fn read_plan(
    snapshot: &dyn Snapshot,
    users_and_roles: bool,
) -> Result<(Plan, Option<String>), RestoreError> {
    let catalog = || "the catalog".to_owned();
    let collections = snapshot
        .collections()
        .map_err(|source| RestoreError::Source { namespace: catalog(), source })?;
    let mut views = ViewDocuments::new();
    let mut feature_version = None;
    for state in &collections {
        if state.name == plan::VIEWS {
            views.insert(state.db.clone(), read_all(snapshot, state)?);
        } else if state.db == "admin" && state.name == "system.version" {
            feature_version = read_feature_version(snapshot, state)?;
        }
    }
    let planned = plan::plan(snapshot.timestamp(), collections, &views, users_and_roles);
    let failed = |(namespace, error): (String, hindsight_oplog::raw::Malformed)| {
        RestoreError::Source { namespace, source: error.into() }
    };
    let mut planned = planned.map_err(failed)?;
    // The target is of the source's version or the next.
    if feature_version.as_deref().is_some_and(can_move_bounds) {
        planned.load_before_bounds().map_err(failed)?;
    }
    Ok((planned, feature_version))
}

/// Whether servers of that feature compatibility version have `collMod` with `cappedSize`.
fn can_move_bounds(feature_version: &str) -> bool {
    let major = feature_version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major >= 6)
}

fn read_feature_version(
    snapshot: &dyn Snapshot,
    state: &CollectionState,
) -> Result<Option<String>, RestoreError> {
    for document in read_all(snapshot, state)? {
        let failed = |error: hindsight_oplog::raw::Malformed| RestoreError::Source {
            namespace: state.namespace(),
            source: error.into(),
        };
        let document = Doc::new(&document).map_err(failed)?;
        let text = |name: &[u8]| {
            document.get(name).map_err(failed).map(|found| found.and_then(Element::as_str))
        };
        if text(b"_id")? == Some("featureCompatibilityVersion") {
            return Ok(text(b"version")?.map(str::to_owned));
        }
    }
    Ok(None)
}

impl Prepared {
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The target's hosts, and its set's name and version.
    pub fn target(&self) -> String {
        let set = self.facts.set_name.as_deref().unwrap_or("standalone");
        format!("{} ({set}, MongoDB {})", self.target.name, self.facts.version)
    }

    /// What the user should know before it starts.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

#[cfg(test)]
mod tests;
