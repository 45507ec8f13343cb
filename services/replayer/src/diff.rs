//! Finds what is different between two times.
//!
//! The log says which documents were written between the two times, and each of these is looked up
//! at both times. So the cost depends on what was written, not on what is held. The log only
//! proposes documents. The history decides whether a document differs, and a proposed document that
//! does not differ is not reported. Where the log cannot propose documents, both times are read
//! from end to end and merged. This happens for a name that is not the same collection at both
//! times, for a capped collection (trimming need not be logged), and for a collection with more
//! written documents than fit in memory.

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
use hindsight_runtime::CancellationToken;

use crate::engine::Engine;
use crate::error::QueryError;
use crate::find::NamespacePattern;
use compare::Comparison;
pub use fields::changed_fields;
use plan::Span;
use touched::Touched;

/// The limit in bytes on the keys, held in memory, of documents written between the two times.
const LIMIT_BYTES: usize = 64 << 20;

/// Which two times to compare, and where.
#[derive(Debug, Clone)]
pub struct DiffRequest {
    /// The time to begin at. Either time may be the earlier one: a difference is what changes on
    /// the way from `from` to `to`.
    pub from: Timestamp,
    /// The time to end at.
    pub to: Timestamp,
    /// The collections to compare. None compares all of them.
    pub namespace: Option<NamespacePattern>,
}

/// A document that is not the same, byte for byte, at the two times. It is lent until the visitor
/// returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference<'a> {
    /// The namespace of the document.
    pub ns: &'a str,
    /// The key of the document's id, as `hindsight_oplog::id_key::encode` makes it.
    pub id_key: &'a [u8],
    /// The document at `from`. None when it did not exist.
    pub before: Option<&'a [u8]>,
    /// The document at `to`. None when it did not exist.
    pub after: Option<&'a [u8]>,
}

impl Difference<'_> {
    /// Returns `{_id: …}`, as it stands in the document.
    ///
    /// # Errors
    /// Returns an error when there is neither a document before nor after, or the document has no
    /// `_id`.
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
    /// in the order of their ids, until `visit` breaks or `stop` is cancelled. Returns `Break` when
    /// it ended early.
    ///
    /// The history must have both times ([`Engine::wait_applied`]), and they must be restorable:
    /// the caller that resolved the times has checked this. Reads the store, so the thread that
    /// polls this future must be allowed to block.
    ///
    /// # Errors
    /// Returns an error when the history does not have a time, or when the log, the index or the
    /// history cannot be read.
    pub async fn diff(
        &self,
        request: &DiffRequest,
        stop: &CancellationToken,
        visit: &mut Visitor<'_>,
    ) -> Result<ControlFlow<()>, QueryError> {
        self.diff_within(request, LIMIT_BYTES, stop, visit).await
    }

    async fn diff_within(
        &self,
        request: &DiffRequest,
        limit_bytes: usize,
        stop: &CancellationToken,
        visit: &mut Visitor<'_>,
    ) -> Result<ControlFlow<()>, QueryError> {
        let (before, after) = (self.view(request.from)?, self.view(request.to)?);
        let pairs = pairs(&before, &after, request.namespace.as_ref());
        let mut touched = Touched::of(&pairs, limit_bytes, self.memory.clone());
        let span = Span::between(request.from, request.to);
        if self.gather(span, &mut touched, stop).await?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let mut comparison = Comparison { before, after, stop, visit, seen: 0 };
        for (at, pair) in pairs.iter().enumerate() {
            if comparison.compare(pair, touched.keys(at))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Returns the names to compare, in order. Collections that are left out of the history cannot be
/// compared.
fn pairs(
    before: &View<'_>,
    after: &View<'_>,
    namespace: Option<&NamespacePattern>,
) -> Vec<NamePair> {
    let mut pairs = before.pair_with(after);
    pairs.retain(|pair| {
        let mut states = [&pair.before, &pair.after].into_iter().flatten();
        !states.any(|state| state.excluded)
            && namespace.is_none_or(|pattern| pattern.concerns(&pair.ns))
    });
    pairs
}
