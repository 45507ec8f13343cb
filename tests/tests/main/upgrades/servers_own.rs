//! What differs on a restored server only because the source's files went through other versions.

use bson::Document;
use hindsight_tests::dbhash::Snapshot;

use super::held::Held;

/// Below this feature compatibility version, no time-series needs the mark of mixed types. A target
/// that knows the mark still gets it, because it would otherwise refuse such buckets
/// (docs/decisions/0013).
const MARKED_SINCE: &str = "6.0";

/// Leaves out the validator of buckets, which depends on the patch version that made them; the text
/// of the definition of a time-series in `system.views`, to which 5.0 adds `exclude: []`; and the
/// mark below its version.
pub(super) fn leave_out(snapshot: &mut Snapshot, feature_version: &str) {
    for (name, state) in &mut snapshot.collections {
        let is_time_series = state.kind == "timeseries" || is_buckets(name);
        leave_out_of_options(&mut state.options, name, is_time_series, feature_version);
        if is_views(name) {
            state.hash = None;
        }
    }
}

/// Does the same as [`leave_out`] for a [`Held`].
pub(super) fn leave_out_of_held(held: &mut Held, feature_version: &str) {
    held.retain(|name, _| !is_views(name));
    for (name, collection) in held {
        leave_out_of_options(&mut collection.options, name, is_buckets(name), feature_version);
    }
}

fn leave_out_of_options(
    options: &mut Document,
    name: &str,
    is_time_series: bool,
    feature_version: &str,
) {
    if is_buckets(name) {
        options.remove("validator");
    }
    if is_time_series && feature_version < MARKED_SINCE {
        options.remove("storageEngine");
    }
}

fn is_buckets(name: &str) -> bool {
    name.contains(".system.buckets.")
}

fn is_views(name: &str) -> bool {
    name.ends_with(".system.views")
}
