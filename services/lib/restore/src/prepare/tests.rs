//! Tests without a server: what is found out before the target is asked anything.

use bson::rawdoc;

use super::*;
use crate::tests::memory::{MemoryDestination, MemorySnapshot, collection};

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
async fn bad_settings_are_refused() {
    let target: Arc<dyn Destination> = Arc::new(MemoryDestination::default());
    let bad = RestoreSettings { connections: 0, ..RestoreSettings::default() };
    let error = prepare(Arc::new(snapshot()), target, Selection::Everything, bad)
        .await
        .map(drop)
        .expect_err("bad");
    assert!(matches!(&error, RestoreError::Settings(_)), "{error}");
}
