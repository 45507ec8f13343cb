use std::time::{Duration, Instant};

use bson::{RawDocumentBuf, rawdoc};
use hindsight_oplog::Timestamp;

use super::super::plan::{Plan, ViewDocuments, plan};
use super::super::snapshot::CollectionState;
use super::*;
use crate::tests::memory::{MemorySnapshot, collection};

const MARK: &str = "app_metadata=(timeseriesBucketsMayHaveMixedSchemaData=true)";

fn doc(raw: &RawDocumentBuf) -> Doc<'_> {
    Doc::new(raw.as_bytes()).expect("a document")
}

fn view() -> RawDocumentBuf {
    let unpack = rawdoc! { "timeField": "t", "metaField": "m", "bucketMaxSpanSeconds": 3600 };
    rawdoc! {
        "_id": "iot.w", "viewOn": "system.buckets.w",
        "pipeline": [{ "$_internalUnpackBucket": unpack }],
    }
}

fn buckets(marked: bool) -> CollectionState {
    buckets_marked(marked.then_some(true))
}

fn buckets_marked(mark: Option<bool>) -> CollectionState {
    let series = rawdoc! { "timeField": "t", "metaField": "m", "bucketMaxSpanSeconds": 3600 };
    let options = match mark {
        Some(mark) => rawdoc! {
            "storageEngine": {
                "wiredTiger": { "configString": MARK.replace("true", &mark.to_string()) },
            },
            "timeseries": series,
        },
        None => rawdoc! { "timeseries": series },
    };
    let mut state = collection("iot", "system.buckets.w", &options);
    state.indexes.clear();
    state
}

fn planned(state: CollectionState) -> Plan {
    let views = ViewDocuments::from([("iot".to_owned(), vec![view().into_bytes()])]);
    plan(Timestamp::new(5, 1), vec![state], &views, false).expect("plans")
}

fn abilities(feature_version: u32, knows_mark: bool) -> Abilities {
    Abilities { knows_mark, feature_version: Some(feature_version), guards_buckets: false }
}

fn series(plan: &Plan) -> &TimeSeries {
    plan.collections[0].time_series.as_ref().expect("a time-series")
}

fn has_mark(plan: &Plan) -> bool {
    let create = Doc::new(&plan.collections[0].create).expect("a document");
    mixed_schema_mark(create).expect("well formed") == Some(true)
}

#[test]
fn the_mark_is_set_where_the_target_knows_it() {
    let mut marked = planned(buckets(true));
    assert_eq!(marked.fit_time_series(abilities(6, true)), Ok(vec![]));
    assert_eq!((series(&marked).mark, series(&marked).refuses_mixed), (Some(true), false));
    assert!(has_mark(&marked) && marked.warnings.is_empty());
    let mut unmarked = planned(buckets(false));
    assert_eq!(unmarked.fit_time_series(abilities(6, true)), Ok(vec![]));
    assert_eq!((series(&unmarked).mark, series(&unmarked).refuses_mixed), (None, true));
}

#[test]
fn a_mark_that_was_taken_away_is_there_while_buckets_are_written() {
    let mut plan = planned(buckets_marked(Some(false)));
    assert_eq!(plan.fit_time_series(abilities(6, true)), Ok(vec![]));
    let found = series(&plan);
    assert_eq!((found.mark, found.unmark, found.refuses_mixed), (Some(true), true, false));
    assert_eq!(found.final_mark(), Some(false));
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
}

#[test]
fn a_target_that_does_not_know_the_mark_is_looked_at_twice() {
    let mut marked = planned(buckets(true));
    assert_eq!(marked.fit_time_series(abilities(6, false)), Ok(vec![0]));
    assert_eq!((series(&marked).mark, series(&marked).refuses_mixed), (None, true));
    assert!(!has_mark(&marked), "without effect there, and not listed by the source");
    let mut unmarked = planned(buckets(false));
    assert_eq!(unmarked.fit_time_series(abilities(6, false)), Ok(vec![]));
    assert!(series(&unmarked).refuses_mixed);
}

#[test]
fn below_6_0_all_buckets_may_be_mixed_and_no_mark_is_needed() {
    let mut old = planned(buckets(false));
    assert_eq!(old.fit_time_series(abilities(5, false)), Ok(vec![]));
    assert_eq!((series(&old).mark, series(&old).refuses_mixed), (None, false));
    // A later patch of 6.0 takes mixed buckets only into marked collections.
    let mut patched = planned(buckets(false));
    assert_eq!(patched.fit_time_series(abilities(5, true)), Ok(vec![]));
    assert_eq!((series(&patched).mark, series(&patched).refuses_mixed), (Some(true), false));
    assert!(patched.warnings[0].contains("iot.system.buckets.w"), "{:?}", patched.warnings);
}

#[test]
fn buckets_decide_where_the_mark_cannot_be_set() {
    let bucket = |max: bson::RawBson| {
        rawdoc! { "_id": 1, "control": { "min": { "v": 1 }, "max": { "v": max } } }
    };
    let look = |max: bson::RawBson, limit: Duration| {
        let state = buckets(true);
        let documents = vec![bucket(7.into()), bucket(max)];
        let snapshot =
            MemorySnapshot { collections: vec![(state.clone(), documents)], fails_after: None };
        let mut plan = planned(state);
        plan.look_at_buckets(&snapshot, &[0], Instant::now() + limit).expect("reads");
        (plan.unfit.join("\n"), plan.warnings.join("\n"))
    };
    let minute = Duration::from_secs(60);
    let (unfit, _) = look("a".into(), minute);
    assert!(unfit.contains("iot.system.buckets.w") && unfit.contains("6.0.17"), "{unfit}");
    let (unfit, warnings) = look(9.into(), minute);
    assert!(unfit.is_empty() && warnings.contains("none of them does"), "{unfit} {warnings}");
    let (unfit, warnings) = look("a".into(), Duration::ZERO);
    assert!(unfit.is_empty() && warnings.contains("not all buckets"), "{unfit} {warnings}");
}

#[test]
fn a_mixed_bucket_is_refused_with_what_helps() {
    let bucket = |max: bson::RawBson| {
        let bucket = rawdoc! { "_id": 1, "control": { "min": { "v": 1 }, "max": { "v": max } } };
        refusal(bucket.as_bytes()).expect("well formed")
    };
    assert_eq!(bucket(2.5.into()), None);
    assert!(
        bucket("a".into()).expect("refused").contains("timeseriesBucketsMayHaveMixedSchemaData")
    );
}

#[test]
fn the_index_that_7_0_makes_goes_unless_the_state_has_it() {
    let key = rawdoc! { "meta": 1, "control.min.t": 1, "control.max.t": 1 };
    let index = rawdoc! { "v": 2, "key": key.clone(), "name": "m_1_t_1" };
    let hidden = rawdoc! { "v": 2, "key": key, "name": "m_1_t_1", "hidden": true };
    let surplus = |feature_version, index: Option<&RawDocumentBuf>| {
        let mut state = buckets(false);
        state.indexes.extend(index.map(|index| index.as_bytes().to_vec()));
        let mut plan = planned(state);
        plan.fit_time_series(abilities(feature_version, true)).expect("fits");
        series(&plan).surplus_index.clone()
    };
    assert_eq!(surplus(7, None).as_deref(), Some("m_1_t_1"));
    assert_eq!(surplus(7, Some(&index)), None);
    assert_eq!(surplus(7, Some(&hidden)).as_deref(), Some("m_1_t_1"));
    assert_eq!(surplus(6, None), None);
}

#[test]
fn buckets_without_a_view_that_expire_are_refused_for_7_0() {
    let options = rawdoc! { "timeseries": { "timeField": "t" }, "expireAfterSeconds": 60_i64 };
    let unfit = |guards_buckets| {
        let state = collection("iot", "system.buckets.lone", &options);
        let mut plan =
            plan(Timestamp::new(5, 1), vec![state], &ViewDocuments::new(), false).expect("plans");
        let target = Abilities { guards_buckets, ..abilities(6, true) };
        plan.fit_time_series(target).expect("fits");
        plan.unfit.join("\n")
    };
    assert_eq!(unfit(false), "");
    assert!(unfit(true).contains("iot.system.buckets.lone"));
}

#[test]
fn options_are_compared_without_what_the_server_chose() {
    let with = |validator: i32, config: &str| {
        rawdoc! {
            "storageEngine": { "wiredTiger": { "configString": config } },
            "validator": { "a": validator }, "timeseries": { "timeField": "t" },
        }
    };
    let of = |options: &RawDocumentBuf| comparable(doc(options)).expect("well formed");
    let (left, mark) = of(&with(1, &format!("block_compressor=zlib,{MARK}")));
    assert_eq!(mark, Some(true));
    assert_eq!((left.clone(), None), of(&with(2, "block_compressor=zlib")));
    assert_ne!(left, of(&with(1, "block_compressor=snappy")).0);
}

#[test]
fn views_are_the_same_when_they_mean_the_same() {
    let of_5_0 = {
        let unpack = rawdoc! {
            "timeField": "t", "metaField": "m", "bucketMaxSpanSeconds": 86_400, "exclude": [],
        };
        rawdoc! {
            "_id": "iot.w", "viewOn": "system.buckets.w",
            "pipeline": [{ "$_internalUnpackBucket": unpack }],
        }
    };
    let same = |held: &RawDocumentBuf| same_view(doc(&view()), doc(held)).expect("well formed");
    assert!(same(&view()) && same(&of_5_0));
    let mut other = view();
    other.append(bson::raw::cstr!("collation"), rawdoc! { "locale": "de" });
    assert!(!same(&other));
    let unpack = rawdoc! { "timeField": "t", "bucketMaxSpanSeconds": 3600 };
    assert!(!same(&rawdoc! {
        "_id": "iot.w", "viewOn": "system.buckets.w",
        "pipeline": [{ "$_internalUnpackBucket": unpack }],
    }));
    assert!(!same(&rawdoc! { "_id": "iot.w", "viewOn": "system.buckets.w", "pipeline": [] }));
}
