//! What is different between two times.
//!
//! The log tells which documents were written between them; each of those is looked up at both
//! times. So the cost is that of what was written, not that of what is held. The log only proposes
//! documents: a difference is what the history says, and a document proposed for nothing is not
//! one. Where the log cannot propose, both times are read from end to end and merged: a name that
//! is not the same collection at both times, a capped collection (what is trimmed need not be
//! logged), and one with more documents written than fit in memory.

mod compare;
mod fields;
mod log;
mod plan;
mod touched;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use hindsight_history::{NamePair, View};
use hindsight_oplog::Timestamp;
use hindsight_oplog::raw::{Doc, DocWriter, Malformed};

use crate::engine::Engine;
use crate::error::QueryError;
use crate::find::NamespacePattern;
use compare::Comparison;
pub use fields::changed_fields;
use plan::Span;
use touched::Touched;

/// Keys of documents written between the two times, held in memory.
const LIMIT_BYTES: usize = 64 << 20;

/// Which two times, and where to look.
#[derive(Debug, Clone)]
pub struct DiffRequest {
    /// Either may be the earlier one: told is what changes on the way from `from` to `to`.
    pub from: Timestamp,
    pub to: Timestamp,
    /// None: everywhere.
    pub namespace: Option<NamespacePattern>,
}

/// A document that is not the same, byte for byte, at the two times. Lent until the visitor
/// returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference<'a> {
    pub ns: &'a str,
    /// The key of its id, `hindsight_oplog::id_key::encode`.
    pub id_key: &'a [u8],
    /// The document at `from`; none where there was none.
    pub before: Option<&'a [u8]>,
    /// The document at `to`.
    pub after: Option<&'a [u8]>,
}

impl Difference<'_> {
    /// `{_id: …}`, as it stands in the document.
    pub fn id_document(&self) -> Result<Vec<u8>, Malformed> {
        let document = self.after.or(self.before).ok_or(Malformed("neither before nor after"))?;
        let id = Doc::new(document)?.get(b"_id")?.ok_or(Malformed("a document without _id"))?;
        let mut out = DocWriter::with_capacity(16 + id.value.len());
        out.value(id.kind, b"_id", id.value);
        Ok(out.finish())
    }
}

/// Takes differences until it breaks.
pub type Visitor<'a> = dyn FnMut(Difference<'_>) -> ControlFlow<()> + Send + 'a;

impl Engine {
    /// Calls `visit` with every document that differs between the two times, by namespace and then
    /// in the order of their ids, until it breaks. `is_wanted` is asked again and again; once it
    /// says no, this ends too. Tells whether it was ended.
    ///
    /// The history must have both times ([`Engine::wait_applied`]), and they must be restorable:
    /// who resolved them has checked it. Reads the store, so the thread that polls it must be one
    /// that may block.
    pub async fn diff(
        &self,
        request: &DiffRequest,
        is_wanted: &(dyn Fn() -> bool + Sync),
        visit: &mut Visitor<'_>,
    ) -> Result<ControlFlow<()>, QueryError> {
        self.diff_within(request, LIMIT_BYTES, is_wanted, visit).await
    }

    async fn diff_within(
        &self,
        request: &DiffRequest,
        limit_bytes: usize,
        is_wanted: &(dyn Fn() -> bool + Sync),
        visit: &mut Visitor<'_>,
    ) -> Result<ControlFlow<()>, QueryError> {
        let (before, after) = (self.view(request.from)?, self.view(request.to)?);
        let pairs = pairs(&before, &after, request.namespace.as_ref());
        let mut touched = Touched::of(&pairs, limit_bytes, self.memory.clone());
        let span = Span::between(request.from, request.to);
        if self.gather(span, &mut touched, is_wanted).await?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let mut comparison = Comparison { before, after, is_wanted, visit, seen: 0 };
        for (at, pair) in pairs.iter().enumerate() {
            if comparison.compare(pair, touched.keys(at))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The names to compare, in order.
fn pairs(
    before: &View<'_>,
    after: &View<'_>,
    namespace: Option<&NamespacePattern>,
) -> Vec<NamePair> {
    let mut pairs = before.pair_with(after);
    pairs.retain(|pair| namespace.is_none_or(|pattern| pattern.concerns(&pair.ns)));
    pairs
}
