//! What is known about a target before anything is written. Pure: a destination fills it in.

use super::rights::Rights;

/// What was found out about a target. A field is `None` when the target did not report it.
#[derive(Clone, Debug, Default)]
pub struct TargetFacts {
    /// It takes writes: it is a primary, or a standalone server.
    pub writable: bool,
    /// It is a router of a sharded cluster.
    pub router: bool,
    /// The name of its replica set.
    pub set_name: Option<String>,
    /// The id of its replica set, in hexadecimal.
    pub replica_set_id: Option<String>,
    /// Identifies the primary that answered: its election and its process. When this changes, what
    /// was written before may be lost.
    pub primacy: String,
    /// The version of the server, as in `6.0.5`.
    pub version: String,
    /// The feature compatibility version, as in `6.0`.
    pub feature_version: Option<String>,
    /// The time by the target's own clock, in seconds since 1970.
    pub now: Option<i64>,
    /// The collections and views that it holds, besides the server's own.
    pub namespaces: Option<Vec<String>>,
    /// The user that is logged in, as `db.name`.
    pub user: Option<String>,
    /// The user's rights by resource; `None` when no user is logged in.
    pub rights: Option<Rights>,
}

impl TargetFacts {
    /// Returns true for a server from 7.0 on, where buckets of a time-series can be changed only
    /// through their view.
    pub fn guards_buckets(&self) -> bool {
        let major = self.version.split('.').next().and_then(|text| text.parse::<u32>().ok());
        major.is_some_and(|major| major >= 7)
    }
}
