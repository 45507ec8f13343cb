//! Differences between what two servers list, or hash, of the same state, that are the servers' own.
//!
//! Each is written out with its reason and for the pairs of versions it concerns, and is taken away on both sides before they
//! are compared. Everything else must be equal.

use bson::{Bson, Document};
use hindsight_tests::dbhash::{CollectionState, Snapshot};

use super::recipe::at_least;

/// The oldest version that made states of a source, and the target's version.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    pub source: &'a str,
    pub target: &'a str,
}

impl Pair<'_> {
    fn differ(&self) -> bool {
        self.source != self.target
    }

    /// The source is older than a version, and the target is not.
    fn cross(&self, version: &str) -> bool {
        !at_least(self.source, version) && at_least(self.target, version)
    }
}

type Concerns = fn(&Pair<'_>) -> bool;
type TakeAway = fn(namespace: &str, collection: &mut CollectionState);

/// Where it applies, why it is so, and how it is taken away.
const OWN: [(Concerns, &str, TakeAway); 7] = [
    (
        |_| true,
        "a deprecated option without effect: `create` refuses it beside the `_id` index that is listed with it",
        |_, collection| {
            collection.options.remove("autoIndexId");
        },
    ),
    (
        |pair| pair.differ(),
        "the validator of buckets is the server's, and changes between patch versions (6.0.5, 6.0.27)",
        |namespace, collection| {
            if is_buckets(namespace) {
                collection.options.remove("validator");
            }
        },
    ),
    (
        |pair| pair.cross("6.0"),
        "5.0 stores `exclude: []` in the view of a time-series; what the view says is compared by its options",
        |namespace, collection| {
            if namespace.ends_with(".system.views") {
                collection.hash = None;
            }
        },
    ),
    (
        |pair| pair.cross("5.0"),
        "4.4 lists flags as they were given, later servers as booleans",
        |_, collection| {
            for spec in collection.indexes.values_mut() {
                flags_as_booleans(spec);
            }
        },
    ),
    (
        |pair| pair.cross("5.0"),
        "4.4 lists NaN as the time to expire after, later servers the number that they take it for",
        |_, collection| {
            for spec in collection.indexes.values_mut() {
                nan_as_never(spec);
            }
        },
    ),
    (
        |pair| pair.cross("6.0.27"),
        "6.0.27 and later drop options of an index that belong to another kind of index",
        |_, collection| {
            for spec in collection.indexes.values_mut() {
                drop_options_of_other_kinds(spec);
            }
        },
    ),
    (
        |pair| pair.cross("7.0"),
        "from 7.0 on the hash of a capped collection depends on the order of insertion; its documents are compared in that order instead",
        |_, collection| {
            if collection.options.get_bool("capped").unwrap_or(false) {
                collection.hash = None;
            }
        },
    ),
];

/// Takes away, on either side, what is the servers' own.
pub fn take_away(pair: &Pair<'_>, snapshot: &mut Snapshot) {
    for (namespace, collection) in &mut snapshot.collections {
        for (_, _, take_away) in OWN.iter().filter(|(concerns, ..)| concerns(pair)) {
            take_away(namespace, collection);
        }
    }
}

fn is_buckets(namespace: &str) -> bool {
    namespace.split_once('.').is_some_and(|(_, name)| name.starts_with("system.buckets."))
}

fn flags_as_booleans(spec: &mut Document) {
    for flag in ["unique", "sparse", "background", "hidden"] {
        let number = match spec.get(flag) {
            Some(Bson::Int32(number)) => f64::from(*number),
            Some(Bson::Int64(number)) => *number as f64,
            Some(Bson::Double(number)) => *number,
            _ => continue,
        };
        spec.insert(flag, number != 0.0);
    }
}

fn nan_as_never(spec: &mut Document) {
    if spec.get_f64("expireAfterSeconds").is_ok_and(f64::is_nan) {
        spec.insert("expireAfterSeconds", i32::MAX);
    }
}

fn drop_options_of_other_kinds(spec: &mut Document) {
    let kinds: Vec<String> = spec
        .get_document("key")
        .map(|key| key.values().filter_map(Bson::as_str).map(str::to_owned).collect())
        .unwrap_or_default();
    for (option, kind) in [
        ("bits", "2d"),
        ("min", "2d"),
        ("max", "2d"),
        ("textIndexVersion", "text"),
        ("2dsphereIndexVersion", "2dsphere"),
    ] {
        if !kinds.iter().any(|it| it == kind) {
            spec.remove(option);
        }
    }
}

#[test]
fn a_flag_is_a_flag_however_it_is_written() {
    let mut spec =
        bson::doc! {"sparse": 2.0, "unique": 0, "hidden": true, "key": {"x": 1}, "bits": 5};
    flags_as_booleans(&mut spec);
    drop_options_of_other_kinds(&mut spec);
    assert_eq!(spec, bson::doc! {"sparse": true, "unique": false, "hidden": true, "key": {"x": 1}});
}

#[test]
fn rules_concern_the_pairs_that_they_are_for() {
    let pair = Pair { source: "6.0.5", target: "6.0.27" };
    assert!(pair.cross("6.0.27") && pair.differ() && !pair.cross("6.0"));
    assert!(!Pair { source: "6.0.27", target: "7.0.28" }.cross("6.0.27"));
}
