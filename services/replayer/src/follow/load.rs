//! A base into the history.

use std::time::Instant;

use hindsight_base::Base;
use hindsight_history::{BaseInfo, CollectionState};
use tracing::info;

use super::{FollowError, Follower};

impl Follower {
    pub(super) fn load_base(&self, name: &str) -> Result<(), FollowError> {
        info!(base = name, "loading a base into the history");
        let started = Instant::now();
        self.board.send_modify(|board| board.loading = Some(name.to_owned()));
        let base = Base::open(&self.bases.join(name))?;
        let origin = &base.manifest().origin;
        let mut load = self.history.begin_generation(BaseInfo {
            name: name.to_owned(),
            start: origin.start.ts,
            exact_from: origin.exact_from.ts,
        })?;
        for entry in base.collections() {
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
            })?;
            for frame in base.frames(entry) {
                for document in frame?.documents() {
                    load.put(number, document.as_bytes())?;
                }
            }
        }
        let documents = load.documents();
        load.finish()?;
        self.board.send_modify(|board| board.loading = None);
        info!(base = name, documents, seconds = started.elapsed().as_secs_f64(), "base loaded");
        Ok(())
    }
}

/// `listIndexes` gives the `_id` index among the others; the history keeps it apart.
fn without_id_index(info: &hindsight_base::CollectionInfo) -> Vec<Vec<u8>> {
    let is_id = |spec: &&Vec<u8>| {
        let doc = hindsight_oplog::raw::Doc::new(spec).ok();
        let name = doc.and_then(|doc| doc.get(b"name").ok().flatten());
        name.and_then(|name| name.as_str().map(str::to_owned)).as_deref() == Some("_id_")
    };
    info.indexes.iter().filter(|spec| !is_id(spec)).cloned().collect()
}
