//! A scripted deployment: a map of documents, with one fault at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bson::{RawDocumentBuf, doc};
use hindsight_mongo::{Batches, Connection, Wait};

use super::*;
use crate::reversion::tests::{bytes, reversion};

type Documents = BTreeMap<i32, Document>;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The first commits take effect, and their answers are lost.
    LostAnswers(u32),
    /// Documents with this `_id` are refused.
    Refuses(i32),
    /// Two documents may not have one `email`, not even for a moment.
    UniqueEmail,
    /// A document with this `_id` is stored with another field.
    Changes(i32),
    Forbidden,
}

#[derive(Debug, Clone)]
struct Server(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    documents: Documents,
    fault: Fault,
    commits: u32,
}

#[async_trait]
impl Connection for Server {
    async fn run(&self, _: &str, _: RawDocumentBuf) -> Result<Document, Failure> {
        Err(Failure::refused("only transactions"))
    }

    async fn open(&self, _: &str, _: RawDocumentBuf, _: Wait) -> Result<Box<dyn Batches>, Failure> {
        Err(Failure::refused("only transactions"))
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, Failure> {
        let documents = self.0.lock().expect("no panic").documents.clone();
        Ok(Box::new(Open { server: self.clone(), documents }))
    }
}

struct Open {
    server: Server,
    documents: Documents,
}

impl Open {
    fn fault(&self) -> Fault {
        self.server.0.lock().expect("no panic").fault
    }

    fn put(&mut self, mut document: Document) -> Result<(), Failure> {
        let id = document.get_i32("_id").expect("an id");
        let email = document.get_str("email").ok();
        let is_taken = |(other, it): (&i32, &Document)| {
            *other != id && email.is_some() && it.get_str("email").ok() == email
        };
        match self.fault() {
            Fault::Refuses(refused) if refused == id => {
                return Err(Failure::from_server(121, "DocumentValidationFailure", "not valid"));
            }
            Fault::UniqueEmail if self.documents.iter().any(is_taken) => {
                return Err(Failure::from_server(11000, "DuplicateKey", "E11000 email"));
            }
            Fault::Changes(changed) if changed == id => drop(document.insert("more", 1)),
            _ => {}
        }
        self.documents.insert(id, document);
        Ok(())
    }
}

#[async_trait]
impl Transaction for Open {
    async fn run(&mut self, _: &str, command: RawDocumentBuf) -> Result<Document, Failure> {
        let command = Document::try_from(&command).expect("BSON");
        let list = |name: &str| -> Vec<Document> {
            let list = command.get_array(name).map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(Bson::as_document).cloned().collect()
        };
        let mut n = 0;
        for delete in list("deletes") {
            let id = delete.get_document("q").expect("a query").get_i32("_id").expect("an id");
            n += i32::from(self.documents.remove(&id).is_some());
        }
        for update in list("updates") {
            self.put(update.get_document("u").expect("a document").clone())?;
            n += 1;
        }
        for document in list("documents") {
            self.put(document)?;
            n += 1;
        }
        Ok(doc! {"ok": 1, "n": n})
    }

    async fn documents(&mut self, _: &str, _: RawDocumentBuf) -> Result<Vec<Vec<u8>>, Failure> {
        if self.fault() == Fault::Forbidden {
            return Err(Failure::from_server(13, "Unauthorized", "not allowed"));
        }
        Ok(self.documents.values().cloned().map(bytes).collect())
    }

    async fn commit(&mut self) -> Result<(), CommitFailure> {
        let mut state = self.server.0.lock().expect("no panic");
        state.documents = self.documents.clone();
        state.commits += 1;
        match state.fault {
            Fault::LostAnswers(times) if state.commits <= times => {
                Err(CommitFailure::Unknown(Failure::passing("the answer was lost")))
            }
            _ => Ok(()),
        }
    }

    async fn abort(&mut self) {}
}

/// Writes a batch to a server that holds these documents. Returns the result and what the server
/// holds afterwards.
async fn outcome(
    documents: &[Document],
    fault: Fault,
    batch: &[Reversion],
) -> (Result<Report, RevertError>, Vec<Document>) {
    let keyed = documents.iter().map(|it| (it.get_i32("_id").expect("an id"), it.clone()));
    let state = State { documents: keyed.collect(), fault, commits: 0 };
    let server = Server(Arc::new(Mutex::new(state)));
    let report = write(&Client::new(server.clone()), batch).await;
    let held = server.0.lock().expect("no panic").documents.values().cloned().collect();
    (report, held)
}

fn orders(numbers: [i32; 3]) -> Vec<Document> {
    (1..=3).zip(numbers).map(|(id, n)| doc! {"_id": id, "n": n}).collect()
}

/// Three documents of which each was changed from 1 to 2.
fn batch() -> Vec<Reversion> {
    let change = |id| reversion(id, Some(doc! {"_id": id, "n": 2}), Some(doc! {"_id": id, "n": 1}));
    (1..=3).map(change).collect()
}

#[tokio::test]
async fn what_somebody_wrote_since_is_left_alone() {
    let (report, held) = outcome(&orders([2, 7, 1]), Fault::None, &batch()).await;
    let report = report.expect("written");
    assert_eq!((report.totals().replaced, report.already, report.conflict_count), (1, 1, 1));
    assert_eq!(report.conflicts[0].id, bytes(doc! {"_id": 2}));
    assert_eq!(held, orders([1, 7, 1]));
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_to_have_happened() {
    let (report, held) = outcome(&orders([2, 2, 2]), Fault::LostAnswers(1), &batch()).await;
    let report = report.expect("written");
    assert_eq!((report.already, report.conflict_count), (3, 0));
    assert_eq!(held, orders([1, 1, 1]));
}

#[tokio::test]
async fn a_document_that_the_server_refuses_costs_no_other() {
    for fault in [Fault::Refuses(2), Fault::Changes(2)] {
        let (report, held) = outcome(&orders([2, 2, 2]), fault, &batch()).await;
        let report = report.expect("written");
        assert_eq!((report.totals().replaced, report.conflict_count), (2, 1), "{fault:?}");
        assert!(report.conflicts[0].reason.contains("does not take it"), "{report:?}");
        assert_eq!(held, orders([1, 2, 1]), "{fault:?}");
    }
}

#[tokio::test]
async fn documents_may_exchange_unique_values() {
    let person = |id: i32, email: &str| doc! {"_id": id, "email": email};
    let batch = [
        reversion(1, Some(person(1, "b")), Some(person(1, "a"))),
        reversion(2, Some(person(2, "a")), Some(person(2, "b"))),
    ];
    let now = [person(1, "b"), person(2, "a")];
    let (report, held) = outcome(&now, Fault::UniqueEmail, &batch).await;
    assert_eq!(report.expect("written").totals().replaced, 2);
    assert_eq!(held, [person(1, "a"), person(2, "b")]);
}

#[tokio::test]
async fn a_missing_right_ends_the_revert() {
    let (report, held) = outcome(&orders([2, 2, 2]), Fault::Forbidden, &batch()).await;
    let error = report.expect_err("not allowed").to_string();
    assert!(error.contains("shop.orders") && error.contains("not allowed"), "{error}");
    assert_eq!(held, orders([2, 2, 2]));
}
