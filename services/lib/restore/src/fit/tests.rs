use bson::{RawDocumentBuf, rawdoc};

use hindsight_oplog::Series;

use super::*;
use crate::tests::memory::collection;

fn limits(version: &str, source_feature_version: &str) -> Limits {
    let facts = TargetFacts {
        version: version.to_owned(),
        set_name: Some("rs".to_owned()),
        now: Some(1_796_000_000),
        ..TargetFacts::default()
    };
    let source = FeatureVersion::settled(source_feature_version.parse().expect("a version"));
    Limits::of(&facts, Some(source)).expect("a version")
}

struct Fit {
    state: CollectionState,
    findings: Findings,
}

impl Fit {
    /// Fits a collection with these options and, unless `index` is empty, one index besides that on
    /// `_id`.
    fn of(
        options: &RawDocumentBuf,
        index: RawDocumentBuf,
        limits: Limits,
        leave_out: bool,
    ) -> Self {
        let mut state = collection("shop", "orders", options);
        if !index.is_empty() {
            state.indexes.push(index.into_bytes());
        }
        let mut states = vec![state];
        let findings = fit(&mut states, limits, leave_out).expect("well formed");
        Self { state: states.remove(0), findings }
    }

    fn index(&self) -> Option<RawDocumentBuf> {
        let index = self.state.indexes.get(1)?.clone();
        Some(RawDocumentBuf::from_bytes(index).expect("a document"))
    }
}

fn k1(rest: RawDocumentBuf) -> RawDocumentBuf {
    let mut spec = rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a_1" };
    for field in rest.iter_elements() {
        let field = field.expect("well formed");
        spec.append(field.key(), field.value().expect("a value"));
    }
    spec
}

#[test]
fn what_has_no_effect_is_left_out_in_silence() {
    for (spec, target, expected) in [
        (k1(rawdoc! { "weights": { "a": 1 } }), "5.0.4", k1(rawdoc! {})),
        (k1(rawdoc! { "bucketSize": 2 }), "6.0.5", k1(rawdoc! {})),
        (k1(rawdoc! { "sparse": "x" }), "5.0.4", k1(rawdoc! { "sparse": true })),
        (k1(rawdoc! { "ns": "shop.orders" }), "4.4.2", k1(rawdoc! {})),
        // Listed as given, so created as given.
        (k1(rawdoc! { "sparse": 1 }), "4.4.2", k1(rawdoc! { "sparse": 1 })),
        (k1(rawdoc! { "bits": 20 }), "5.0.4", k1(rawdoc! { "bits": 20 })),
        (k1(rawdoc! { "bucketSize": 2 }), "7.0.28", k1(rawdoc! { "bucketSize": 2.0 })),
    ] {
        let fit = Fit::of(&rawdoc! {}, spec, limits(target, "4.4"), false);
        assert_eq!(fit.index(), Some(expected), "{target}");
        assert!(fit.findings.problems().is_empty() && fit.findings.warnings.is_empty());
    }
}

#[test]
fn an_option_that_no_server_knows_is_left_out_with_a_word() {
    let fit = Fit::of(&rawdoc! {}, k1(rawdoc! { "safe": true }), limits("6.0.5", "6.0"), false);
    assert_eq!(fit.index(), Some(k1(rawdoc! {})));
    let warning = &fit.findings.warnings[0];
    assert!(warning.contains("shop.orders, index a_1") && warning.contains("safe"), "{warning}");
    let fit = Fit::of(&rawdoc! {}, k1(rawdoc! { "safe": true }), limits("9.0.0", "8.0"), false);
    assert_eq!(fit.index(), Some(k1(rawdoc! { "safe": true })), "a newer server may know it");
}

#[test]
fn what_a_target_can_never_hold_is_named_with_reason_and_remedy() {
    let haystack = rawdoc! { "v": 2, "key": { "a": "geoHaystack", "b": 1 }, "name": "h" };
    let column = rawdoc! { "v": 2, "key": { "$**": "columnstore" }, "name": "c" };
    let encrypted = rawdoc! { "encryptedFields": { "fields": [] } };
    let capped = rawdoc! { "capped": true, "size": 4096 };
    let none = || rawdoc! {};
    let nan = f64::NAN;
    for (options, index, target, words) in [
        (none(), haystack, "5.0.4", "index h: MongoDB 5.0.4 has no geoHaystack"),
        (none(), column, "6.0.5", "kind columnstore"),
        (none(), rawdoc! { "v": 0, "key": { "a": 1 }, "name": "o" }, "4.4.2", "version 0"),
        (capped, k1(rawdoc! { "expireAfterSeconds": 9 }), "6.0.5", "TTL index on a capped"),
        (none(), k1(rawdoc! { "expireAfterSeconds": nan }), "5.0.4", "expire all at once"),
        (none(), k1(rawdoc! { "expireAfterSeconds": -1 }), "5.0.4", "expireAfterSeconds is -1"),
        (none(), k1(rawdoc! { "expireAfterSeconds": i32::MAX }), "4.4.2", "does not take"),
        (none(), k1(rawdoc! { "collation": { "version": "58.1" } }), "6.0.5", "57.1"),
        (rawdoc! { "collation": { "version": "58.1" } }, none(), "6.0.5", "version 58.1"),
        (rawdoc! { "capped": true, "size": 0 }, none(), "5.0.4", "option size: a capped"),
        (rawdoc! { "recordPreImages": true }, none(), "7.0.28", "option recordPreImages"),
        (rawdoc! { "storageEngine": { "other": {} } }, none(), "7.0.28", "no storage engine"),
        (rawdoc! { "timeseries": {} }, none(), "4.4.2", "MongoDB 5.0 or later"),
        (rawdoc! { "clusteredIndex": {} }, none(), "5.0.4", "MongoDB 6.0 or later"),
        (encrypted, none(), "5.0.4", "option encryptedFields"),
        (
            rawdoc! { "changeStreamPreAndPostImages": { "enabled": true } },
            none(),
            "5.0.4",
            "option changeStreamPreAndPostImages",
        ),
        (rawdoc! { "autoIndexId": false }, none(), "6.0.5", "without an index on _id"),
        (rawdoc! { "recordIdsReplicated": true }, none(), "7.0.28", "recordIdsReplicated"),
    ] {
        let fit = Fit::of(&options, index, limits(target, "4.4"), false);
        let problems = fit.findings.problems();
        let [problem] = problems.as_slice() else { panic!("{words}: {:?}", fit.findings) };
        assert!(problem.starts_with("shop.orders, ") && problem.contains(words), "{problem}");
    }
}

#[test]
fn single_indexes_and_options_can_be_left_out_and_are_named() {
    let options = rawdoc! { "capped": true, "size": 4096, "recordPreImages": true };
    let index = k1(rawdoc! { "expireAfterSeconds": 9 });
    let fit = Fit::of(&options, index, limits("7.0.28", "6.0"), true);
    assert_eq!(fit.index(), None);
    assert_eq!(fit.state.options, rawdoc! { "capped": true, "size": 4096 }.into_bytes());
    assert!(fit.findings.problems().is_empty(), "{:?}", fit.findings);
    let names: Vec<_> = fit.findings.left_out.iter().map(|left| left.ns.as_str()).collect();
    assert_eq!(names, ["shop.orders (option recordPreImages)", "shop.orders (index a_1)"]);
    let emptied = rawdoc! { "capped": true, "size": 0, "max": 5, "validator": {} };
    let fit = Fit::of(&emptied, rawdoc! {}, limits("5.0.4", "5.0"), true);
    assert_eq!(fit.state.options, rawdoc! { "validator": {} }.into_bytes(), "a plain collection");
    assert_eq!(fit.findings.left_out.len(), 1);
    // What makes a whole collection what it is cannot be left out.
    let fit = Fit::of(&rawdoc! { "timeseries": {} }, rawdoc! {}, limits("4.4.2", "4.4"), true);
    assert_eq!((fit.findings.problems().len(), fit.findings.left_out.len()), (1, 0));
}

#[test]
fn seconds_that_are_no_number_mean_what_they_meant_on_the_source() {
    let seconds = |target: &str, source: &str| {
        let spec = k1(rawdoc! { "expireAfterSeconds": f64::NAN });
        let fit = Fit::of(&rawdoc! {}, spec, limits(target, source), false);
        assert!(fit.findings.problems().is_empty(), "{:?}", fit.findings);
        let index = fit.index().expect("the index");
        index.get("expireAfterSeconds").expect("well formed").and_then(|value| value.as_i32())
    };
    assert_eq!(seconds("5.0.14", "4.4"), Some(i32::MAX));
    assert_eq!(seconds("5.0.4", "5.0"), Some(0));
    assert_eq!(seconds("6.0.27", "5.0"), Some(0));
    assert_eq!(seconds("6.0.27", "6.0"), Some(i32::MAX));
    assert_eq!(seconds("4.4.2", "4.4"), None, "listed as it is");
}

#[test]
fn what_the_upgrade_dropped_is_no_obstacle() {
    let options = rawdoc! { "recordPreImages": true };
    let fit = Fit::of(&options, rawdoc! {}, limits("7.0.28", "7.0"), false);
    assert!(fit.findings.problems().is_empty() && fit.findings.left_out.is_empty());
    assert_eq!(fit.state.options, rawdoc! {}.into_bytes());
}

#[test]
fn a_standalone_server_takes_no_encrypted_collection() {
    let facts = TargetFacts { version: "6.0.5".to_owned(), ..TargetFacts::default() };
    let alone =
        Limits::of(&facts, Some(FeatureVersion::settled(Series::new(6, 0)))).expect("a version");
    let options = rawdoc! { "encryptedFields": { "fields": [] } };
    let fit = Fit::of(&options, rawdoc! {}, alone, false);
    assert!(fit.findings.problems()[0].contains("replica set"), "{:?}", fit.findings);
}
