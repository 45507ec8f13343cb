//! What is known about a target before anything is written. Pure: a destination fills it in.

use super::rights::Rights;

/// What was found out about a target. A field is `None` when the target did not report it.
#[derive(Clone, Debug, Default)]
pub struct TargetFacts {
    pub(super) writable: bool,
    pub(super) router: bool,
    pub(super) set_name: Option<String>,
    pub(super) replica_set_id: Option<String>,
    /// Identifies the primary that answered: its election and its process. When this changes, what
    /// was written before may be lost.
    pub(super) primacy: String,
    pub(super) version: String,
    pub(super) feature_version: Option<String>,
    /// The time by the target's own clock, in seconds since 1970.
    pub(super) now: Option<i64>,
    pub(super) namespaces: Option<Vec<String>>,
    pub(super) user: Option<String>,
    /// The user's rights by resource; `None` when no user is logged in.
    pub(super) rights: Option<Rights>,
}

impl TargetFacts {
    /// Returns true for a server from 7.0 on, where buckets of a time-series can be changed only
    /// through their view.
    pub(super) fn guards_buckets(&self) -> bool {
        let major = self.version.split('.').next().and_then(|text| text.parse::<u32>().ok());
        major.is_some_and(|major| major >= 7)
    }
}
