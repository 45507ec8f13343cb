//! Entries for tests, and what becomes of them.

#![allow(clippy::unwrap_used)]

use bson::spec::BinarySubtype;
use bson::{RawArrayBuf, RawBson, RawDocumentBuf, rawdoc};

use super::super::*;
use crate::OpKind;

pub(super) fn timestamp(ts: u64) -> bson::Timestamp {
    let ts = Timestamp::from_u64(ts);
    bson::Timestamp { time: ts.seconds(), increment: ts.increment() }
}

pub(super) fn binary(subtype: BinarySubtype, bytes: Vec<u8>) -> bson::Binary {
    bson::Binary { subtype, bytes }
}

pub(super) fn uuid(byte: u8) -> bson::Binary {
    binary(BinarySubtype::Uuid, vec![byte; 16])
}

/// A session as a client has it. Child sessions add to it.
pub(super) fn session(id: u8) -> RawDocumentBuf {
    rawdoc! { "id": uuid(id), "uid": binary(BinarySubtype::Generic, vec![7; 32]) }
}

/// An inner insert, recognised by its `_id`.
pub(super) fn insert(id: i32) -> RawDocumentBuf {
    rawdoc! { "op": "i", "ns": "shop.orders", "ui": uuid(1), "o": { "_id": id } }
}

/// An entry under construction.
#[derive(Clone)]
pub(super) struct Build {
    pub(super) ts: u64,
    pub(super) term: i64,
    pub(super) o: RawDocumentBuf,
    pub(super) session: Option<(RawDocumentBuf, i64)>,
    pub(super) previous: Option<OpTime>,
    pub(super) extra: RawDocumentBuf,
}

impl Build {
    pub(super) fn command(ts: u64, o: RawDocumentBuf) -> Self {
        Self { ts, term: 1, o, session: None, previous: None, extra: RawDocumentBuf::new() }
    }

    pub(super) fn apply_ops(
        ts: u64,
        ids: impl IntoIterator<Item = i32>,
        options: RawDocumentBuf,
    ) -> Self {
        let array: RawArrayBuf = ids.into_iter().map(|id| RawBson::Document(insert(id))).collect();
        let mut o = rawdoc! { "applyOps": array };
        append_all(&mut o, &options);
        Self::command(ts, o)
    }

    pub(super) fn commit(ts: u64, at: u64) -> Self {
        Self::command(
            ts,
            rawdoc! { "commitTransaction": 1, "commitTimestamp": RawBson::Timestamp(timestamp(at)) },
        )
    }

    pub(super) fn abort(ts: u64) -> Self {
        Self::command(ts, rawdoc! { "abortTransaction": 1 })
    }

    pub(super) fn on(mut self, lsid: RawDocumentBuf, number: i64) -> Self {
        self.session = Some((lsid, number));
        self
    }

    pub(super) fn after(mut self, ts: u64) -> Self {
        self.previous = Some(OpTime {
            ts: Timestamp::from_u64(ts),
            term: if ts == 0 { -1 } else { self.term },
        });
        self
    }

    pub(super) fn term(mut self, term: i64) -> Self {
        self.term = term;
        self
    }

    pub(super) fn extra(mut self, extra: RawDocumentBuf) -> Self {
        self.extra = extra;
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut entry = rawdoc! {
            "op": "c", "ns": "admin.$cmd", "o": self.o.clone(),
            "ts": RawBson::Timestamp(timestamp(self.ts)), "t": self.term, "v": 2_i64,
        };
        if let Some((lsid, number)) = &self.session {
            append_all(&mut entry, &rawdoc! { "lsid": lsid.clone(), "txnNumber": *number });
        }
        if let Some(previous) = self.previous {
            let ts = RawBson::Timestamp(timestamp(previous.ts.as_u64()));
            append_all(&mut entry, &rawdoc! { "prevOpTime": { "ts": ts, "t": previous.term } });
        }
        append_all(&mut entry, &self.extra);
        entry.into_bytes()
    }
}

pub(super) fn append_all(document: &mut RawDocumentBuf, more: &RawDocumentBuf) {
    for element in more {
        let (name, value) = element.unwrap();
        document.append(name, RawBson::from(value));
    }
}

/// An ordinary insert.
pub(super) fn crud(ts: u64, term: i64, id: i32, on: Option<(RawDocumentBuf, i64)>) -> Vec<u8> {
    let mut entry = rawdoc! {
        "op": "i", "ns": "shop.orders", "o": { "_id": id },
        "ts": RawBson::Timestamp(timestamp(ts)), "t": term, "v": 2_i64,
    };
    if let Some((lsid, number)) = on {
        let none = rawdoc! { "ts": RawBson::Timestamp(timestamp(0)), "t": -1_i64 };
        let more =
            rawdoc! { "lsid": lsid, "txnNumber": number, "stmtId": 0_i32, "prevOpTime": none };
        append_all(&mut entry, &more);
    }
    entry.into_bytes()
}

/// Returns the `_id`s that an entry inserts, in order.
pub(super) fn ids(bytes: &[u8]) -> Vec<i32> {
    let mut ids = Vec::new();
    let entry = Entry::parse(bytes).unwrap();
    entry
        .for_each_operation::<crate::raw::Malformed>(&mut |operation| {
            if operation.kind == OpKind::Insert {
                ids.push(operation.document_id().unwrap().as_integer().unwrap() as i32);
            }
            Ok(())
        })
        .unwrap();
    ids
}

pub(super) type Keeper = Assembler<Vec<u8>>;

pub(super) fn keeper() -> Keeper {
    Assembler::new(Vec::len)
}

pub(super) fn push(keeper: &mut Keeper, bytes: &[u8]) -> Result<Step<Vec<u8>>, AssemblyError> {
    keeper.push(&Entry::parse(bytes).unwrap(), || bytes.to_vec())
}

/// Returns when the writes that this entry completes become visible, and which writes they are.
pub(super) fn writes(step: &Step<Vec<u8>>, bytes: &[u8]) -> Option<(u64, Vec<i32>)> {
    match step {
        Step::Single => Some((Entry::parse(bytes).unwrap().ts().as_u64(), ids(bytes))),
        Step::Complete(transaction) => {
            let mut all: Vec<i32> = transaction.earlier.iter().flat_map(|kept| ids(kept)).collect();
            if transaction.last_carries_operations {
                all.extend(ids(bytes));
            }
            assert_eq!(transaction.operations, all.len() as u64);
            Some((transaction.visible.as_u64(), all))
        }
        Step::Pending | Step::Aborted | Step::Incomplete(_) => None,
    }
}
