//! Differences between what two servers list or hash for the same state that are due to the servers
//! themselves.
//!
//! Each difference is listed with its reason and with the pairs of versions that it concerns, and
//! is taken away on both sides before they are compared. Everything else must be equal.

use bson::Document;
use hindsight_tests::dbhash::{CollectionState, Snapshot};

use super::forms;
use super::recipe::at_least;

/// The oldest version that made states of a source, and the version that they are restored into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'a> {
    pub source: &'a str,
    /// The version of the source when it is copied and followed.
    pub last: &'a str,
    /// The source's feature compatibility version at the end.
    pub feature_version: &'a str,
    pub target: &'a str,
}

impl Pair<'_> {
    fn differ(&self) -> bool {
        self.source != self.target
    }

    /// Returns true if the source is older than a version and the target is not.
    fn cross(&self, version: &str) -> bool {
        !at_least(self.source, version) && at_least(self.target, version)
    }
}

type Concerns = fn(&Pair<'_>) -> bool;
type TakeAway = fn(namespace: &str, collection: &mut CollectionState);

/// Where each difference applies, its reason, and how it is taken away.
const OWN: [(Concerns, &str, TakeAway); 8] = [
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
        "4.4 lists what it was given (`sparse: 2.0`), later servers what it means, and not `weights` of other kinds",
        |_, collection| {
            forms::options_of_5_0(&mut collection.options);
            for spec in collection.indexes.values_mut() {
                forms::index_of_5_0(spec);
                forms::drop_options_of_other_kinds(spec, &[("weights", "text")]);
            }
        },
    ),
    (
        |pair| pair.cross("6.0.27"),
        "6.0.27 and later drop options of an index that belong to another kind of index",
        |_, collection| {
            for spec in collection.indexes.values_mut() {
                forms::drop_options_of_other_kinds(spec, &OF_OTHER_KINDS);
            }
        },
    ),
    (
        |pair| pair.cross("6.0.27"),
        "6.0.27 and later list the mark of mixed types, which older servers keep to themselves; queries tell of it",
        |_, collection| {
            remove_mark(&mut collection.options);
        },
    ),
    (
        |pair| pair.cross("6.0.27"),
        "6.0.27 and later list when documents of a clustered collection expire beside its order too, not in its options alone",
        |_, collection| {
            for spec in collection.indexes.values_mut() {
                if spec.get_bool("clustered").unwrap_or(false) {
                    spec.remove("expireAfterSeconds");
                }
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

/// Removes what 6.0.27 adds to the settings of the storage engine, and nothing else.
fn remove_mark(options: &mut Document) {
    const MARK: &str = "app_metadata=(timeseriesBucketsMayHaveMixedSchemaData=";
    let settings = options.get_document_mut("storageEngine");
    let settings = settings.and_then(|engine| engine.get_document_mut("wiredTiger"));
    let Ok(settings) = settings else { return };
    let Ok(text) = settings.get_str("configString") else { return };
    let parts = text.split(',').filter(|part| !part.starts_with(MARK));
    let rest = parts.collect::<Vec<_>>().join(",");
    if rest.is_empty() {
        options.remove("storageEngine");
    } else {
        settings.insert("configString", rest);
    }
}

/// Options of indexes, and the kind of index that they belong to.
const OF_OTHER_KINDS: [(&str, &str); 5] = [
    ("bits", "2d"),
    ("min", "2d"),
    ("max", "2d"),
    ("textIndexVersion", "text"),
    ("2dsphereIndexVersion", "2dsphere"),
];

/// Takes away, on either side, what is due to the server itself.
pub(super) fn take_away(pair: &Pair<'_>, snapshot: &mut Snapshot) {
    for (namespace, collection) in &mut snapshot.collections {
        // Two documents are equal whatever the order of their fields, but an index whose key has
        // another order of fields is another index.
        for spec in collection.indexes.values_mut() {
            let order = spec.get("key").map(ToString::to_string);
            spec.insert("order", order);
        }
        for (_, _, take_away) in OWN.iter().filter(|(concerns, ..)| concerns(pair)) {
            take_away(namespace, collection);
        }
    }
}

fn is_buckets(namespace: &str) -> bool {
    namespace.split_once('.').is_some_and(|(_, name)| name.starts_with("system.buckets."))
}

#[test]
fn rules_concern_the_pairs_that_they_are_for() {
    let pair = Pair { source: "6.0.5", last: "6.0.5", feature_version: "6.0", target: "6.0.27" };
    assert!(pair.cross("6.0.27") && pair.differ() && !pair.cross("6.0"));
    assert!(!Pair { source: "6.0.27", ..pair }.cross("6.0.27"));
}

#[test]
fn of_the_storage_engine_only_the_mark_is_taken_away() {
    let of = |text: &str| bson::doc! {"storageEngine": {"wiredTiger": {"configString": text}}};
    let mark = "app_metadata=(timeseriesBucketsMayHaveMixedSchemaData=false)";
    let both = format!("block_compressor=zlib,{mark}");
    for (text, left) in [
        (mark, bson::doc! {}),
        (&both, of("block_compressor=zlib")),
        ("block_compressor=zlib", of("block_compressor=zlib")),
    ] {
        let mut options = of(text);
        remove_mark(&mut options);
        assert_eq!(options, left, "{text}");
    }
}
