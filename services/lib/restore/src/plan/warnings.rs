//! Warnings about what may surprise the user of a plan, although nothing is wrong.

use super::super::time_series::is_buckets;
use super::{Plan, PlannedCollection};

impl Plan {
    pub(super) fn add_warnings(&mut self) {
        let expires = |c: &&PlannedCollection| c.expire.is_some() || !c.expiring_indexes.is_empty();
        let expiring: Vec<_> =
            self.collections.iter().filter(expires).map(|c| c.state.namespace()).collect();
        if !expiring.is_empty() {
            self.warnings.push(format!(
                "the target will delete documents that have expired by now from {}; to keep them, run \
                 db.adminCommand({{setParameter: 1, ttlMonitorEnabled: false}}) on the target first",
                expiring.join(", ")
            ));
        }
        let without_view =
            |c: &&PlannedCollection| is_buckets(&c.state.name) && c.time_series.is_none();
        let orphans: Vec<_> =
            self.collections.iter().filter(without_view).map(|c| c.state.namespace()).collect();
        if !orphans.is_empty() {
            self.warnings.push(format!(
                "buckets of time-series that have no view at this time, so that their measurements cannot be queried: \
                 {}. A drop deletes the view one entry before the buckets: to have a dropped time-series back, restore \
                 an earlier time (a search for the entries of DB.NAME shows when the view went)",
                orphans.join(", ")
            ));
        }
        let temporary: Vec<_> =
            self.collections.iter().filter(|c| c.temporary).map(|c| c.state.namespace()).collect();
        if !temporary.is_empty() {
            self.warnings.push(format!(
                "temporary collections, which a primary drops when it steps up: {}",
                temporary.join(", ")
            ));
        }
    }
}
