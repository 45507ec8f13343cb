//! Tests without a server: what is found out before the target is asked anything.

use bson::rawdoc;

use super::super::mongod::MongodDestination;
use super::*;
use crate::tests::memory::{MemorySnapshot, collection};

fn snapshot() -> MemorySnapshot {
    let view = rawdoc! { "_id": "shop.v", "viewOn": "orders", "pipeline": [] };
    let version = rawdoc! { "_id": "featureCompatibilityVersion", "version": "6.0" };
    let other = rawdoc! { "_id": "authSchema", "currentVersion": 5 };
    MemorySnapshot {
        collections: vec![
            (collection("admin", "system.version", &rawdoc! {}), vec![other, version]),
            (collection("shop", "system.views", &rawdoc! {}), vec![view]),
            (collection("shop", "orders", &rawdoc! {}), vec![rawdoc! { "_id": 1 }]),
        ],
        fails_after: None,
    }
}

#[test]
fn the_plan_knows_views_and_the_feature_version() {
    let catalog = read_catalog(&snapshot(), &Selection::Everything).expect("reads");
    assert_eq!(catalog.feature_version, Some(FeatureVersion::settled(Series::new(6, 0))));
    let planned = catalog.planned(Timestamp::new(9, 1), None, &RestoreSettings::default());
    let plan = planned.expect("plans");
    assert_eq!(plan.unfit, Vec::<String>::new());
    assert_eq!(plan.namespaces().collect::<Vec<_>>(), ["shop.orders", "shop.v"]);
}

#[test]
fn a_source_that_fails_is_named() {
    let broken = MemorySnapshot { fails_after: Some(0), ..snapshot() };
    let message = read_catalog(&broken, &Selection::Everything)
        .map(drop)
        .expect_err("cannot read")
        .to_string();
    assert!(message.contains("admin.system.version") && message.contains("torn"), "{message}");
}

#[tokio::test]
async fn an_unreachable_target_and_bad_settings_are_told_apart() {
    let uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100";
    let target = MongodDestination::connect(uri).await.expect("connects later");
    let target: Arc<dyn Destination> = Arc::new(target);
    let result = prepare(
        Arc::new(snapshot()),
        Arc::clone(&target),
        Selection::Everything,
        RestoreSettings::default(),
    )
    .await
    .map(drop);
    let error = result.expect_err("nobody listens");
    assert!(matches!(&error, RestoreError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    let bad = RestoreSettings { connections: 0, ..RestoreSettings::default() };
    let error = prepare(Arc::new(snapshot()), target, Selection::Everything, bad)
        .await
        .map(drop)
        .expect_err("bad");
    assert!(matches!(&error, RestoreError::Settings(_)), "{error}");
    let error =
        MongodDestination::connect("http://example").await.map(drop).expect_err("no such scheme");
    assert!(matches!(&error, RestoreError::Settings(_)), "{error}");
}
