//! Creates collections, indexes and views, and makes the changes that wait for the documents.

use hindsight_form::index_name;
use hindsight_mongo::{Client, Failure, codes};
use hindsight_oplog::raw::{Doc, DocWriter, kind};
use hindsight_restore::commands::{VIEWS, raw_if_needed, set_mark};
use hindsight_restore::{
    Change, PlannedCollection, PlannedView, RestoreError, TargetFacts, TimeSeries,
};

use super::{blame, command};

pub(super) async fn create_collection(
    client: &Client,
    collection: &PlannedCollection,
) -> Result<Option<String>, RestoreError> {
    let db = &collection.state.db;
    if collection.temporary && create_temporary(client, collection).await.is_ok() {
        return Ok(None);
    }
    let result = command::run(client, db, collection.create.clone()).await;
    let namespace = collection.state.namespace();
    result.map_err(|failure| {
        blame::writing(&failure, &namespace, "the collection with its options")
    })?;
    if let Some(cap) = &collection.cap {
        let capped = command::run(client, db, cap.clone()).await;
        capped.map_err(|failure| blame::writing(&failure, &namespace, "to cap the collection"))?;
    }
    if let Some(series) = &collection.time_series {
        prepare_time_series(client, collection, series).await?;
    }
    let unmarked = || {
        format!(
            "{namespace} is not marked as temporary: the target does not let this user set the mark"
        )
    };
    Ok(collection.temporary.then(unmarked))
}

/// Does what must be done before the first bucket is written and takes separate commands: sets the
/// mark of mixed types, and drops the surplus index.
async fn prepare_time_series(
    client: &Client,
    collection: &PlannedCollection,
    series: &TimeSeries,
) -> Result<(), RestoreError> {
    let (db, namespace) = (&collection.state.db, collection.state.namespace());
    if let Some(mark) = series.mark {
        let marked = command::run(client, db, set_mark(&series.view, mark)).await;
        marked
            .map_err(|failure| blame::writing(&failure, &namespace, "the mark of mixed types"))?;
    }
    if let Some(index) = &series.surplus_index {
        let dropped = command::run(client, db, drop_index(&series.view, index)).await;
        match dropped {
            Err(failure) if !failure.is(codes::INDEX_NOT_FOUND) => {
                let what = format!("without the index {index}, which the target makes by itself");
                return Err(blame::writing(&failure, &namespace, what));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Builds the `dropIndexes` of one index.
fn drop_index(view: &str, index: &str) -> Vec<u8> {
    let mut command = DocWriter::new();
    command.string(b"dropIndexes", view).string(b"index", index);
    command.finish()
}

/// Creates a temporary collection through `applyOps`: `create` knows no option `temp`, but an oplog
/// entry does.
async fn create_temporary(client: &Client, collection: &PlannedCollection) -> Result<(), Failure> {
    let bad = |error| Failure::refused(format!("{error:?}"));
    let mut apply = DocWriter::new();
    apply.open(kind::ARRAY, b"applyOps").open(kind::DOCUMENT, b"0");
    apply.string(b"op", "c").string(b"ns", &format!("{}.$cmd", collection.state.db));
    apply.open(kind::DOCUMENT, b"o");
    for element in Doc::new(&collection.create).map_err(bad)?.elements() {
        apply.element(element.map_err(bad)?);
    }
    apply.value(kind::BOOL, b"temp", &[1]).close().close().close();
    command::run(client, "admin", apply.finish()).await.map(drop)
}

/// Builds the indexes of a collection with one scan. The primary of a replica set commits an index
/// without waiting for other members. A member may be down, or may build no indexes and still have
/// a vote, which makes the default quorum impossible (6.0.5: UnsatisfiableCommitQuorum). The
/// barrier waits for a majority instead. A standalone server takes no quorum.
pub(super) async fn build_indexes(
    client: &Client,
    collection: &PlannedCollection,
    specs: &[Vec<u8>],
    facts: &TargetFacts,
) -> Result<(), RestoreError> {
    let mut command = create_indexes(&collection.state.name, specs);
    if facts.set_name.is_some() {
        command.int32(b"commitQuorum", 1);
    }
    let command = raw_if_needed(command, collection);
    let result = command::run(client, &collection.state.db, command).await;
    result.map(drop).map_err(|failure| {
        let names: Vec<_> = specs.iter().map(|spec| index_name(spec)).collect();
        let what = format!("the indexes {}", names.join(", "));
        blame::writing(&failure, &collection.state.namespace(), what)
    })
}

/// Builds one `createIndexes` for all specs, so that the collection is scanned once.
fn create_indexes(name: &str, specs: &[Vec<u8>]) -> DocWriter {
    let mut command = DocWriter::new();
    command.string(b"createIndexes", name).open(kind::ARRAY, b"indexes");
    for (number, spec) in specs.iter().enumerate() {
        command.value(kind::DOCUMENT, number.to_string().as_bytes(), spec);
    }
    command.close();
    command
}

pub(super) async fn create_view(client: &Client, view: &PlannedView) -> Result<(), RestoreError> {
    let Some(create) = &view.create else { return Ok(()) };
    let result = command::run(client, &view.db, create.clone()).await;
    result.map(drop).map_err(|failure| {
        blame::writing(&failure, &format!("{}.{}", view.db, view.name), "the view")
    })
}

/// Creates `system.views` if it does not exist. Returns false when the server does not allow that.
pub(super) async fn create_view_catalog(client: &Client, db: &str) -> Result<bool, RestoreError> {
    match command::run(client, db, command::named("create", VIEWS)).await {
        Ok(_) => Ok(true),
        Err(failure) if failure.is(codes::NAMESPACE_EXISTS) => Ok(true),
        Err(failure) if failure.is_passing() => {
            Err(blame::writing(&failure, &format!("{db}.{VIEWS}"), "the collection"))
        }
        Err(_) => Ok(false),
    }
}

pub(super) async fn change(
    client: &Client,
    collection: &PlannedCollection,
    change: Change,
) -> Result<(), RestoreError> {
    let Some(command) = collection.command_for(change) else { return Ok(()) };
    let what = match change {
        Change::TakeMarkAway => "to take its mark of mixed types away",
        Change::Expire => "expireAfterSeconds",
        Change::Bound => "its bounds",
    };
    let result = command::run(client, &collection.state.db, command).await;
    result
        .map(drop)
        .map_err(|failure| blame::writing(&failure, &collection.state.namespace(), what))
}
