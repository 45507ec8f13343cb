use std::collections::BTreeMap;

use bson::rawdoc;
use hindsight_oplog::{FeatureVersion, Series, SourceVersion, Timestamp};

use super::super::plan::plan;
use super::super::rights::Rights;
use super::super::settings::SourceIdentity;
use super::*;
use crate::tests::memory::collection;

fn some_plan() -> Plan {
    let collections = vec![collection("shop", "orders", &rawdoc! {})];
    plan(Timestamp::new(9, 1), collections, &BTreeMap::new(), true).expect("plans")
}

fn good_facts() -> TargetFacts {
    TargetFacts {
        writable: true,
        version: "6.0.5".into(),
        feature_version: Some("6.0".into()),
        namespaces: Some(Vec::new()),
        ..TargetFacts::default()
    }
}

fn source() -> SourceVersion {
    SourceVersion::new(Some(FeatureVersion::settled(Series::new(6, 0))), [])
}

fn problems(facts: &TargetFacts, settings: &RestoreSettings) -> Vec<String> {
    match check(&some_plan(), facts, &source(), settings, &mut Vec::new()) {
        Ok(()) => Vec::new(),
        Err(RestoreError::TargetUnsuitable { problems, .. }) => problems,
        Err(other) => vec![other.to_string()],
    }
}

#[test]
fn an_empty_primary_of_the_same_version_is_fine() {
    let mut warnings = Vec::new();
    let settings = RestoreSettings::default();
    check(&some_plan(), &good_facts(), &source(), &settings, &mut warnings).expect("suitable");
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn what_is_not_known_is_said() {
    let mut warnings = Vec::new();
    let facts = TargetFacts { feature_version: None, ..good_facts() };
    let (source, settings) = (SourceVersion::default(), RestoreSettings::default());
    check(&some_plan(), &facts, &source, &settings, &mut warnings).expect("suitable");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

#[test]
fn all_that_is_wrong_is_listed_at_once() {
    let facts = TargetFacts {
        writable: false,
        version: "4.4.2".into(),
        feature_version: Some("4.4".into()),
        set_name: Some("rs".into()),
        replica_set_id: Some("aa".into()),
        namespaces: Some(vec!["old.things".into()]),
        ..TargetFacts::default()
    };
    let source = SourceIdentity { replica_set_id: Some("aa".into()), ..SourceIdentity::default() };
    let found = problems(&facts, &RestoreSettings { source, ..RestoreSettings::default() });
    let expected = ["not a writable primary", "source itself", "4.4.2", "setFeature", "old.things"];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (problem, words) in found.iter().zip(expected) {
        assert!(problem.contains(words), "{problem} should say {words}");
    }
}

#[test]
fn a_non_empty_target_is_an_error_of_its_own() {
    let facts = TargetFacts { namespaces: Some(vec!["old.things".into()]), ..good_facts() };
    let settings = RestoreSettings::default();
    let result = check(&some_plan(), &facts, &source(), &settings, &mut Vec::new());
    let names = |error| match error {
        RestoreError::TargetNotEmpty { namespaces } => namespaces,
        other => panic!("{other}"),
    };
    assert_eq!(names(result.expect_err("not empty")), ["old.things"]);
}

#[test]
fn an_allowed_non_empty_target_must_not_hold_what_is_planned() {
    let settings = RestoreSettings { allow_non_empty: true, ..RestoreSettings::default() };
    let holding = |ns: &str| TargetFacts { namespaces: Some(vec![ns.to_owned()]), ..good_facts() };
    assert_eq!(problems(&holding("old.things"), &settings), Vec::<String>::new());
    let found = problems(&holding("shop.orders"), &settings);
    assert!(found[0].contains("drop shop.orders first"), "{found:?}");
    let found = problems(&holding("Shop.other"), &settings);
    assert!(found[0].contains("drop Shop first"), "{found:?}");
    assert_eq!(problems(&holding("shop.other"), &settings), Vec::<String>::new());
}

#[test]
fn missing_rights_are_named() {
    let all = ACTIONS.iter().chain(&READ_ACTIONS).map(|action| (*action).to_owned());
    let facts = |actions: Vec<String>| TargetFacts {
        user: Some("admin.restorer".into()),
        rights: Some(Rights([("shop".to_owned(), actions)].into())),
        ..good_facts()
    };
    let settings = RestoreSettings::default();
    assert_eq!(problems(&facts(all.clone().collect()), &settings), Vec::<String>::new());
    let without_find = all.filter(|action| action != "find").collect();
    let found = problems(&facts(without_find), &settings);
    assert!(found[0].contains("lacks find on shop;"), "{found:?}");
}
