//! Loads a base into the history.

use std::time::Instant;

use hindsight_base::Base;
use hindsight_history::{BaseInfo, CollectionState, Load};
use hindsight_runtime::CancellationToken;
use tracing::info;

use super::{FollowError, Follower};

impl Follower {
    /// Loads a base. When shutdown comes first, no part of the base becomes visible, and what was
    /// loaded is removed at the next start.
    pub(super) fn load_base(
        &self,
        name: &str,
        shutdown: &CancellationToken,
    ) -> Result<(), FollowError> {
        let base = self.open_base(name)?;
        check_files(&base)?;
        self.goes_on();
        self.loads(Some(name));
        let loaded = self.load_documents(&base, shutdown);
        self.loads(None);
        loaded
    }

    pub(super) fn open_base(&self, name: &str) -> Result<Base, FollowError> {
        Base::open(&self.bases.join(name))
            .map_err(|error| FollowError::unreadable_base(name, error))
    }

    fn load_documents(&self, base: &Base, shutdown: &CancellationToken) -> Result<(), FollowError> {
        let name = base.name();
        info!(base = name, "loading a base into the history");
        let started = Instant::now();
        let origin = &base.manifest().origin;
        let mut load = self.history.begin_generation(BaseInfo {
            name: name.clone(),
            start: origin.start.ts,
            exact_from: origin.exact_from.ts,
            server_version: Some(origin.source.server_version.clone()),
        })?;
        if !fill(&mut load, base, shutdown)? {
            info!(base = name, "stopping while a base is loaded: it is loaded at the next start");
            return Ok(());
        }
        let documents = load.documents();
        load.finish()?;
        info!(base = name, documents, seconds = started.elapsed().as_secs_f64(), "base loaded");
        Ok(())
    }
}

/// Loads all documents. Returns false when shutdown came first.
fn fill(
    load: &mut Load<'_>,
    base: &Base,
    shutdown: &CancellationToken,
) -> Result<bool, FollowError> {
    for entry in base.collections() {
        if shutdown.is_cancelled() {
            return Ok(false);
        }
        if entry.dropped_during_copy {
            continue;
        }
        let number = load.collection(CollectionState {
            uuid: entry.info.uuid,
            ns: format!("{}.{}", entry.info.db, entry.info.name),
            options: entry.info.options.clone(),
            id_index: entry.info.id_index.clone(),
            indexes: without_id_index(&entry.info),
            implicit: false,
            excluded: false,
        })?;
        for frame in base.frames(entry) {
            if shutdown.is_cancelled() {
                return Ok(false);
            }
            for document in frame.map_err(|error| while_reading(base, error))?.documents() {
                load.put(number, document.as_bytes())?;
            }
        }
    }
    Ok(true)
}

/// Checks that every file exists with its full length. A base that is just being put back fails
/// this check.
fn check_files(base: &Base) -> Result<(), FollowError> {
    match base.verify(false).faults.into_iter().next() {
        None => Ok(()),
        Some(fault) => Err(FollowError::unreadable_base(&base.name(), fault)),
    }
}

/// Classifies an error while a base is read. A file that disappeared while it was read may come
/// back. A file that exists with other bytes stays damaged, so it is not read from its beginning
/// again and again.
fn while_reading(base: &Base, error: hindsight_base::Error) -> FollowError {
    if error.is_retryable() {
        return error.into();
    }
    check_files(base).err().unwrap_or(FollowError::Base(error))
}

/// Returns the indexes without the `_id` index. `listIndexes` returns the `_id` index among the
/// others; the history keeps it apart.
fn without_id_index(info: &hindsight_base::CollectionInfo) -> Vec<Vec<u8>> {
    let is_id = |spec: &&Vec<u8>| {
        let doc = hindsight_oplog::raw::Doc::new(spec).ok();
        let name = doc.and_then(|doc| doc.get(b"name").ok().flatten());
        name.and_then(|name| name.as_str().map(str::to_owned)).as_deref() == Some("_id_")
    };
    info.indexes.iter().filter(|spec| !is_id(spec)).cloned().collect()
}
