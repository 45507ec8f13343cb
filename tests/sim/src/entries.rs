//! Makes oplog entries: inserts, no-ops, and transactions of every form.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, doc};
use hindsight_oplog::{OpTime, Timestamp};
use rand::Rng;
use rand::rngs::SmallRng;

/// Limit on the sessions that have a transaction open at once.
const SESSIONS: u8 = 4;

/// An entry of the oplog of some member.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) optime: OpTime,
    pub(crate) bytes: Vec<u8>,
    /// The transactions that are open after this entry.
    pub(crate) open: Open,
}

/// The open transactions by session, shared by all entries that change none of them.
pub(crate) type Open = Arc<BTreeMap<u8, Transaction>>;

/// A transaction that is neither committed nor aborted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transaction {
    number: i64,
    operations: i64,
    pub(crate) first: OpTime,
    last: OpTime,
    pub(crate) prepared: Option<Timestamp>,
}

/// Makes an entry that follows `open`.
pub(crate) fn make(random: &mut SmallRng, open: &Open, optime: OpTime) -> Entry {
    if random.random_bool(0.6) {
        let document = doc! { "_id": random.random_range(0..50), "n": random.random::<i64>() };
        return entry(optime, doc! { "op": "i", "ns": "shop.orders", "o": document }, open);
    }
    let session = random.random_range(0..SESSIONS);
    let mut after = BTreeMap::clone(open);
    let body = match open.get(&session) {
        None => begin(random, &mut after, session, optime),
        Some(transaction) => go_on(random, &mut after, session, *transaction, optime),
    };
    entry(optime, body, &Arc::new(after))
}

/// Makes the first entry of a new term. It ends every transaction that is not prepared.
pub(crate) fn new_term(open: &Open, optime: OpTime) -> Entry {
    let mut after = BTreeMap::clone(open);
    after.retain(|_, transaction| transaction.prepared.is_some());
    let body = doc! { "op": "n", "ns": "", "o": { "msg": "new primary" } };
    entry(optime, body, &Arc::new(after))
}

/// Makes an entry with other bytes at the same place, as in a set that was cloned from a backup and
/// lived on by itself.
pub(crate) fn cloned(original: &Entry) -> Entry {
    let body = doc! { "op": "i", "ns": "shop.orders", "o": { "_id": "of another past" } };
    entry(original.optime, body, &original.open)
}

fn entry(optime: OpTime, mut body: Document, open: &Open) -> Entry {
    body.extend(doc! { "ts": time(optime.ts), "t": optime.term, "v": 2_i64 });
    let bytes = body.to_vec().expect("an entry is BSON");
    Entry { optime, bytes, open: Arc::clone(open) }
}

fn begin(
    random: &mut SmallRng,
    open: &mut BTreeMap<u8, Transaction>,
    session: u8,
    optime: OpTime,
) -> Document {
    let number = i64::from(optime.ts.seconds()) << 16 | i64::from(optime.ts.increment());
    let mut transaction =
        Transaction { number, operations: 1, first: optime, last: optime, prepared: None };
    let more = match random.random_range(0..3) {
        0 => doc! { "partialTxn": true },
        1 => {
            transaction.prepared = Some(optime.ts);
            doc! { "prepare": true }
        }
        // The whole transaction is one entry.
        _ => return command(session, number, OpTime::NONE, operations(doc! {})),
    };
    open.insert(session, transaction);
    command(session, number, OpTime::NONE, operations(more))
}

fn go_on(
    random: &mut SmallRng,
    open: &mut BTreeMap<u8, Transaction>,
    session: u8,
    transaction: Transaction,
    optime: OpTime,
) -> Document {
    let count = transaction.operations + 1;
    let mut after = Transaction { operations: count, last: optime, ..transaction };
    open.remove(&session);
    let o = match (transaction.prepared, random.random_range(0..4)) {
        (Some(prepared), 0..=2) => {
            doc! { "commitTransaction": 1, "commitTimestamp": time(prepared) }
        }
        (_, 3) => doc! { "abortTransaction": 1 },
        (None, 0) => {
            open.insert(session, after);
            operations(doc! { "partialTxn": true })
        }
        (None, 1) => {
            after.prepared = Some(optime.ts);
            open.insert(session, after);
            operations(doc! { "prepare": true, "count": count })
        }
        _ => operations(doc! { "count": count }),
    };
    command(session, transaction.number, transaction.last, o)
}

fn operations(more: Document) -> Document {
    let mut o = doc! { "applyOps": [{ "op": "i", "ns": "shop.orders", "o": { "_id": 1 } }] };
    o.extend(more);
    o
}

fn command(session: u8, number: i64, previous: OpTime, o: Document) -> Document {
    let id = Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: vec![session; 16] });
    let previous = match previous {
        OpTime::NONE => doc! { "ts": time(Timestamp::new(0, 0)), "t": -1_i64 },
        previous => doc! { "ts": time(previous.ts), "t": previous.term },
    };
    doc! {
        "op": "c", "ns": "admin.$cmd", "o": o, "lsid": { "id": id }, "txnNumber": number,
        "prevOpTime": previous,
    }
}

pub(crate) fn time(ts: Timestamp) -> Bson {
    Bson::Timestamp(bson::Timestamp { time: ts.seconds(), increment: ts.increment() })
}
