//! Creates collections, indexes (including those that let documents expire) and views.

use futures_util::{StreamExt, TryStreamExt, stream};
use hindsight_history::form::index_name;
use hindsight_mongo::{Client, Failure, codes};
use hindsight_oplog::raw::{Doc, DocWriter, kind};

use super::catalog::create_indexes;
use super::command;
use super::error::RestoreError;
use super::plan::{Plan, PlannedCollection, Skipped, VIEWS};
use super::progress::Progress;
use super::time_series::{self, TimeSeries};

/// Creates the plan's collections, `at_once` at a time. Returns warnings.
pub(super) async fn create_collections(
    client: &Client,
    plan: &Plan,
    at_once: usize,
    progress: &Progress,
) -> Result<Vec<String>, RestoreError> {
    let created = stream::iter(&plan.collections).map(|collection| async move {
        let warning = create_collection(client, collection).await?;
        progress.add(1, 0);
        Ok::<_, RestoreError>(warning)
    });
    let warnings: Vec<_> = created.buffer_unordered(at_once).try_collect().await?;
    Ok(warnings.into_iter().flatten().collect())
}

async fn create_collection(
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
        RestoreError::writing(&failure, &namespace, "the collection with its options")
    })?;
    if let Some(cap) = &collection.cap {
        let capped = command::run(client, db, cap.clone()).await;
        capped.map_err(|failure| {
            RestoreError::writing(&failure, &namespace, "to cap the collection")
        })?;
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
        let marked = command::run(client, db, time_series::set_mark(&series.view, mark)).await;
        marked.map_err(|failure| {
            RestoreError::writing(&failure, &namespace, "the mark of mixed types")
        })?;
    }
    if let Some(index) = &series.surplus_index {
        let dropped = command::run(client, db, time_series::drop_index(&series.view, index)).await;
        match dropped {
            Err(failure) if !failure.is(codes::INDEX_NOT_FOUND) => {
                let what = format!("without the index {index}, which the target makes by itself");
                return Err(RestoreError::writing(&failure, &namespace, what));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Takes away the marks that were set only so that buckets could be written.
pub(super) async fn take_marks_away(client: &Client, plan: &Plan) -> Result<(), RestoreError> {
    for collection in &plan.collections {
        let Some(series) = collection.time_series.as_ref().filter(|series| series.unmark) else {
            continue;
        };
        let unmark = time_series::set_mark(&series.view, false);
        let result = command::run(client, &collection.state.db, unmark).await;
        let what = "to take its mark of mixed types away";
        result.map_err(|failure| {
            RestoreError::writing(&failure, &collection.state.namespace(), what)
        })?;
    }
    Ok(())
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

/// How a target builds indexes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Builds {
    /// How many collections get their indexes at a time.
    pub(super) at_once: usize,
    /// True for a replica set. The primary then commits an index without waiting for other members.
    /// A member may be down, or may build no indexes and still have a vote, which makes the default
    /// quorum impossible (6.0.5: UnsatisfiableCommitQuorum). The barrier waits for a majority
    /// instead. A standalone server takes no quorum.
    pub(super) replicated: bool,
}

/// Builds the indexes of several collections at once. The indexes of one collection share one scan.
pub(super) async fn build_indexes(
    client: &Client,
    plan: &Plan,
    which: fn(&PlannedCollection) -> &[Vec<u8>],
    builds: Builds,
    progress: &Progress,
) -> Result<(), RestoreError> {
    let with_indexes = plan.collections.iter().filter(|collection| !which(collection).is_empty());
    stream::iter(with_indexes)
        .map(Ok)
        .try_for_each_concurrent(builds.at_once, |collection| async move {
            let specs = which(collection);
            let mut command = create_indexes(&collection.state.name, specs);
            if builds.replicated {
                command.int32(b"commitQuorum", 1);
            }
            let command = time_series::raw_if_needed(command, collection);
            let result = command::run(client, &collection.state.db, command).await;
            result.map_err(|failure| {
                let names: Vec<_> = specs.iter().map(|spec| index_name(spec)).collect();
                let what = format!("the indexes {}", names.join(", "));
                RestoreError::writing(&failure, &collection.state.namespace(), what)
            })?;
            progress.add(specs.len() as u64, 0);
            Ok(())
        })
        .await
}

/// Creates the views, and the `system.views` of databases that have one without views. Returns what
/// the target did not create.
pub(super) async fn create_views(
    client: &Client,
    plan: &Plan,
    progress: &Progress,
) -> Result<Vec<Skipped>, RestoreError> {
    for view in &plan.views {
        if let Some(create) = &view.create {
            let result = command::run(client, &view.db, create.clone()).await;
            result.map_err(|failure| {
                RestoreError::writing(&failure, &format!("{}.{}", view.db, view.name), "the view")
            })?;
        }
        progress.add(1, 0);
    }
    let mut skipped = Vec::new();
    for db in &plan.view_databases {
        match command::run(client, db, command::named("create", VIEWS)).await {
            Ok(_) => {}
            Err(failure) if failure.is(codes::NAMESPACE_EXISTS) => {}
            Err(_) if plan.views.iter().any(|view| view.db == *db) => {}
            Err(failure) if failure.is_passing() => {
                let namespace = format!("{db}.{VIEWS}");
                return Err(RestoreError::writing(&failure, &namespace, "the collection"));
            }
            Err(_) => skipped.push(Skipped {
                ns: format!("{db}.{VIEWS}"),
                reason: "it holds no views, and the target does not let us make an empty one"
                    .into(),
            }),
        }
    }
    Ok(skipped)
}
