//! Waits until everything that was written is safe.

use hindsight_mongo::Client;
use hindsight_oplog::raw::{Doc, DocWriter, Malformed, kind};
use hindsight_restore::commands::{is_buckets, keep_pre_images};
use hindsight_restore::{Plan, PlannedCollection, RestoreError};

use super::insert::look_at;
use super::{blame, command};

/// How long the majority may take to catch up with the primary, in milliseconds.
const BARRIER_TIMEOUT_MS: i64 = 600_000;

/// Returns when the majority has journalled everything written so far. The command changes nothing,
/// but its write concern waits. A user with the role `restore` may run it, but may not run a
/// delete.
pub(super) async fn wait(
    client: &Client,
    plan: &Plan,
    guards_buckets: bool,
) -> Result<(), RestoreError> {
    let Some(collection) = choose(plan) else { return Ok(()) };
    let (db, namespace) = (&collection.state.db, collection.state.namespace());
    let command = harmless(collection, guards_buckets);
    let mut command = command.map_err(|error| RestoreError::Source {
        namespace: namespace.clone(),
        source: error.into(),
    })?;
    command.open(kind::DOCUMENT, b"writeConcern").string(b"w", "majority");
    command.value(kind::BOOL, b"j", &[1]);
    command.int64(b"wtimeout", BARRIER_TIMEOUT_MS).close();
    let reply = command::run(client, db, command.finish()).await;
    let reply =
        reply.map_err(|failure| blame::writing(&failure, &namespace, "the last barrier"))?;
    look_at(&reply, &namespace, false, |_| None)
}

/// Chooses a collection that a command can name by itself or through its view. If there is none,
/// chooses buckets whose view does not exist. Returns `None` when the plan has no collections.
fn choose(plan: &Plan) -> Option<&PlannedCollection> {
    let by_itself = |c: &&PlannedCollection| !is_buckets(&c.state.name) || c.time_series.is_some();
    plan.collections.iter().find(by_itself).or_else(|| plan.collections.first())
}

/// Builds a command that changes nothing. A `collMod` that changes nothing is still an entry of the
/// target's oplog. From 7.0 on, servers refuse a `collMod` of buckets without a view. For these the
/// command is a `createIndexes` of the index on `_id`, which always exists; it waits for everything
/// that came before.
fn harmless(collection: &PlannedCollection, guards_buckets: bool) -> Result<DocWriter, Malformed> {
    let mut command = DocWriter::new();
    let name = collection.state.name.as_str();
    match &collection.time_series {
        Some(series) => command.string(b"collMod", &series.view),
        None if guards_buckets && is_buckets(name) => command
            .string(b"createIndexes", name)
            .open(kind::ARRAY, b"indexes")
            .open(kind::DOCUMENT, b"0")
            .open(kind::DOCUMENT, b"key")
            .int32(b"_id", 1)
            .close()
            .string(b"name", "_id_")
            .close()
            .close(),
        None => {
            command.string(b"collMod", name);
            keep_pre_images(&mut command, Doc::new(&collection.state.options)?)?;
            &mut command
        }
    };
    Ok(command)
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};
    use hindsight_oplog::Timestamp;
    use hindsight_restore::{CollectionState, ViewDocuments, plan};

    use super::*;

    fn collection(name: &str, options: &RawDocumentBuf) -> CollectionState {
        CollectionState {
            db: "shop".to_owned(),
            name: name.to_owned(),
            uuid: [7; 16],
            options: options.as_bytes().to_vec(),
            indexes: vec![rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" }.into_bytes()],
            documents_hint: None,
            bytes_hint: None,
        }
    }

    fn of(names: &[&str], with_view: bool, guards_buckets: bool) -> RawDocumentBuf {
        let options = rawdoc! { "timeseries": { "timeField": "t" } };
        let collections = names.iter().map(|name| collection(name, &options)).collect();
        let view = rawdoc! { "_id": "shop.w", "viewOn": "system.buckets.w", "pipeline": [] };
        let mut views = ViewDocuments::new();
        if with_view {
            views.insert("shop".to_owned(), vec![view.into_bytes()]);
        }
        let plan = plan(Timestamp::new(5, 1), collections, &views, false).expect("plans");
        let chosen = choose(&plan).expect("there is a collection");
        let command = harmless(chosen, guards_buckets).expect("well formed");
        RawDocumentBuf::from_bytes(command.finish()).expect("a document")
    }

    #[test]
    fn buckets_are_named_by_their_view_or_not_modified() {
        let modify = |name: &str| rawdoc! { "collMod": name };
        assert_eq!(of(&["orders", "system.buckets.w"], true, true), modify("orders"));
        assert_eq!(of(&["system.buckets.a", "zebra"], true, true), modify("zebra"));
        assert_eq!(of(&["system.buckets.a", "system.buckets.w"], true, true), modify("w"));
        assert_eq!(of(&["system.buckets.a"], false, false), modify("system.buckets.a"));
        let index = rawdoc! { "key": { "_id": 1 }, "name": "_id_" };
        let known = rawdoc! { "createIndexes": "system.buckets.a", "indexes": [index] };
        assert_eq!(of(&["system.buckets.a"], false, true), known);
    }
}
