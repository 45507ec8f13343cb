//! Whole restores of a state in memory into a destination in memory.

use bson::{RawDocumentBuf, rawdoc};
use hindsight_oplog::NamespacePattern;

use super::super::destination::Destination;
use super::super::prepare::prepare;
use super::super::selection::Selection;
use super::super::settings::RestoreSettings;
use super::*;
use crate::tests::memory::{MemoryDestination, MemorySnapshot, collection};

fn order(number: i32) -> RawDocumentBuf {
    rawdoc! { "_id": number, "paid": number % 2 == 0 }
}

/// Makes a state with something of everything that a restore writes.
fn snapshot() -> MemorySnapshot {
    let mut orders = collection("shop", "orders", &rawdoc! { "validationAction": "warn" });
    let by_paid = rawdoc! { "v": 2, "key": { "paid": 1 }, "name": "paid_1" };
    let expiring = rawdoc! { "v": 2, "key": { "at": 1 }, "name": "at_1", "expireAfterSeconds": 60 };
    orders.indexes.extend([by_paid.into_bytes(), expiring.into_bytes()]);
    let log = collection("shop", "log", &rawdoc! { "capped": true, "size": 4096, "max": 9_i64 });
    let buckets = rawdoc! { "timeseries": { "timeField": "t" }, "expireAfterSeconds": 60_i64 };
    let mut buckets = collection("iot", "system.buckets.w", &buckets);
    buckets.indexes.clear();
    let fcv = rawdoc! { "_id": "featureCompatibilityVersion", "version": "6.0" };
    let paid = rawdoc! { "_id": "shop.paid", "viewOn": "orders", "pipeline": [] };
    let weather = rawdoc! { "_id": "iot.w", "viewOn": "system.buckets.w", "pipeline": [] };
    let user = rawdoc! { "_id": "shop.clerk", "user": "clerk", "db": "shop" };
    let admin = |name: &str| collection("admin", name, &rawdoc! {});
    let views = |db: &str| collection(db, "system.views", &rawdoc! {});
    // A late _id: no insert stores the document as it is.
    let late = rawdoc! { "n": 1, "_id": "late" };
    let logged = [rawdoc! { "_id": 2 }, late, rawdoc! { "_id": 1 }].into();
    let collections = vec![
        (admin("system.version"), vec![fcv]),
        (admin("system.users"), vec![user]),
        (views("shop"), vec![paid]),
        (views("iot"), vec![weather]),
        (views("empty"), Vec::new()),
        (orders, (0..500).map(order).collect()),
        (log, logged),
        (buckets, vec![rawdoc! { "_id": 7, "control": { "version": 1 } }]),
    ];
    MemorySnapshot { collections, fails_after: None }
}

/// Restores a part of the state, in batches of ten documents.
async fn restore(
    destination: &Arc<MemoryDestination>,
    selection: Selection,
) -> Result<RestoreReport, RestoreFailure> {
    let settings = RestoreSettings { batch_documents: 10, ..RestoreSettings::default() };
    let destination: Arc<dyn Destination> = Arc::<MemoryDestination>::clone(destination);
    let prepared = prepare(Arc::new(snapshot()), destination, selection, settings).await;
    prepared.expect("it fits").run(Arc::default(), CancellationToken::new()).await
}

async fn restore_into(destination: MemoryDestination) -> Result<RestoreReport, RestoreFailure> {
    restore(&Arc::new(destination), Selection::Everything).await
}

#[tokio::test]
async fn a_destination_is_told_the_whole_state_and_holds_it() {
    let destination = Arc::new(MemoryDestination::default());
    let report = restore(&destination, Selection::Everything).await.expect("it is restored");
    assert!(report.verified && report.collections.iter().all(|it| it.verified), "{report:?}");
    assert_eq!((report.outcome, report.documents, report.users), (Outcome::Complete, 504, 1));
    assert_eq!(report.views, ["iot.w", "shop.paid"]);
    let held = destination.held();
    let written = |namespace: &str| held.collections[namespace].documents.clone();
    let mut orders = written("shop.orders");
    orders.sort();
    let mut expected: Vec<_> = (0..500).map(|number| order(number).into_bytes()).collect();
    expected.sort();
    assert_eq!(orders, expected);
    let log = [rawdoc! { "_id": 2 }, rawdoc! { "n": 1, "_id": "late" }, rawdoc! { "_id": 1 }];
    assert_eq!(written("shop.log"), log.map(RawDocumentBuf::into_bytes), "in their order");
    assert!(held.view_catalogs.contains("empty"));
    assert_eq!((held.users.len(), held.barriers), (1, 2));
}

#[tokio::test]
async fn a_selection_is_written_and_nothing_else() {
    let destination = Arc::new(MemoryDestination::default());
    let patterns = ["shop.log", "iot.w"].map(NamespacePattern::parse).into();
    let report = restore(&destination, Selection::Namespaces(patterns)).await;
    let report = report.expect("it is restored");
    assert!(report.verified && report.skipped.is_empty(), "{report:?}");
    assert_eq!((report.documents, report.users), (4, 0));
    let held = destination.held();
    let written: Vec<_> = held.collections.keys().map(String::as_str).collect();
    assert_eq!(written, ["iot.system.buckets.w", "shop.log"]);
    assert!(held.users.is_empty() && !held.view_catalogs.contains("empty"));
}

#[tokio::test]
async fn a_document_that_is_lost_fails_the_verification() {
    let loses = Some(order(77).into_bytes());
    let failure = restore_into(MemoryDestination { loses, ..Default::default() }).await;
    let failure = failure.expect_err("a document is lost");
    let RestoreError::VerificationFailed { mismatches } = &failure.error else {
        panic!("{failure}");
    };
    let [mismatch] = mismatches.as_slice() else { panic!("{mismatches:?}") };
    assert!(mismatch.starts_with("shop.orders: 500 documents, "), "{mismatch}");
    assert!(mismatch.contains("the target holds 499, "), "{mismatch}");
    assert_eq!(failure.report.outcome, Outcome::Incomplete);
    assert!(!failure.report.verified);
}

#[tokio::test]
async fn an_option_that_changed_fails_the_verification() {
    let changes = Some("shop.log".to_owned());
    let failure = restore_into(MemoryDestination { changes, ..Default::default() }).await;
    let failure = failure.expect_err("an option differs");
    let message = failure.to_string();
    let expected = "verification failed: shop.log: its options differ: validationLevel";
    assert_eq!(message, expected);
    let verified = |ns: &str| {
        let found = failure.report.collections.iter().find(|it| it.ns == ns);
        found.is_some_and(|it| it.verified)
    };
    assert!(verified("shop.orders") && !verified("shop.log"), "{:?}", failure.report);
}

#[tokio::test]
async fn what_cannot_be_read_back_is_complete_and_never_called_verified() {
    let destination = MemoryDestination { write_only: true, ..Default::default() };
    let report = restore_into(destination).await.expect("it is restored");
    assert_eq!(report.outcome, Outcome::Complete);
    assert!(!report.verified && report.collections.iter().all(|it| !it.verified), "{report:?}");
}

#[test]
fn mismatches_are_listed_with_their_namespaces() {
    assert!(fail_on(&Mismatches::new()).is_ok());
    let found = Mismatches::from([("shop.orders".to_owned(), "its options differ".to_owned())]);
    let message = fail_on(&found).expect_err("a mismatch").to_string();
    assert_eq!(message, "verification failed: shop.orders: its options differ");
}
