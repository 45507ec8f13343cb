//! Searching entries in the log: what is read is narrowed by seals and key filters first.

use std::ops::ControlFlow;

use hindsight_index::{Index, SegmentSummary};
use hindsight_log::SegmentLog;
use hindsight_oplog::raw::{Doc, Malformed};
use hindsight_oplog::{Entry, Namespace, OpKind, Operation, Timestamp, id_key};
use hindsight_segment::{FrameInfo, Sequence};

use crate::error::QueryError;

/// `db.collection`, or every collection of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespacePattern {
    Collection(String),
    Database(String),
}

impl NamespacePattern {
    /// `shop.orders`, `shop.*` or `shop`.
    pub fn parse(text: &str) -> Self {
        match text.split_once('.') {
            None | Some((_, "*")) => Self::Database(text.trim_end_matches(".*").to_owned()),
            Some(_) => Self::Collection(text.to_owned()),
        }
    }

    /// What every namespace that matches begins with, those of a whole database's commands included.
    pub fn prefix(&self) -> &str {
        match self {
            Self::Database(name) => name,
            Self::Collection(name) => Namespace::parse(name).database,
        }
    }

    pub fn matches(&self, namespace: &str) -> bool {
        self.matches_parts(&Namespace::parse(namespace))
    }

    /// What concerns a whole database concerns each of its collections.
    fn matches_parts(&self, namespace: &Namespace<'_>) -> bool {
        match self {
            Self::Database(name) => name == namespace.database,
            Self::Collection(name) => {
                let wanted = Namespace::parse(name);
                wanted.database == namespace.database
                    && (namespace.collection.is_empty()
                        || wanted.collection == namespace.collection)
            }
        }
    }
}

/// Which entries are wanted. An entry that holds several operations matches when one of them does.
#[derive(Debug, Clone)]
pub struct EntryFilter {
    pub namespace: Option<NamespacePattern>,
    /// `i`, `u`, `d`, `n`, or command names, compared without regard to case; empty for all.
    pub ops: Vec<String>,
    /// The encoded `_id`, and its hash for the key filters.
    pub id: Option<(Vec<u8>, u64)>,
    pub from: Timestamp,
    pub to: Timestamp,
}

impl EntryFilter {
    /// Everything from one time to another, both included.
    pub fn between(from: Timestamp, to: Timestamp) -> Self {
        Self { namespace: None, ops: Vec::new(), id: None, from, to }
    }

    /// `id` is a document `{_id: …}`.
    pub fn set_id(&mut self, id: Doc<'_>) -> Result<(), Malformed> {
        let id = id.get(b"_id")?.ok_or(Malformed("an id without _id"))?;
        let mut key = Vec::new();
        id_key::encode(id, &mut key);
        self.id = Some((key, id_key::hash64(id)));
        Ok(())
    }

    fn may_hold(&self, segment: &SegmentSummary) -> bool {
        let Some(pattern) = &self.namespace else { return true };
        // A rename is noted under the name it had; the other name may be the one asked for.
        let renames = |command: &str| command == "renameCollection";
        segment.counts.iter().any(|counts| pattern.matches(&counts.ns))
            || segment
                .commands
                .iter()
                .any(|note| pattern.matches(&note.ns) || renames(&note.command))
    }

    fn may_hold_in_frame(&self, frame: &FrameInfo) -> bool {
        let in_time = frame.first.ts <= self.to && frame.last.ts >= self.from;
        in_time && self.id.as_ref().is_none_or(|(_, hash)| frame.filter.may_contain(*hash))
    }

    /// Does the entry, or an operation it holds, match?
    pub fn matches(&self, entry: &Entry<'_>) -> Result<bool, Malformed> {
        if entry.ts() < self.from || entry.ts() > self.to {
            return Ok(false);
        }
        if self.matches_operation(&entry.operation()) {
            return Ok(true);
        }
        let mut found = false;
        entry.for_each_operation::<Malformed>(&mut |operation| {
            found |= self.matches_operation(&operation);
            Ok(())
        })?;
        Ok(found)
    }

    fn matches_operation(&self, operation: &Operation<'_>) -> bool {
        self.matches_namespace(operation)
            && self.matches_op(operation)
            && self.matches_id(operation)
    }

    fn matches_namespace(&self, operation: &Operation<'_>) -> bool {
        let Some(pattern) = &self.namespace else { return true };
        operation.namespaces().iter().any(|namespace| pattern.matches_parts(&namespace))
    }

    fn matches_op(&self, operation: &Operation<'_>) -> bool {
        if self.ops.is_empty() {
            return true;
        }
        let name: &[u8] = match operation.kind {
            OpKind::Insert => b"i",
            OpKind::Update => b"u",
            OpKind::Delete => b"d",
            OpKind::Noop => b"n",
            OpKind::Command => match operation.o.first() {
                Ok(Some(first)) => first.name,
                _ => b"c",
            },
            OpKind::Unknown => b"?",
        };
        let is_command = operation.kind == OpKind::Command;
        self.ops.iter().any(|op| {
            op.as_bytes().eq_ignore_ascii_case(name) || (is_command && op.eq_ignore_ascii_case("c"))
        })
    }

    fn matches_id(&self, operation: &Operation<'_>) -> bool {
        let Some((wanted, _)) = &self.id else { return true };
        operation.document_id().is_some_and(|id| {
            let mut key = Vec::with_capacity(wanted.len());
            id_key::encode(id, &mut key);
            key == *wanted
        })
    }
}

/// The newest `limit` matching entries, oldest first.
pub async fn find_newest(
    log: &dyn SegmentLog,
    index: &Index,
    filter: &EntryFilter,
    limit: usize,
) -> Result<Vec<Vec<u8>>, QueryError> {
    let mut found = Vec::new();
    for sequence in candidates(index, filter)?.into_iter().rev() {
        if found.len() >= limit {
            break;
        }
        let mut of_segment = Vec::new();
        let _ = search_segment(log, sequence, filter, &mut |entry| {
            of_segment.push(entry.to_vec());
            ControlFlow::Continue(())
        })
        .await?;
        found.extend(of_segment.into_iter().rev());
    }
    found.truncate(limit);
    found.reverse();
    Ok(found)
}

/// Calls `visit` with every matching entry, oldest first, until it breaks.
pub async fn find_all(
    log: &dyn SegmentLog,
    index: &Index,
    filter: &EntryFilter,
    visit: &mut (dyn FnMut(&[u8]) -> ControlFlow<()> + Send),
) -> Result<(), QueryError> {
    for sequence in candidates(index, filter)? {
        if search_segment(log, sequence, filter, visit).await?.is_break() {
            break;
        }
    }
    Ok(())
}

/// The segments that may hold a match, oldest first.
fn candidates(index: &Index, filter: &EntryFilter) -> Result<Vec<Sequence>, QueryError> {
    let view = index.view();
    let mut sequences = Vec::new();
    for segment in view.segments_covering(filter.from, filter.to).map_err(QueryError::corrupt)? {
        let segment = segment.map_err(QueryError::corrupt)?;
        if filter.may_hold(&segment) {
            sequences.push(Sequence(segment.sequence));
        }
    }
    Ok(sequences)
}

async fn search_segment(
    log: &dyn SegmentLog,
    sequence: Sequence,
    filter: &EntryFilter,
    visit: &mut (dyn FnMut(&[u8]) -> ControlFlow<()> + Send),
) -> Result<ControlFlow<()>, QueryError> {
    let info = log.infos(sequence, 1).await?.pop();
    let info = info.ok_or_else(|| QueryError::Corrupt(format!("segment {sequence} is gone")))?;
    for (ordinal, frame) in (0_u32..).zip(&info.seal.frames) {
        if !filter.may_hold_in_frame(frame) {
            continue;
        }
        let frame = log.read_frame(&info, ordinal).await?;
        let decoded = frame.decode().map_err(QueryError::corrupt)?;
        for bytes in decoded.entries() {
            let entry = Entry::parse(bytes).map_err(QueryError::corrupt)?;
            if filter.matches(&entry).map_err(QueryError::corrupt)? && visit(bytes).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    fn filter() -> EntryFilter {
        EntryFilter {
            namespace: None,
            ops: Vec::new(),
            id: None,
            from: Timestamp::ZERO,
            to: Timestamp::MAX,
        }
    }

    fn matches(filter: &EntryFilter, entry: &bson::RawDocumentBuf) -> bool {
        let entry = Entry::parse(entry.as_bytes()).expect("an entry");
        filter.matches(&entry).expect("well formed")
    }

    #[test]
    fn an_operation_inside_a_transaction_is_found() {
        let ts = bson::Timestamp { time: 5, increment: 1 };
        let entry = rawdoc! {"ts": ts, "t": 1_i64, "op": "c", "ns": "admin.$cmd", "o": {
            "applyOps": [{"op": "d", "ns": "shop.orders", "o": {"_id": 7_i32}}]
        }};
        let mut wanted = filter();
        wanted.namespace = Some(NamespacePattern::parse("shop.orders"));
        wanted.ops = vec!["d".into()];
        let id = rawdoc! {"_id": 7_i64};
        wanted.set_id(Doc::new(id.as_bytes()).expect("a document")).expect("an id");
        assert!(matches(&wanted, &entry), "7 and NumberLong(7) are one id");
        wanted.ops = vec!["i".into()];
        assert!(!matches(&wanted, &entry));
    }

    #[test]
    fn a_drop_is_found_under_its_collection() {
        let ts = bson::Timestamp { time: 5, increment: 1 };
        let entry =
            rawdoc! {"ts": ts, "t": 1_i64, "op": "c", "ns": "shop.$cmd", "o": {"drop": "orders"}};
        for (namespace, expected) in
            [("shop.orders", true), ("shop.*", true), ("shop.other", false)]
        {
            let mut wanted = filter();
            wanted.namespace = Some(NamespacePattern::parse(namespace));
            wanted.ops = vec!["drop".into()];
            assert_eq!(matches(&wanted, &entry), expected, "{namespace}");
        }
    }
}
