//! Notes what is known about the catalog from elsewhere than entries.

use std::sync::Arc;

use hindsight_oplog::{OpTime, Timestamp};

use crate::unit::Unit;
use crate::{CollectionState, HistoryError, Observed, Writer};

impl Writer<'_> {
    /// Returns the collection that has this UUID now, and the time since which it has its present
    /// state.
    pub fn newest(&self, uuid: &[u8; 16]) -> Option<(Timestamp, Arc<CollectionState>)> {
        let catalog = self.history.read_catalog();
        let (number, state) = catalog.live(self.generation.id, uuid)?;
        let since = catalog.get(number)?.states.last()?.0;
        Some((since, Arc::clone(state)))
    }

    /// Notes how members of the source listed a collection. If a state is given, the history
    /// follows it from `at` on.
    ///
    /// `at` is the optime of the last entry that was applied, before that entry is committed:
    /// nobody has seen the catalog of that time yet. Without a state, a difference that was already
    /// noted is not noted again.
    ///
    /// # Errors
    /// Returns [`HistoryError::Corrupt`] when the state is not BSON, or when the collection is
    /// gone.
    pub fn observe(
        &mut self,
        at: OpTime,
        uuid: &[u8; 16],
        state: Option<CollectionState>,
        differences: Vec<String>,
    ) -> Result<(), HistoryError> {
        let (number, ns) = {
            let catalog = self.history.read_catalog();
            let live = catalog.live(self.generation.id, uuid);
            let (number, state) =
                live.ok_or_else(|| HistoryError::corrupt("an observed collection that is gone"))?;
            (number, state.ns.clone())
        };
        let taken_up = state.is_some();
        let observed = Observed {
            generation: self.generation.id,
            number,
            at: at.ts,
            ns,
            differences,
            taken_up,
        };
        if !taken_up && self.history.read_catalog().is_noted(&observed) {
            return Ok(());
        }
        if let Some(state) = state {
            state.validate().map_err(HistoryError::corrupt)?;
            let visible = at.ts.max(self.generation.base.start);
            let relaxed = visible <= self.generation.base.exact_from;
            let unit = Unit { at, visible, relaxed, position: 0 };
            self.set_state(&unit, number, Some(state));
        }
        self.history.write_catalog().note(observed.clone());
        self.observed.push(observed);
        Ok(())
    }
}
