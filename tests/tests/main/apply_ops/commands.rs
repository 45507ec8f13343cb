//! `applyOps` commands: random ones, and one of each form.

use bson::{Bson, Document, doc};
use rand::Rng;
use rand::rngs::StdRng;

use crate::delta_fuzz::{documents, operators};

const NS: &str = "a.c";

/// Returns one to four operations on a document, or on a document that does not exist.
pub(super) fn random(random: &mut StdRng, document: &Document) -> Document {
    let ops: Vec<Bson> =
        (0..random.random_range(1..5)).map(|_| operation(random, document).into()).collect();
    let mut command = doc! {"applyOps": ops};
    if random.random_ratio(1, 6) {
        command.insert("alwaysUpsert", false);
    }
    if random.random_ratio(1, 10) {
        let nested = doc! {"op": "c", "ns": "admin.$cmd", "o": command};
        command = doc! {"applyOps": [nested]};
    }
    command
}

fn operation(random: &mut StdRng, document: &Document) -> Document {
    let missing = Bson::from(format!("missing {}", random.random_range(0..40)));
    let exists = random.random_ratio(4, 5);
    let id = document.get("_id").filter(|_| exists).cloned().unwrap_or(missing);
    match random.random_range(0..12) {
        0 => doc! {"op": "d", "ns": NS, "o": {"_id": id}},
        1 => doc! {"op": "i", "ns": NS, "o": whole(random, id)},
        2 => {
            let mut o = whole(random, id.clone());
            if random.random() {
                o.remove("_id");
            }
            doc! {"op": "u", "ns": NS, "o": o, "o2": {"_id": id}}
        }
        _ => {
            let mut o = operators::update(random, document).0;
            // Each member of a set takes the time of its own clock.
            o.remove("$currentDate");
            let mut operation = doc! {"op": "u", "ns": NS, "o": o, "o2": {"_id": id}};
            if random.random_ratio(1, 4) {
                operation.insert("b", random.random::<bool>());
            }
            operation
        }
    }
}

/// Returns a new document with that id, which need not be the first field.
fn whole(random: &mut StdRng, id: Bson) -> Document {
    let mut fields = documents::plainly_named(documents::document(random, 0));
    // The server puts the time of its clock into empty timestamps.
    fields.retain_values(|value| {
        *value != Bson::Timestamp(bson::Timestamp { time: 0, increment: 0 })
    });
    if random.random_ratio(1, 4) {
        fields.insert("_id", id);
        return fields;
    }
    let mut whole = doc! {"_id": id};
    whole.extend(fields);
    whole
}

trait RetainValues {
    fn retain_values(&mut self, keep: impl Fn(&Bson) -> bool);
}

impl RetainValues for Document {
    fn retain_values(&mut self, keep: impl Fn(&Bson) -> bool) {
        *self = std::mem::take(self).into_iter().filter(|(_, value)| keep(value)).collect();
    }
}

type Options = fn() -> Document;

/// The collections of the end-to-end test, with their options.
pub(super) const COLLECTIONS: [(&str, Options); 3] = [
    ("plain", Document::new),
    ("collated", || doc! {"collation": {"locale": "en", "strength": 1}}),
    ("capped", || doc! {"capped": true, "size": 100_000}),
];

pub(super) fn document(id: i32) -> Document {
    doc! {
        "_id": id, "n": 5, "d": {"x": 1, "y": 2}, "s": "x",
        "arr": [3, 1, 2], "docs": [{"k": 2}, {"k": 1, "m": 1}],
    }
}

/// Returns one command of each form that sync tools and people send.
pub(super) fn each_shape(ns: &str) -> Vec<Document> {
    let insert = |o: Document| doc! {"op": "i", "ns": ns, "o": o};
    let delete = |id: i32| doc! {"op": "d", "ns": ns, "o": {"_id": id}};
    let update = |id: i32, o: Document| doc! {"op": "u", "ns": ns, "o": o, "o2": {"_id": id}};
    let all = |ops: Vec<Document>| doc! {"applyOps": ops};
    let mut commands = vec![
        all(vec![delete(900)]),
        all(vec![delete(901), insert(doc! {"_id": 10, "a": 1}), delete(902)]),
        all(vec![insert(doc! {"_id": 1, "replaced": true})]),
        all(vec![insert(doc! {"late": 1, "_id": 11}), insert(doc! {"late": 1, "_id": 2})]),
        all(vec![insert(document(1)), insert(document(2))]),
        all(vec![update(12, doc! {"$set": {"a": 1}})]),
        all(vec![update(13, doc! {"_id": 13, "whole": true})]),
        all(vec![doc! {"op": "d", "ns": "t.nowhere", "o": {"_id": 1}}, insert(doc! {"_id": 14})]),
        all(vec![update(1, doc! {"bare": true})]),
        all(vec![update(1, doc! {"$v": 2, "diff": {"u": {"n": 6}}})]),
        doc! {"applyOps": [doc! {"op": "c", "ns": "t.$cmd", "o": all(vec![delete(903), insert(document(1))])}]},
        doc! {"applyOps": [doc! {"op": "c", "ns": "admin.$cmd", "o": all(vec![delete(904), insert(document(1))])}]},
    ];
    let upsert = |b: bool| {
        let mut operation = update(15, doc! {"$inc": {"a": 1}, "$setOnInsert": {"made": 1}});
        operation.insert("b", b);
        operation
    };
    commands.push(doc! {"applyOps": [upsert(true)], "alwaysUpsert": false});
    commands.push(doc! {"applyOps": [upsert(false), delete(15), upsert(false)]});
    for operators in [
        doc! {"$inc": {"n": 1, "new": 2_i64, "d.x": 1.5}, "$mul": {"none": 3}},
        doc! {"$min": {"n": 2}, "$max": {"d.y": 9}, "$bit": {"d.z": {"or": 5}}},
        doc! {"$rename": {"n": "m", "d.x": "far.away"}},
        doc! {"$push": {"arr": {"$each": [9, 0], "$sort": -1, "$slice": 4}, "fresh": {"q": 1}}},
        doc! {"$push": {"docs": {"$each": [{"k": 0}], "$position": 1, "$sort": {"k": 1}}}},
        doc! {"$addToSet": {"arr": {"$each": [9, 7, 7.0]}}, "$pop": {"docs": 1}},
        doc! {"$pull": {"arr": {"$gte": 8}, "docs": {"k": 0}}},
        doc! {"$pullAll": {"arr": [1, 2]}},
        doc! {"$inc": {"docs.$[].k": 1}},
    ] {
        commands.push(all(vec![update(2, operators)]));
    }
    commands
}
