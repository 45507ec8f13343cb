//! Transactions, chains and writes of every shape that the oplog knows, for tests.

#![allow(clippy::unwrap_used)]

use bson::spec::BinarySubtype;
use bson::{Bson, Document, doc};

/// The collection that everything is written to.
pub(super) const COLLECTION: [u8; 16] = [7; 16];
pub(super) const NAMESPACE: &str = "shop.things";

/// The `prevOpTime` of an entry.
#[derive(Clone, Copy, Debug)]
enum Previous {
    Absent,
    /// The value that the server writes for "none".
    Null,
    /// The entry at that place in the same lane.
    Is(usize),
}

/// One entry, still without a place in the log.
#[derive(Clone, Debug)]
pub(super) struct Step {
    entry: Document,
    previous: Previous,
    /// Whether another primary writes the entry.
    new_term: bool,
    /// The place in the lane of the entry whose prepared operations this entry commits. The
    /// operations become visible at the time of that entry or just after it.
    commits: Option<usize>,
}

/// Makes the entries of a lane. The number distinguishes the lane from others of the same shape.
pub(super) type Shape = (&'static str, fn(u8) -> Vec<Step>);

pub(super) const SHAPES: [Shape; 20] = [
    ("writes", |lane| vec![alone(insert(lane, 0)), alone(insert(lane, 1))]),
    ("retryable writes", |lane| {
        let write = |place| alone(stated(insert(lane, place), lane));
        vec![write(0).null(), write(1).after(0), write(2).after(1)]
    }),
    ("vectored inserts", |lane| {
        let write = |place| {
            let mut step = part(lane, place, 2, doc! {});
            step.entry.insert("multiOpType", 1);
            step
        };
        vec![write(0).null(), write(1).after(0)]
    }),
    ("batched write", |lane| vec![without_session(part(lane, 0, 3, doc! {}))]),
    ("large batched write", |lane| {
        let chain = [
            part(lane, 0, 2, partial()).null(),
            part(lane, 1, 1, partial()).after(0),
            part(lane, 2, 2, doc! {"count": 5_i64}).after(1),
        ];
        chain.map(without_session).to_vec()
    }),
    ("small", |lane| vec![part(lane, 0, 2, doc! {}).null()]),
    ("empty", |lane| vec![part(lane, 0, 0, doc! {}).null()]),
    ("large", |lane| {
        vec![
            part(lane, 0, 2, partial()).null(),
            part(lane, 1, 0, partial()).after(0),
            part(lane, 2, 1, doc! {"count": 3_i64}).after(1),
        ]
    }),
    ("with commands", |lane| {
        let mut first = part(lane, 0, 1, partial()).null();
        let create = doc! {"create": format!("made{lane}")};
        let create = doc! {"op": "c", "ns": "shop.$cmd", "ui": uuid(100 + lane), "o": create};
        let o = first.entry.get_document_mut("o").unwrap();
        o.get_array_mut("applyOps").unwrap().push(Bson::Document(create));
        vec![first, part(lane, 1, 1, doc! {"count": 3_i64}).after(0)]
    }),
    ("of a child session", |lane| {
        let chain =
            [part(lane, 0, 1, partial()).null(), part(lane, 1, 1, doc! {"count": 2_i64}).after(0)];
        let child = |mut step: Step| {
            let lsid = step.entry.get_document_mut("lsid").unwrap();
            lsid.extend(doc! {"txnNumber": 4_i64, "txnUUID": uuid(lane)});
            step
        };
        chain.map(child).to_vec()
    }),
    ("prepared", |lane| vec![part(lane, 0, 2, prepare()).null(), commit(lane).after(0).of(0)]),
    ("prepared, large", |lane| {
        vec![
            part(lane, 0, 1, partial()).null(),
            part(lane, 1, 1, partial()).after(0),
            part(lane, 2, 1, doc! {"prepare": true, "count": 3_i64}).after(1),
            commit(lane).after(2).of(2),
        ]
    }),
    ("prepared, decided by another primary", |lane| {
        vec![part(lane, 0, 1, prepare()).null(), commit(lane).after(0).of(0).new_term()]
    }),
    ("prepared, only read", |lane| {
        vec![part(lane, 0, 0, prepare()).null(), commit(lane).after(0).of(0)]
    }),
    ("aborted", |lane| vec![part(lane, 0, 2, prepare()).null(), abort(lane).after(0)]),
    ("aborted, large", |lane| {
        vec![
            part(lane, 0, 1, partial()).null(),
            part(lane, 1, 1, doc! {"prepare": true, "count": 2_i64}).after(0),
            abort(lane).after(1),
        ]
    }),
    ("aborted by another primary", |lane| {
        let chain = [part(lane, 0, 1, partial()).null(), part(lane, 1, 1, partial()).after(0)];
        chain.into_iter().chain([abort(lane).null().new_term()]).collect()
    }),
    ("left behind, the session goes on", |lane| {
        let mut next = part(lane, 2, 1, doc! {}).null();
        next.entry.insert("txnNumber", 2_i64);
        let chain = [part(lane, 0, 1, partial()).null(), part(lane, 1, 1, partial()).after(0)];
        chain.into_iter().chain([next]).collect()
    }),
    ("left behind, retried", |lane| {
        let mut again = part(lane, 1, 1, doc! {}).null();
        again.entry.insert("txnRetryCounter", 1);
        vec![part(lane, 0, 1, partial()).null(), again]
    }),
    ("left behind by a primary", |lane| {
        let chain = [part(lane, 0, 1, partial()).null(), part(lane, 1, 1, partial()).after(0)];
        let chain = chain.map(without_session);
        chain.into_iter().chain([alone(noop()).new_term()]).collect()
    }),
];

/// Returns the shape of that name.
pub(super) fn shape(name: &str) -> fn(u8) -> Vec<Step> {
    SHAPES.iter().find(|(known, _)| *known == name).unwrap().1
}

impl Step {
    fn null(self) -> Self {
        Self { previous: Previous::Null, ..self }
    }

    fn after(self, place: usize) -> Self {
        Self { previous: Previous::Is(place), ..self }
    }

    fn of(self, prepare: usize) -> Self {
        Self { commits: Some(prepare), ..self }
    }

    fn new_term(self) -> Self {
        Self { new_term: true, ..self }
    }
}

pub(super) fn noop() -> Document {
    doc! {"op": "n", "ns": "", "o": {}}
}

fn uuid(number: u8) -> Bson {
    Bson::Binary(bson::Binary { subtype: BinarySubtype::Uuid, bytes: vec![number; 16] })
}

fn insert(lane: u8, number: usize) -> Document {
    let ui = bson::Binary { subtype: BinarySubtype::Uuid, bytes: COLLECTION.to_vec() };
    let o = doc! {"_id": format!("{lane}/{number}")};
    doc! {"op": "i", "ns": NAMESPACE, "ui": Bson::Binary(ui), "o": o}
}

fn alone(entry: Document) -> Step {
    Step { entry, previous: Previous::Absent, new_term: false, commits: None }
}

/// Puts an entry on the lane's own session.
fn stated(mut entry: Document, lane: u8) -> Document {
    entry.extend(doc! {"lsid": {"id": uuid(lane)}, "txnNumber": 1_i64});
    entry
}

fn command(lane: u8, o: Document) -> Step {
    alone(stated(doc! {"op": "c", "ns": "admin.$cmd", "o": o}, lane))
}

/// An `applyOps` that inserts its own documents.
fn part(lane: u8, place: usize, operations: usize, more: Document) -> Step {
    let operation = |number| Bson::Document(insert(lane, 10 * place + number));
    let mut o = doc! {"applyOps": (0..operations).map(operation).collect::<Vec<_>>()};
    o.extend(more);
    command(lane, o)
}

fn partial() -> Document {
    doc! {"partialTxn": true}
}

fn prepare() -> Document {
    doc! {"prepare": true}
}

fn commit(lane: u8) -> Step {
    command(lane, doc! {"commitTransaction": 1})
}

fn abort(lane: u8) -> Step {
    command(lane, doc! {"abortTransaction": 1})
}

fn without_session(mut step: Step) -> Step {
    step.entry.remove("lsid");
    step.entry.remove("txnNumber");
    step
}

/// Weaves the entries of several lanes into one log, with their ticks. `order` says whose turn it
/// is. The first entry comes at tick 5, and between two entries there is a tick without an entry.
pub(super) fn weave(lanes: &[Vec<Step>], order: &[usize]) -> Vec<(u32, Document)> {
    let mut placed: Vec<Vec<(u32, i64)>> = vec![Vec::new(); lanes.len()];
    let (mut tick, mut term) = (3, 1);
    let mut entries = Vec::new();
    for &lane in order {
        let step = &lanes[lane][placed[lane].len()];
        tick += 2;
        term += i64::from(step.new_term);
        let mut entry = step.entry.clone();
        let previous = match step.previous {
            Previous::Absent => None,
            Previous::Null => Some(doc! {"ts": time(0, 0), "t": -1_i64}),
            Previous::Is(place) => {
                let (tick, term) = placed[lane][place];
                Some(doc! {"ts": time(1000, tick), "t": term})
            }
        };
        entry.extend(previous.map(|previous| ("prevOpTime".to_owned(), Bson::Document(previous))));
        if let Some(prepare) = step.commits {
            let (prepared, _) = placed[lane][prepare];
            let o = entry.get_document_mut("o").unwrap();
            // The commit timestamp may be the prepare's own time or a later one.
            o.insert("commitTimestamp", time(1000, prepared + u32::from(lane % 2 == 1)));
        }
        entry.insert("t", term);
        placed[lane].push((tick, term));
        entries.push((tick, entry));
    }
    entries
}

fn time(seconds: u32, tick: u32) -> Bson {
    Bson::Timestamp(bson::Timestamp { time: seconds, increment: tick })
}

/// Returns every order in which lanes of these lengths can take turns.
pub(super) fn interleavings(left: &[usize]) -> Vec<Vec<usize>> {
    if left.iter().all(|&steps| steps == 0) {
        return vec![Vec::new()];
    }
    let mut orders = Vec::new();
    for lane in (0..left.len()).filter(|&lane| left[lane] > 0) {
        let mut rest = left.to_vec();
        rest[lane] -= 1;
        for order in interleavings(&rest) {
            orders.push([vec![lane], order].concat());
        }
    }
    orders
}
