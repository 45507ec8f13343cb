//! Removes the oldest segments, and follows when another process removed them.
//!
//! Brokers remove the records before an offset in one step. So the topic begins either where it
//! began before or with the first record of the segment that the log begins with from then on.

use std::sync::Arc;

use hindsight_segment::Sequence;

use super::blocking::blocking;
use super::fetch::read_info;
use super::record::Says;
use super::store::Store;
use super::write::Writer;
use crate::beginning::Beginning;
use crate::error::LogError;
use crate::shared::BaseNotice;

impl Writer {
    /// Removes the segments before `sequence`, and all other records before it.
    pub(super) async fn remove_before(
        &self,
        store: &Arc<Store>,
        sequence: Sequence,
    ) -> Result<(), LogError> {
        let mut state = self.state.lock().await;
        blocking(store, |store| store.refresh()).await?;
        state.uncertain = false;
        self.check_held(store)?;
        let Some((offset, bases)) = to_remove(store, sequence)? else { return Ok(()) };
        // Otherwise no later reader would know that these bases belong to the log.
        for base in bases {
            self.say_next(&mut state, store, Says::Base(base.digest), &base.name).await?;
        }
        store.topic.delete_records(offset).await?;
        blocking(store, |store| store.forget_removed()).await?;
        tracing::info!(begins = %sequence, topic = store.topic.options.topic, "removed segments");
        Ok(())
    }
}

/// Returns the offset of the first record that stays, and the bases whose notices lie before it.
/// None when there is nothing to remove.
fn to_remove(
    store: &Store,
    sequence: Sequence,
) -> Result<Option<(i64, Vec<BaseNotice>)>, LogError> {
    let follower = store.follower();
    if sequence <= follower.places.first() {
        return Ok(None);
    }
    let Some(place) = follower.place(sequence) else {
        let end = follower.chain.end().map(|end| end.sequence());
        return Err(LogError::end_stays(store.topic.place(), sequence, end));
    };
    let bases = follower.chain.bases().iter().filter(|base| base.offset < place.first);
    Ok(Some((place.first, bases.map(|base| base.notice.clone()).collect())))
}

impl Store {
    /// Forgets the segments that are no longer whole in the topic. Returns the topic's first
    /// offset, and whether any segments were forgotten.
    pub(super) fn forget_removed(&self) -> Result<(i64, bool), LogError> {
        let (first, _) = self.topic.watermarks()?;
        Ok((first, self.follower().places.forget_before(first)))
    }

    /// Does `work` again when it failed and segments were removed meanwhile: it may have looked for
    /// records that are gone.
    pub(super) fn despite_removals<T>(
        &self,
        work: impl Fn() -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        loop {
            let first = self.follower().places.first();
            let outcome = work();
            if !matches!(outcome, Err(LogError::Corrupt { .. })) {
                return outcome;
            }
            // Another task may have found out first.
            if self.forget_removed().is_err() || self.follower().places.first() == first {
                return outcome;
            }
        }
    }

    pub(super) fn begin(&self) -> Result<Option<Beginning>, LogError> {
        self.refresh()?;
        self.despite_removals(|| {
            let (first, end) = {
                let follower = self.follower();
                let first = follower.places.first();
                (follower.place(first), follower.chain.end().cloned())
            };
            let (Some(first), Some(end)) = (first, end) else { return Ok(None) };
            let info = read_info(&self.topic, &mut self.topic.session()?, first)?;
            Ok(Some(match info.sequence() {
                Sequence::FIRST => Beginning::of_all(end.header.source.clone()),
                _ => Beginning::with(&info),
            }))
        })
    }
}
