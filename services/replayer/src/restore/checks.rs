//! What must be so before anything is written. Pure: facts in, everything that is wrong out.

use std::collections::BTreeSet;

use hindsight_oplog::raw::Doc;

use super::error::RestoreError;
use super::plan::{Plan, PlannedCollection};
use super::settings::RestoreSettings;
use super::target::TargetFacts;

/// Major versions in the order of upgrades.
const MAJORS: [&str; 9] = ["3.6", "4.0", "4.2", "4.4", "5.0", "6.0", "7.0", "8.0", "9.0"];

/// What a restore does in every database; the names are the server's actions.
const ACTIONS: [&str; 5] =
    ["bypassDocumentValidation", "collMod", "createCollection", "createIndex", "insert"];
/// What only the verification does.
const READ_ACTIONS: [&str; 3] = ["find", "listCollections", "listIndexes"];

/// Lists everything that speaks against the target; what could not be checked goes into `warnings`.
///
/// # Errors
/// [`RestoreError::TargetNotEmpty`] when that is all that is wrong, else [`RestoreError::TargetUnsuitable`]
/// with all problems.
pub(super) fn check(
    plan: &Plan,
    facts: &TargetFacts,
    source_feature_version: Option<&str>,
    settings: &RestoreSettings,
    warnings: &mut Vec<String>,
) -> Result<(), RestoreError> {
    let mut problems = plan.unfit.clone();
    check_role(facts, &mut problems);
    check_identity(facts, settings, &mut problems, warnings);
    check_versions(facts, source_feature_version, settings, &mut problems, warnings);
    check_rights(plan, facts, settings, &mut problems);
    check_features(plan, facts, &mut problems);
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
    Err(RestoreError::TargetUnsuitable { problems })
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

fn check_versions(
    facts: &TargetFacts,
    source_feature_version: Option<&str>,
    settings: &RestoreSettings,
    problems: &mut Vec<String>,
    warnings: &mut Vec<String>,
) {
    let source_major = settings.source.version.as_deref().map(major).or(source_feature_version);
    match source_major {
        Some(source) if !is_same_or_next(source, major(&facts.version)) => {
            problems.push(format!(
                "it runs MongoDB {}, and the source ran {source}; take the same major version or the next",
                facts.version
            ));
        }
        Some(_) => {}
        None => warnings.push("the source's version is not known: not compared".to_owned()),
    }
    match (source_feature_version, &facts.feature_version) {
        (Some(source), Some(target)) if source != target => problems.push(format!(
            "its feature compatibility version is {target}, the source's was {source}; run \
             db.adminCommand({{setFeatureCompatibilityVersion: \"{source}\"}}) on the target"
        )),
        (Some(_), Some(_)) => {}
        _ => warnings.push("feature compatibility versions are not known: not compared".to_owned()),
    }
}

/// `6.0` of `6.0.5`.
fn major(version: &str) -> &str {
    let second_dot = version.match_indices('.').nth(1);
    second_dot.map_or(version, |(at, _)| &version[..at])
}

fn is_same_or_next(source: &str, target: &str) -> bool {
    let place = |major: &str| MAJORS.iter().position(|known| *known == major);
    match (place(source), place(target)) {
        (Some(source), Some(target)) => target == source || target == source + 1,
        // Versions between two majors: only the very same one is known to do.
        _ => source == target,
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

fn check_features(plan: &Plan, facts: &TargetFacts, problems: &mut Vec<String>) {
    if facts.set_name.is_some() {
        return;
    }
    for collection in &plan.collections {
        let options = Doc::new(&collection.state.options);
        let encrypted = options.and_then(|options| options.get(b"encryptedFields"));
        if encrypted.is_ok_and(|option| option.is_some()) {
            problems.push(format!(
                "it is a standalone server, which takes no encrypted collections, and {} is one; \
                 restore into a replica set",
                collection.state.namespace()
            ));
        }
    }
}

/// What must go before this restore may start: everything, or what the plan would write itself.
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
    Vec::new()
}

#[cfg(test)]
mod tests;
