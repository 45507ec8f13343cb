//! Checks what must hold before anything is written. Pure: takes facts, and returns everything that
//! is wrong.

use std::collections::BTreeSet;

use hindsight_oplog::{Namespace, SourceVersion};

mod versions;

use super::error::RestoreError;
use super::facts::TargetFacts;
use super::plan::{Plan, PlannedCollection, ROLES};
use super::settings::RestoreSettings;

/// What a restore does in every database, by the server's names of the actions.
const ACTIONS: [&str; 5] =
    ["bypassDocumentValidation", "collMod", "createCollection", "createIndex", "insert"];
/// Actions that only the verification needs.
const READ_ACTIONS: [&str; 3] = ["find", "listCollections", "listIndexes"];

/// Lists everything that speaks against the target, including what the target cannot hold. What
/// could not be checked goes into `warnings`.
///
/// # Errors
/// Returns [`RestoreError::TargetNotEmpty`] when nothing else is wrong, and
/// [`RestoreError::TargetUnsuitable`] with all problems otherwise.
pub(super) fn check(
    plan: &Plan,
    facts: &TargetFacts,
    source: &SourceVersion,
    settings: &RestoreSettings,
    warnings: &mut Vec<String>,
) -> Result<(), RestoreError> {
    let mut problems = plan.unfit.clone();
    check_role(facts, &mut problems);
    check_identity(facts, settings, &mut problems, warnings);
    versions::check(facts, source, &mut problems, warnings);
    check_rights(plan, facts, settings, &mut problems);
    let in_the_way = in_the_way(plan, facts, settings, &mut problems);
    if in_the_way.is_empty() && problems.is_empty() {
        return Ok(());
    }
    let not_empty = RestoreError::TargetNotEmpty { namespaces: in_the_way.clone() };
    if problems.is_empty() {
        return Err(not_empty);
    }
    if !in_the_way.is_empty() {
        problems.push(not_empty.to_string());
    }
    let remedies = plan.remedies.clone();
    Err(RestoreError::TargetUnsuitable { problems, remedies })
}

fn check_role(facts: &TargetFacts, problems: &mut Vec<String>) {
    if facts.router {
        problems.push(
            "it is a mongos: a restore writes into one replica set or standalone server".to_owned(),
        );
    } else if !facts.writable {
        problems.push(
            "it is not a writable primary; name the set in the URI (replicaSet=…), or give the \
             primary's address"
                .to_owned(),
        );
    }
}

fn check_identity(
    facts: &TargetFacts,
    settings: &RestoreSettings,
    problems: &mut Vec<String>,
    warnings: &mut Vec<String>,
) {
    let Some(source) = &settings.source.replica_set_id else { return };
    match (&facts.set_name, &facts.replica_set_id) {
        (Some(name), Some(id)) if id == source => problems.push(format!(
            "it is the source itself (replica set {name}, id {id}); restore into another deployment"
        )),
        (Some(name), None) => warnings.push(format!(
            "the target did not tell its replica set id (set {name}): not checked that it is not the source"
        )),
        _ => {}
    }
}

fn check_rights(
    plan: &Plan,
    facts: &TargetFacts,
    settings: &RestoreSettings,
    problems: &mut Vec<String>,
) {
    if facts.namespaces.is_none() {
        problems.push(
            "its databases cannot be listed: give a user with the roles restore and \
                       readAnyDatabase (or root) in the URI"
                .to_owned(),
        );
    }
    let (Some(user), Some(rights)) = (&facts.user, &facts.rights) else { return };
    let databases: BTreeSet<_> = plan.collections.iter().map(|c| c.state.db.as_str()).collect();
    let mut missing = BTreeSet::new();
    for db in databases {
        let reading = READ_ACTIONS.iter().filter(|_| settings.verify);
        for action in ACTIONS.iter().chain(reading) {
            if !rights.allow(db, action) {
                missing.insert(format!("{action} on {db}"));
            }
        }
    }
    if settings.verify && plan.authorization.iter().any(|state| state.name == ROLES) {
        let may_read = rights.allow_on("admin", ROLES, "find") || rights.allow("admin", "viewRole");
        if !may_read {
            missing.insert(format!("find on admin.{ROLES}, or viewRole on admin"));
        }
    }
    let surplus = |c: &&PlannedCollection| {
        let series = c.time_series.as_ref();
        series.is_some_and(|series| series.surplus_index.is_some())
            && !rights.allow(&c.state.db, "dropIndex")
    };
    let kept: Vec<_> =
        plan.collections.iter().filter(surplus).map(|c| c.state.namespace()).collect();
    if !kept.is_empty() {
        problems.push(format!(
            "user {user} lacks dropIndex, and the target makes an index with every time-series that {} did not have \
             so; grant it dropIndex, as readWriteAnyDatabase has it",
            kept.join(", ")
        ));
    }
    for collection in plan.collections.iter().filter(|collection| collection.raw_data) {
        let db = &collection.state.db;
        if !rights.allow(db, "performRawDataOperations") {
            missing.insert(format!("performRawDataOperations on {db}"));
        }
    }
    if !missing.is_empty() {
        let missing = missing.into_iter().collect::<Vec<_>>().join(", ");
        problems.push(format!(
            "user {user} lacks {missing}; grant it the roles restore and readAnyDatabase"
        ));
    }
}

/// Returns the namespaces that must be dropped before this restore may start. With
/// `allow_non_empty`, none are returned; collections that the plan would write itself then become
/// problems.
fn in_the_way(
    plan: &Plan,
    facts: &TargetFacts,
    settings: &RestoreSettings,
    problems: &mut Vec<String>,
) -> Vec<String> {
    let Some(existing) = &facts.namespaces else { return Vec::new() };
    if !settings.allow_non_empty {
        return existing.clone();
    }
    let planned: BTreeSet<_> = plan.namespaces().collect();
    let taken: Vec<_> = existing.iter().filter(|ns| planned.contains(*ns)).cloned().collect();
    if !taken.is_empty() {
        problems.push(format!(
            "it holds collections of the plan, and nothing is overwritten: drop {} first",
            taken.join(", ")
        ));
    }
    problems.extend(other_spellings(existing, &planned));
    Vec::new()
}

/// Returns a problem for each planned database whose name differs from that of an existing database
/// in case alone: a server refuses such a database.
fn other_spellings(existing: &[String], planned: &BTreeSet<String>) -> Vec<String> {
    let database = |ns: &str| Namespace::parse(ns).database.to_owned();
    let held: BTreeSet<_> = existing.iter().map(|ns| database(ns)).collect();
    let wanted: BTreeSet<_> = planned.iter().map(|ns| database(ns)).collect();
    let other = |wanted: &String| {
        let is_other =
            |held: &&String| *held != wanted && held.to_lowercase() == wanted.to_lowercase();
        let held = held.iter().find(is_other)?;
        Some(format!(
            "it has the database {held}, beside which no server makes {wanted} (their names differ in case alone): \
             drop {held} first"
        ))
    };
    wanted.iter().filter_map(other).collect()
}

#[cfg(test)]
mod tests;
