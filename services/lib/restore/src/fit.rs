//! Fits the catalog of a state to a target. Pure: takes the state's catalog and the target's
//! version, and returns the catalog that the target will list, everything that the target can never
//! hold, and everything that is dropped without a loss.
//!
//! Servers keep through upgrades what they refuse to create: a TTL index on a capped collection, a
//! `size` of 0. What has no effect is left out; the plan says so where that changes the meaning of
//! the definition. What has an effect is refused before anything is written, or left out if the
//! user asked for that. Seen on 4.4.2, 5.0.4, 6.0.5, 6.0.27 and 7.0.28.

use hindsight_form::{Meaning, index_name};
use hindsight_oplog::FeatureVersion;
use hindsight_oplog::raw::{Doc, Malformed};

use super::catalog::is_id_index;
use super::facts::TargetFacts;
use super::findings::{Findings, Obstacle};
use super::plan::skip_reason;
use super::snapshot::CollectionState;
use super::version::Version;

mod index;
mod options;

/// The facts that decide what a target can hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    version: Version,
    standalone: bool,
    /// The time by the target's clock, in seconds since 1970.
    now: Option<i64>,
    /// The major number of the source's feature compatibility version, which decides what a
    /// leftover meant on the source.
    source_feature_major: Option<u16>,
}

impl Limits {
    /// Returns `None` for a server whose version cannot be read. Only the server itself can then
    /// say what it holds.
    pub(super) fn of(
        facts: &TargetFacts,
        source_feature_version: Option<FeatureVersion>,
    ) -> Option<Self> {
        Some(Self {
            version: Version::parse(&facts.version)?,
            standalone: facts.set_name.is_none(),
            now: facts.now,
            source_feature_major: source_feature_version.map(|it| it.version.major),
        })
    }
}

/// A definition as the target will list it.
#[derive(Debug, PartialEq, Eq)]
struct Fitted {
    bytes: Vec<u8>,
    /// Names of options that were left out because they do nothing.
    dropped: Vec<String>,
}

/// Changes each collection's catalog into what the target will list. What the target cannot hold is
/// a problem, or is left out.
///
/// # Errors
/// Returns the namespace and the error when a catalog entry is not BSON.
pub(super) fn fit(
    collections: &mut [CollectionState],
    limits: Limits,
    leave_out: bool,
) -> Result<Findings, (String, Malformed)> {
    let mut findings = Findings::default();
    for state in collections {
        if skip_reason(&state.db, &state.name).is_none() {
            let namespace = state.namespace();
            findings
                .fit_collection(state, limits, leave_out)
                .map_err(|error| (namespace, error))?;
        }
    }
    Ok(findings)
}

impl Findings {
    fn fit_collection(
        &mut self,
        state: &mut CollectionState,
        limits: Limits,
        leave_out: bool,
    ) -> Result<(), Malformed> {
        let namespace = state.namespace();
        let (options, obstacles) = options::fit(Doc::new(&state.options)?, limits)?;
        if self.tell(&namespace, obstacles, leave_out) {
            state.options = options;
        }
        let mut indexes = Vec::with_capacity(state.indexes.len());
        for spec in std::mem::take(&mut state.indexes) {
            let doc = Doc::new(&spec)?;
            if is_id_index(doc)? || doc.get(b"clustered")?.is_some() {
                indexes.push(spec);
                continue;
            }
            match index::fit(Doc::new(&state.options)?, doc, limits)? {
                Ok(fitted) => {
                    self.tell_dropped(&namespace, &spec, &fitted);
                    indexes.push(fitted.bytes);
                }
                Err(obstacle) => {
                    if !self.tell(&namespace, vec![obstacle], leave_out) {
                        indexes.push(spec);
                    }
                }
            }
        }
        state.indexes = indexes;
        Ok(())
    }

    /// Warns about dropped options that do nothing, but only where the index then has another
    /// meaning.
    fn tell_dropped(&mut self, namespace: &str, spec: &[u8], fitted: &Fitted) {
        let meaning = |bytes: &[u8]| Doc::new(bytes).and_then(Meaning::of_index).ok();
        if !fitted.dropped.is_empty() && meaning(spec) != meaning(&fitted.bytes) {
            self.warnings.push(format!(
                "{namespace}, index {}: left out, because this target knows no such option: {}",
                index_name(spec),
                fitted.dropped.join(", ")
            ));
        }
    }
}

#[cfg(test)]
mod tests;
