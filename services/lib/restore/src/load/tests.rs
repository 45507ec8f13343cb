//! Tests of loading without a server: the source or the target does not deliver.

use std::time::{Duration, Instant};

use bson::rawdoc;

use super::super::facts::TargetFacts;
use super::super::plan::plan;
use super::super::rights::Rights;
use super::*;
use crate::tests::memory::{MemoryDestination, MemorySnapshot, collection};

/// Makes a loader with a target that does not answer.
fn loader(snapshot: MemorySnapshot, capped: bool) -> Arc<Loader> {
    let collections = snapshot.collections().expect("in memory");
    let plan = plan(snapshot.timestamp(), collections, &Default::default(), true).expect("plans");
    assert_eq!(plan.collections[0].ordered, capped);
    // A user without any rights.
    let facts = TargetFacts {
        version: "6.0.5".to_owned(),
        rights: Some(Rights::default()),
        ..TargetFacts::default()
    };
    let destination = MemoryDestination { answers_no_write: true, ..Default::default() };
    Arc::new(Loader {
        snapshot: Arc::new(snapshot),
        destination: Arc::new(destination),
        plan: Arc::new(plan),
        settings: RestoreSettings { batch_documents: 10, ..RestoreSettings::default() },
        progress: Arc::new(Progress::default()),
        verbatim: Arc::new(Verbatim::of(&facts, &RestoreSettings::default())),
    })
}

fn snapshot(capped: bool, fails_after: Option<usize>) -> MemorySnapshot {
    let options = if capped {
        rawdoc! { "capped": true, "size": 4096 }
    } else {
        rawdoc! {}
    };
    let documents = (0..2_000).map(|id| rawdoc! { "_id": id }).collect();
    let collections = vec![(collection("shop", "orders", &options), documents)];
    MemorySnapshot { collections, fails_after }
}

#[tokio::test]
async fn cancelling_ends_all_tasks_within_a_second() {
    for capped in [false, true] {
        let loader = loader(snapshot(capped, None), capped);
        let cancel = CancellationToken::new();
        let asked = cancel.clone();
        let asks = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            asked.cancel();
            Instant::now()
        });
        let result = Arc::clone(&loader).load(&cancel).await;
        assert!(matches!(result, Err(RestoreError::Cancelled)), "{result:?}");
        assert!(asks.await.expect("asks").elapsed() < Duration::from_secs(1));
        assert_eq!(Arc::strong_count(&loader), 1, "no task holds the loader any more");
    }
}

#[tokio::test]
async fn a_source_that_fails_ends_the_load_and_is_named() {
    let loader = loader(snapshot(false, Some(25)), false);
    let result = loader.load(&CancellationToken::new()).await;
    let message = result.expect_err("a torn page").to_string();
    assert!(message.contains("shop.orders") && message.contains("torn page"), "{message}");
}

#[tokio::test]
async fn a_document_that_would_change_ends_the_load_and_is_named() {
    let mut bad = snapshot(false, None);
    bad.collections[0].1.push(rawdoc! { "late": true, "_id": "x" });
    let result = loader(bad, false).load(&CancellationToken::new()).await;
    let error = result.expect_err("its _id is late");
    assert!(matches!(&error, RestoreError::NotVerbatim { id, .. } if id == "\"x\""));
}

#[tokio::test]
async fn nothing_to_load_is_loaded_at_once() {
    let empty = MemorySnapshot {
        collections: vec![(collection("shop", "orders", &rawdoc! {}), Vec::new())],
        fails_after: None,
    };
    let digests = loader(empty, false).load(&CancellationToken::new()).await;
    assert_eq!(digests.expect("loads"), [Digest::default()]);
}
