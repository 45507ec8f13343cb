//! Sends one batch, and examines every write error of the reply.

use std::time::Duration;

use bson::{Bson, Document, RawDocumentBuf};
use hindsight_mongo::{Client, Failure, Kind};
use hindsight_restore::commands::{BatchBuilder, display_id};
use hindsight_restore::{Batch, PlannedCollection, RestoreError};
use hindsight_runtime::Backoff;

use super::blame;

/// How often a batch is sent before the target counts as unavailable.
const TRIES: u32 = 5;
const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

const DUPLICATE_KEY: i32 = 11000;

/// Inserts a batch and puts back what the insert changed.
///
/// When the network fails, the same batch is sent again. The `_id`s of its documents are unique and
/// only we write to the collection, so a document whose `_id` the target then calls a duplicate is
/// one that the target took the first time. A batch of a capped collection is not sent again,
/// because a second try could change the order. Neither is an `applyOps`, which the second try
/// would turn into an update. In both cases the failure ends the restore.
pub(super) async fn insert(
    client: &Client,
    collection: &PlannedCollection,
    batch: &Batch,
) -> Result<(), RestoreError> {
    let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
    loop {
        match try_insert(client, collection, batch, backoff.failures() > 0).await {
            Err(RestoreError::Unavailable { doing, reason })
                if !collection.ordered && !batch.verbatim && backoff.failures() + 1 < TRIES =>
            {
                tracing::warn!(doing, reason, "sending a batch again");
                tokio::time::sleep(backoff.next_delay()).await;
            }
            result => return result,
        }
    }
}

async fn try_insert(
    client: &Client,
    collection: &PlannedCollection,
    batch: &Batch,
    again: bool,
) -> Result<(), RestoreError> {
    let db = &collection.state.db;
    let namespace = collection.state.namespace();
    let send = async |db: &str, command: &RawDocumentBuf, what: &str| {
        let reply = client.run(db, command.clone()).await;
        reply.map_err(|failure| blame::writing(&failure, &namespace, what))
    };
    if batch.verbatim {
        let reply =
            send("admin", &batch.insert, "a document that no insert stores as it is").await?;
        return look_at(&reply, &namespace, false, |_| None);
    }
    let reply = match client.run(db, batch.insert.clone()).await {
        Err(failure) => {
            let error = blame::writing(&failure, &namespace, "documents");
            // A right that is missing is no document's fault.
            let named = match failure.kind() {
                Kind::Refused => name_refused(client, collection, batch).await,
                Kind::Passing | Kind::Credentials | Kind::Forbidden => None,
            };
            return Err(named.unwrap_or(error));
        }
        Ok(reply) => reply,
    };
    let name_document = |index| {
        let index = usize::try_from(index).ok()?;
        batch.documents().nth(index).map(display_id)
    };
    look_at(&reply, &namespace, again, name_document)?;
    if let Some(repair) = &batch.repair {
        let what = "zero timestamps (which takes the right to update, as readWriteAnyDatabase has)";
        let reply = send(db, repair, what).await?;
        look_at(&reply, &namespace, false, |_| None)?;
    }
    Ok(())
}

/// Finds the document for which a server refused a whole command. The server does not name the
/// document, as when it rejects a value as invalid BSON (6.0.27: a binary of subtype 7 that is not
/// a column). The documents are sent one after another, up to the one that is refused.
async fn name_refused(
    client: &Client,
    collection: &PlannedCollection,
    batch: &Batch,
) -> Option<RestoreError> {
    let (db, name) = (&collection.state.db, &collection.state.name);
    for document in batch.documents() {
        let mut alone = BatchBuilder::new(name, true, document.len(), 1);
        if collection.raw_data {
            alone = alone.of_buckets();
        }
        alone.add(document).ok()?;
        let reply = client.run(db, alone.take()?.insert).await;
        if let Some(failure) = reply.err().filter(|failure| !failure.is_passing()) {
            let what = format!("the document with _id {}", display_id(document));
            return Some(blame::writing(&failure, &collection.state.namespace(), what));
        }
    }
    None
}

/// Returns an error if the reply to a write holds anything but success.
pub(super) fn look_at(
    reply: &Document,
    namespace: &str,
    duplicates_are_ours: bool,
    name_document: impl Fn(i64) -> Option<String>,
) -> Result<(), RestoreError> {
    let errors = reply.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    let failed = errors
        .iter()
        .filter_map(Bson::as_document)
        .find(|error| !(duplicates_are_ours && is_duplicate_id(error)));
    if let Some(error) = failed {
        let index = integer(error.get("index"));
        let id = name_document(index).unwrap_or_else(|| format!("at place {index} of its batch"));
        let message = error.get_str("errmsg").unwrap_or("no reason given");
        let others = match errors.len() - 1 {
            0 => String::new(),
            others => format!(" (and {others} more of the same batch)"),
        };
        return Err(RestoreError::WriteRefused {
            namespace: namespace.to_owned(),
            what: format!("the document with _id {id}{others}"),
            reason: message.to_owned(),
        });
    }
    match reply.get_document("writeConcernError") {
        Ok(error) => {
            Err(blame::writing(&Failure::passing(error.to_string()), namespace, "documents"))
        }
        Err(_) => Ok(()),
    }
}

fn is_duplicate_id(error: &Document) -> bool {
    let key = error.get_document("keyPattern");
    integer(error.get("code")) == i64::from(DUPLICATE_KEY)
        && key.is_ok_and(|key| key.len() == 1 && key.contains_key("_id"))
}

fn integer(value: Option<&Bson>) -> i64 {
    match value {
        Some(Bson::Int32(number)) => i64::from(*number),
        Some(Bson::Int64(number)) => *number,
        _ => -1,
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn duplicate(key: &str) -> Document {
        doc! { "writeErrors": [
            { "index": 3, "code": 11000, "errmsg": "E11000 duplicate", "keyPattern": { key: 1 } },
        ] }
    }

    #[test]
    fn a_write_error_names_the_document() {
        let name = |index: i64| Some(format!("#{index}"));
        let error = look_at(&duplicate("_id"), "a.b", false, name).expect_err("a duplicate");
        let message = error.to_string();
        assert!(message.contains("a.b") && message.contains("_id #3"), "{message}");
        assert!(message.contains("E11000"), "{message}");
    }

    #[test]
    fn only_a_duplicate_id_of_a_batch_sent_again_is_ours() {
        look_at(&duplicate("_id"), "a.b", true, |_| None).expect("we wrote it the first time");
        look_at(&duplicate("email"), "a.b", true, |_| None).expect_err("another index");
        let other = doc! { "writeErrors": [{ "index": 0, "code": 2, "errmsg": "bad" }] };
        look_at(&other, "a.b", true, |_| None).expect_err("another error");
        look_at(&doc! { "n": 3 }, "a.b", false, |_| None).expect("no error");
    }

    #[test]
    fn a_write_concern_that_failed_is_an_error() {
        let reply = doc! { "n": 1, "writeConcernError": { "code": 64, "errmsg": "timed out" } };
        let error = look_at(&reply, "a.b", false, |_| None).expect_err("not replicated");
        assert!(matches!(error, RestoreError::Unavailable { .. }), "{error}");
    }
}
