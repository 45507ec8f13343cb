//! Compares the documents of two times side by side.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use hindsight_history::{DocumentScan, HistoryError, NamePair, Scanned, View};
use hindsight_runtime::CancellationToken;

use super::touched::Keys;
use super::{Difference, Visitor};
use crate::error::QueryError;

/// How many documents are compared between two looks at whether to stop.
const ASK_EVERY: u32 = 256;

/// Two states, and the visitor that takes their differences.
pub(super) struct Comparison<'a, 'v> {
    pub(super) before: View<'a>,
    pub(super) after: View<'a>,
    pub(super) stop: &'a CancellationToken,
    pub(super) visit: &'a mut Visitor<'v>,
    pub(super) seen: u32,
}

impl Comparison<'_, '_> {
    /// Compares one pair. `keys` are the documents that can differ, or None when these are not
    /// known.
    pub(super) fn compare(
        &mut self,
        pair: &NamePair,
        keys: Option<&Keys>,
    ) -> Result<ControlFlow<()>, QueryError> {
        match keys {
            Some(keys) => self.look_up(&pair.ns, keys),
            None => self.merge(pair),
        }
    }

    fn look_up(&mut self, ns: &str, keys: &Keys) -> Result<ControlFlow<()>, QueryError> {
        if keys.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let (mut before, mut after) = (self.before.lookup(ns)?, self.after.lookup(ns)?);
        for id_key in keys {
            let before = before.get(id_key).map_err(QueryError::corrupt)?;
            let after = after.get(id_key).map_err(QueryError::corrupt)?;
            if self.tell(Difference { ns, id_key, before, after }).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn merge(&mut self, pair: &NamePair) -> Result<ControlFlow<()>, QueryError> {
        let ns = pair.ns.as_str();
        let mut scan_before = pair.before.as_ref().map(|_| self.before.scan(ns)).transpose()?;
        let mut scan_after = pair.after.as_ref().map(|_| self.after.scan(ns)).transpose()?;
        let mut before = next(scan_before.as_mut()).map_err(QueryError::corrupt)?;
        let mut after = next(scan_after.as_mut()).map_err(QueryError::corrupt)?;
        loop {
            let order = match (&before, &after) {
                (None, None) => return Ok(ControlFlow::Continue(())),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(before), Some(after)) => before.id_key.cmp(after.id_key),
            };
            let (here, there) = (before.filter(|_| order.is_le()), after.filter(|_| order.is_ge()));
            let id_key = here.or(there).expect("one of them is there").id_key;
            let (here, there) = (here.map(|it| it.document), there.map(|it| it.document));
            if self.tell(Difference { ns, id_key, before: here, after: there }).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if order.is_le() {
                before = next(scan_before.as_mut()).map_err(QueryError::corrupt)?;
            }
            if order.is_ge() {
                after = next(scan_after.as_mut()).map_err(QueryError::corrupt)?;
            }
        }
    }

    /// Passes the documents to the visitor if they differ.
    fn tell(&mut self, difference: Difference<'_>) -> ControlFlow<()> {
        self.seen = self.seen.wrapping_add(1);
        if self.seen.is_multiple_of(ASK_EVERY) && self.stop.is_cancelled() {
            return ControlFlow::Break(());
        }
        if difference.before == difference.after {
            return ControlFlow::Continue(());
        }
        (self.visit)(difference)
    }
}

fn next<'s>(scan: Option<&'s mut DocumentScan<'_>>) -> Result<Option<Scanned<'s>>, HistoryError> {
    scan.map_or(Ok(None), DocumentScan::next_document)
}
