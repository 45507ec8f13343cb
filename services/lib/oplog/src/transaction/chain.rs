//! The entries of one transaction that is not decided yet.

use super::session::TransactionId;
use super::shape::{Ending, Part};
use super::{AssemblyError, Incomplete, Step, Transaction};
use crate::{Entry, OpTime, Timestamp};

#[derive(Debug)]
pub(super) struct Chain<P> {
    /// The first known entry.
    pub(super) first: OpTime,
    /// The entry before the first known entry, if that is not the first of the transaction.
    pub(super) missing: Option<OpTime>,
    pub(super) last: OpTime,
    /// `None` for a large batched write, which has no session.
    pub(super) id: Option<TransactionId>,
    pub(super) prepared: bool,
    pub(super) operations: u64,
    pub(super) payloads: Vec<P>,
    pub(super) weight: u64,
}

impl<P> Chain<P> {
    pub(super) fn begin(first: OpTime, missing: Option<OpTime>, id: Option<TransactionId>) -> Self {
        Self {
            first,
            missing,
            last: first,
            id,
            prepared: false,
            operations: 0,
            payloads: Vec::new(),
            weight: 0,
        }
    }

    pub(super) fn check_goes_on(
        &self,
        entry: &Entry<'_>,
        part: &Part,
    ) -> Result<(), AssemblyError> {
        if self.prepared {
            return Err(self.contradicted(entry.optime, "it adds to what is already prepared"));
        }
        if part.ending == Ending::More || self.missing.is_some() {
            return Ok(());
        }
        check_count(entry.optime, self.first, self.operations + part.operations, part.count)
    }

    pub(super) fn contradicted(&self, at: OpTime, reason: &'static str) -> AssemblyError {
        AssemblyError::Contradiction { at, first: self.first, reason }
    }

    /// Whether another primary, which cannot continue the chain, has taken over since.
    pub(super) fn is_of_term_before(&self, term: i64) -> bool {
        !self.prepared && self.last.term != OpTime::NONE.term && self.last.term < term
    }

    pub(super) fn complete(self, visible: Timestamp, last_carries_operations: bool) -> Step<P> {
        if self.missing.is_some() {
            let Self { first: first_known, missing, .. } = self;
            return Step::Incomplete(Incomplete { visible, first_known, missing });
        }
        Step::Complete(Transaction {
            first: self.first,
            visible,
            earlier: self.payloads,
            last_carries_operations,
            operations: self.operations,
        })
    }
}

pub(super) fn check_count(
    at: OpTime,
    first: OpTime,
    found: u64,
    stated: Option<i64>,
) -> Result<(), AssemblyError> {
    match stated {
        Some(stated) if u64::try_from(stated) != Ok(found) => {
            Err(AssemblyError::Count { at, first, found, stated })
        }
        _ => Ok(()),
    }
}
