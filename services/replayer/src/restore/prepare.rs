//! What comes before the first write: the plan, and the checks of the target.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hindsight_oplog::raw::{Doc, Element};

use super::authorization::read_all;
use super::checks::check;
use super::error::RestoreError;
use super::plan::{self, Plan, ViewDocuments};
use super::settings::RestoreSettings;
use super::snapshot::{CollectionState, Snapshot};
use super::target::{Target, TargetFacts};
use super::time_series::Abilities;

/// A restore that may start: planned, and the target checked. Nothing has been written.
pub struct Prepared {
    pub(super) snapshot: Arc<dyn Snapshot>,
    pub(super) target: Target,
    pub(super) settings: RestoreSettings,
    pub(super) plan: Arc<Plan>,
    pub(super) facts: TargetFacts,
    pub(super) abilities: Abilities,
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
    let read = tokio::task::spawn_blocking(move || read_plan(reading.as_ref(), users_and_roles));
    let facts = target.probe().await;
    let (plan, feature_version) =
        read.await.map_err(|panic| RestoreError::Defect(panic.to_string()))??;
    let facts = facts?;
    let abilities = abilities(&target, &plan, &facts, feature_version.as_deref()).await?;
    let plan = fit_time_series(Arc::clone(&snapshot), plan, abilities).await?;
    let mut warnings = plan.warnings.clone();
    check(&plan, &facts, feature_version.as_deref(), &settings, &mut warnings)?;
    Ok(Prepared { snapshot, target, settings, plan: Arc::new(plan), facts, abilities, warnings })
}

/// How long buckets are looked at before a plan is shown.
const LOOK: Duration = Duration::from_secs(20);

/// What the target does with time-series. Asks nothing where the plan has none.
async fn abilities(
    target: &Target,
    plan: &Plan,
    facts: &TargetFacts,
    feature_version: Option<&str>,
) -> Result<Abilities, RestoreError> {
    let first = plan.collections.iter().find(|collection| collection.time_series.is_some());
    let knows_mark = match first {
        // What is not a primary is refused by the checks.
        Some(collection) if facts.writable => {
            target.knows_mixed_schema(&collection.state.db).await?
        }
        _ => false,
    };
    let major = |version: &str| version.split('.').next().and_then(|text| text.parse().ok());
    Ok(Abilities {
        knows_mark,
        feature_version: feature_version.and_then(major),
        guards_buckets: major(&facts.version).is_some_and(|major: u32| major >= 7),
    })
}

/// Fits the plan's time-series to the target, which may take a look at their buckets.
async fn fit_time_series(
    snapshot: Arc<dyn Snapshot>,
    mut plan: Plan,
    abilities: Abilities,
) -> Result<Plan, RestoreError> {
    let to_look_at = plan
        .fit_time_series(abilities)
        .map_err(|(namespace, error)| RestoreError::Source { namespace, source: error.into() })?;
    let look = move || {
        let deadline = Instant::now() + LOOK;
        plan.look_at_buckets(snapshot.as_ref(), &to_look_at, deadline).map(|()| plan)
    };
    let looked = tokio::task::spawn_blocking(look).await;
    let looked = looked.map_err(|panic| RestoreError::Defect(panic.to_string()))?;
    looked.map_err(|(namespace, source)| RestoreError::Source { namespace, source })
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
