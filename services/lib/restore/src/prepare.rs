//! Everything before the first write: the plan, and the checks of the target.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hindsight_oplog::raw::Doc;
use hindsight_oplog::{FeatureVersion, Series, SourceVersion, Timestamp};

use super::accounts::actions::actions_of;
use super::accounts::{AccountKind, Accounts, Authorization};
use super::authorization::present::present;
use super::checks::check;
use super::definitions;
use super::destination::Destination;
use super::error::{LISTED, RestoreError, listed};
use super::facts::TargetFacts;
use super::findings::{Findings, Obstacle};
use super::fit::{Limits, fit};
use super::plan::{self, Plan, ViewDocuments};
use super::selection::Selection;
use super::settings::RestoreSettings;
use super::snapshot::{CollectionState, Snapshot};
use super::time_series::Abilities;

/// From this feature compatibility version on, `collMod` takes `cappedSize`.
const MOVES_BOUNDS: Series = Series::new(6, 0);

/// A restore that may start: it is planned, and its target is checked. Nothing has been written.
pub struct Prepared {
    pub(super) snapshot: Arc<dyn Snapshot>,
    pub(super) destination: Arc<dyn Destination>,
    pub(super) settings: RestoreSettings,
    pub(super) plan: Arc<Plan>,
    pub(super) facts: TargetFacts,
    pub(super) warnings: Vec<String>,
    /// Users and roles as they will be merged.
    pub(super) authorization: Authorization,
}

/// Plans the restore of the selected part of a snapshot into a target and checks the target,
/// without writing anything.
///
/// # Errors
/// Returns [`RestoreError::Settings`] when a setting is out of range or the selection names
/// something that the state does not have, [`RestoreError::Source`] when the state cannot be read,
/// [`RestoreError::Unavailable`] when the target cannot be reached, and
/// [`RestoreError::TargetNotEmpty`] or [`RestoreError::TargetUnsuitable`] with everything that is
/// wrong with the target.
pub async fn prepare(
    snapshot: Arc<dyn Snapshot>,
    destination: Arc<dyn Destination>,
    selection: Selection,
    settings: RestoreSettings,
) -> Result<Prepared, RestoreError> {
    settings.validate().map_err(RestoreError::Settings)?;
    let (reading, selected) = (Arc::clone(&snapshot), selection.clone());
    let read = tokio::task::spawn_blocking(move || {
        let catalog = read_catalog(reading.as_ref(), &selected)?;
        Ok::<_, RestoreError>((catalog, reading.warnings()))
    });
    let facts = destination.probe().await;
    let (mut catalog, known) =
        read.await.map_err(|panic| RestoreError::Defect(panic.to_string()))??;
    let facts = facts?;
    let feature_version = catalog.feature_version;
    let limits = Limits::of(&facts, feature_version);
    let accounts = std::mem::take(&mut catalog.accounts);
    let refused = match facts.writable {
        true => catalog.fit_definitions(destination.as_ref(), &settings).await?,
        false => Findings::default(),
    };
    let plan = catalog.planned(snapshot.timestamp(), limits, &settings)?;
    let abilities = abilities(destination.as_ref(), &plan, &facts, feature_version).await?;
    let mut plan = fit_time_series(Arc::clone(&snapshot), plan, abilities).await?;
    refused.add_to(&mut plan);
    let authorization = match settings.users_and_roles && facts.writable {
        true => {
            let target = (destination.as_ref(), &facts);
            fit_accounts(target, accounts, &selection, &mut plan, &settings).await?
        }
        false => Authorization::default(),
    };
    let mut warnings = [plan.warnings.clone(), known].concat();
    let seen = settings.source.series.iter().filter_map(|series| series.parse().ok());
    let source = SourceVersion::new(feature_version, seen);
    check(&plan, &facts, &source, &settings, &mut warnings)?;
    let plan = Arc::new(plan);
    Ok(Prepared { snapshot, destination, settings, plan, facts, warnings, authorization })
}

/// The longest time that buckets are examined before a plan is shown.
const LOOK: Duration = Duration::from_secs(20);

/// Finds out what the target does with time-series. Asks nothing when the plan has no time-series.
async fn abilities(
    destination: &dyn Destination,
    plan: &Plan,
    facts: &TargetFacts,
    feature_version: Option<FeatureVersion>,
) -> Result<Abilities, RestoreError> {
    let first = plan.collections.iter().find(|collection| collection.time_series.is_some());
    let knows_mark = match first {
        // The checks refuse a target that is not a primary.
        Some(collection) if facts.writable => {
            destination.knows_mixed_schema(&collection.state.db).await?
        }
        _ => false,
    };
    Ok(Abilities {
        knows_mark,
        feature_version: feature_version.map(|it| u32::from(it.version.major)),
        guards_buckets: facts.guards_buckets(),
    })
}

/// Fits the plan's time-series to the target, which may require examining their buckets.
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

/// Decides which users and roles are merged, and adds to the plan what speaks against that.
async fn fit_accounts(
    (destination, facts): (&dyn Destination, &TargetFacts),
    accounts: Accounts,
    selection: &Selection,
    plan: &mut Plan,
    settings: &RestoreSettings,
) -> Result<Authorization, RestoreError> {
    let unknown = fit_roles(destination, &accounts.roles, facts, plan, settings).await?;
    let own_user = facts.user.as_deref();
    let merged = Authorization::of(accounts, own_user, &unknown)?;
    if let Some(held) = destination.read_back() {
        let mut kinds = vec![AccountKind::Users, AccountKind::Roles];
        kinds.retain(|kind| selection.takes("admin", kind.collection()));
        let present = present(held, &kinds, &merged, own_user).await?;
        plan.unfit.extend(present.problems);
        plan.warnings.extend(present.warnings);
    }
    Ok(merged)
}

/// Finds roles that grant actions which the target does not know. Such a role is a problem, or
/// loses those actions. Returns the actions.
async fn fit_roles(
    destination: &dyn Destination,
    roles: &[Vec<u8>],
    facts: &TargetFacts,
    plan: &mut Plan,
    settings: &RestoreSettings,
) -> Result<BTreeSet<String>, RestoreError> {
    let namespace = || format!("admin.{}", plan::ROLES);
    let granted = actions_of(roles)
        .map_err(|error| RestoreError::Source { namespace: namespace(), source: error.into() })?;
    let actions: Vec<&str> = granted.keys().map(String::as_str).collect();
    let unknown = destination.unknown_actions(&actions).await?;
    let mut findings = Findings::default();
    for (action, roles) in granted.iter().filter(|(action, _)| unknown.contains(*action)) {
        let roles = listed(&roles.iter().cloned().collect::<Vec<_>>(), LISTED);
        let obstacle = Obstacle {
            what: format!("action {action} of {roles}"),
            reason: format!("MongoDB {} knows no such action", facts.version),
            remedy: "revoke it on the source".to_owned(),
            removable: true,
        };
        findings.tell(&namespace(), vec![obstacle], settings.leave_out_unrestorable);
    }
    findings.add_to(plan);
    Ok(unknown)
}

/// What the state holds besides documents.
struct Catalog {
    collections: Vec<CollectionState>,
    accounts: Accounts,
    views: ViewDocuments,
    /// The source's feature compatibility version at that time, if the state holds it.
    feature_version: Option<FeatureVersion>,
}

/// Reads the selected part of the catalog, and the feature compatibility version in any case.
fn read_catalog(snapshot: &dyn Snapshot, selection: &Selection) -> Result<Catalog, RestoreError> {
    let catalog = || "the catalog".to_owned();
    let mut collections = snapshot
        .collections()
        .map_err(|source| RestoreError::Source { namespace: catalog(), source })?;
    let mut views = ViewDocuments::new();
    let (mut feature_version, mut accounts) = (None, Accounts::default());
    for state in &collections {
        if state.name == plan::VIEWS {
            views.insert(state.db.clone(), read_all(snapshot, state)?);
        } else if state.db == "admin" && state.name == "system.version" {
            feature_version = read_feature_version(snapshot, state)?;
        } else if !selection.takes(&state.db, &state.name) {
            // Users and roles that are not selected need not be read.
        } else if state.db == "admin" && state.name == plan::ROLES {
            accounts.roles = read_all(snapshot, state)?;
        } else if state.db == "admin" && state.name == plan::USERS {
            accounts.users = read_all(snapshot, state)?;
        }
    }
    selection.restrict(&mut collections, &mut views)?;
    Ok(Catalog { collections, accounts, views, feature_version })
}

impl Catalog {
    /// Finds validators and views that the target does not understand, and takes them out or
    /// reports them.
    async fn fit_definitions(
        &mut self,
        destination: &dyn Destination,
        settings: &RestoreSettings,
    ) -> Result<Findings, RestoreError> {
        let leave_out = settings.leave_out_unrestorable;
        definitions::fit(destination, &mut self.collections, &mut self.views, leave_out).await
    }

    /// Makes the plan for a target, including what the target cannot hold of the catalog.
    fn planned(
        mut self,
        timestamp: Timestamp,
        limits: Option<Limits>,
        settings: &RestoreSettings,
    ) -> Result<Plan, RestoreError> {
        let failed = |(namespace, error): (String, hindsight_oplog::raw::Malformed)| {
            RestoreError::Source { namespace, source: error.into() }
        };
        let leave_out = settings.leave_out_unrestorable;
        let found = limits.map(|limits| fit(&mut self.collections, limits, leave_out));
        let found = found.transpose().map_err(failed)?.unwrap_or_default();
        let planned =
            plan::plan(timestamp, self.collections, &self.views, settings.users_and_roles);
        let mut planned = planned.map_err(failed)?;
        // The target has the source's version or the next.
        if self.feature_version.is_some_and(|it| it.version >= MOVES_BOUNDS) {
            planned.load_before_bounds().map_err(failed)?;
        }
        found.add_to(&mut planned);
        Ok(planned)
    }
}

/// The most bytes of one system collection that are read into memory. Users and roles are few; this
/// limit is far beyond what a server can authorise with.
const MAX_BYTES: usize = 256 << 20;

/// Reads all documents of a small collection into memory.
fn read_all(
    snapshot: &dyn Snapshot,
    state: &CollectionState,
) -> Result<Vec<Vec<u8>>, RestoreError> {
    let failed = |source| RestoreError::Source { namespace: state.namespace(), source };
    let (mut documents, mut bytes) = (Vec::new(), 0);
    for document in snapshot.documents(state).map_err(failed)? {
        let document = document.map_err(failed)?;
        bytes += document.len();
        if bytes > MAX_BYTES {
            return Err(failed(
                format!("more than {MAX_BYTES} bytes in a system collection").into(),
            ));
        }
        documents.push(document);
    }
    Ok(documents)
}

fn read_feature_version(
    snapshot: &dyn Snapshot,
    state: &CollectionState,
) -> Result<Option<FeatureVersion>, RestoreError> {
    for document in read_all(snapshot, state)? {
        let failed = |error: hindsight_oplog::raw::Malformed| RestoreError::Source {
            namespace: state.namespace(),
            source: error.into(),
        };
        let found = Doc::new(&document).and_then(FeatureVersion::read).map_err(failed)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

impl Prepared {
    /// Returns what the restore will write.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the target's hosts, set name and version, for messages.
    pub fn target(&self) -> String {
        let set = self.facts.set_name.as_deref().unwrap_or("standalone");
        format!("{} ({set}, MongoDB {})", self.destination.name(), self.facts.version)
    }

    /// Returns what the user should know before the restore starts.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

#[cfg(test)]
mod tests;
