//! Random updates: operators of every kind, with and without array filters, and pipelines.

use bson::{Bson, Document, doc};
use mongodb::options::UpdateModifications;
use rand::Rng;
use rand::rngs::StdRng;

use super::values::{line, number, one_of, text, value};

/// An update of one or many documents.
pub(super) struct Update {
    pub(super) change: UpdateModifications,
    /// The filters for `$[e]`.
    pub(super) array_filters: Option<Vec<Document>>,
    /// What the filter must also contain, for the positional `$`.
    pub(super) condition: Document,
}

impl Update {
    fn plain(change: Document) -> Self {
        Self::with_filters(change, None)
    }

    fn with_filters(change: Document, array_filters: Option<Vec<Document>>) -> Self {
        Self { change: UpdateModifications::Document(change), array_filters, condition: doc! {} }
    }
}

/// Returns one to three operators that do not touch the same field.
pub(super) fn operators(random: &mut StdRng) -> Update {
    if random.random_ratio(1, 8) {
        return positional(random);
    }
    let mut change = Document::new();
    let mut roots: Vec<String> = Vec::new();
    for _ in 0..random.random_range(1..=3) {
        let (operator, path, argument) = operator(random);
        // `a.0` and `a` conflict, so each first component gets only one operator.
        let mut touched = vec![root(path)];
        if operator == "$rename" {
            touched.push(root(argument.as_str().unwrap_or_default()));
        }
        if touched.iter().any(|root| roots.contains(root)) {
            continue;
        }
        roots.extend(touched);
        let arguments = change.entry(operator.to_owned()).or_insert(Bson::Document(doc! {}));
        if let Bson::Document(arguments) = arguments {
            arguments.insert(path, argument);
        }
    }
    Update::plain(change)
}

fn root(path: &str) -> String {
    path.split('.').next().unwrap_or_default().to_owned()
}

fn any_path(random: &mut StdRng) -> &'static str {
    const TOP: [&str; 10] = ["f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9"];
    const INNER: [&str; 11] = [
        "d.y", "d.z.v", "d.z.new", "d.q.r.s", "l.0.t", "l.1.k", "a.3", "a.0", "f3.sub.x", "b.2",
        "d.7",
    ];
    if random.random() { one_of(random, &TOP) } else { one_of(random, &INNER) }
}

fn numeric_path(random: &mut StdRng) -> &'static str {
    one_of(random, &["n", "d.x", "d.z.w", "l.0.v", "m0", "m1", "m2", "d.count", "a.1"])
}

fn operator(random: &mut StdRng) -> (&'static str, &'static str, Bson) {
    let small = Bson::Int32(random.random_range(-3..4));
    match random.random_range(0..20) {
        0..4 => ("$set", any_path(random), value(random, 2)),
        4 | 5 => ("$unset", any_path(random), "".into()),
        6..9 => ("$inc", numeric_path(random), small),
        9 => ("$mul", numeric_path(random), small),
        10 => ("$min", numeric_path(random), number(random)),
        11 => ("$max", numeric_path(random), number(random)),
        12 => rename(random),
        13 => ("$bit", "bits", doc! {"xor": random.random_range(0..255)}.into()),
        14 => ("$currentDate", "stamped", doc! {"$type": "timestamp"}.into()),
        15 => ("$setOnInsert", "born", value(random, 1)),
        _ => array_operator(random),
    }
}

fn rename(random: &mut StdRng) -> (&'static str, &'static str, Bson) {
    let from = one_of(random, &["f0", "f1", "f2", "d.y", "s", "d.z.v"]);
    let to = one_of(random, &["f8", "f9", "g.h", "renamed", "d2.y"]);
    ("$rename", from, to.into())
}

fn array_operator(random: &mut StdRng) -> (&'static str, &'static str, Bson) {
    let n = random.random_range(0..20);
    match random.random_range(0..10) {
        0 => ("$push", one_of(random, &["a", "d.array", "new"]), n.into()),
        1 | 2 => ("$push", "a", push_many(random).into()),
        3 => {
            let lines = vec![line(random), line(random)];
            let push = doc! {"$each": lines, "$sort": {"k": 1, "v": -1}, "$slice": random.random_range(-5..6)};
            ("$push", "l", push.into())
        }
        4 => ("$pull", "a", doc! {"$gt": n}.into()),
        5 => ("$pull", "l", doc! {"k": {"$lt": n / 4}}.into()),
        6 => ("$pullAll", "a", vec![n, n + 1, 3].into()),
        7 => ("$pop", one_of(random, &["a", "l"]), one_of(random, &[1, -1]).into()),
        8 => ("$addToSet", "a", n.into()),
        _ => ("$addToSet", "tags", doc! {"$each": [text(random), text(random), "same"]}.into()),
    }
}

fn push_many(random: &mut StdRng) -> Document {
    let items: Vec<i32> =
        (0..random.random_range(0..5)).map(|_| random.random_range(0..20)).collect();
    let mut push = doc! {"$each": items};
    if random.random() {
        push.insert("$position", random.random_range(-3..5));
    }
    if random.random() {
        push.insert("$slice", random.random_range(-12..12));
    }
    if random.random_ratio(1, 3) {
        push.insert("$sort", one_of(random, &[1, -1]));
    }
    push
}

/// Returns an update with `$[]`, `$[e]` or `$`.
fn positional(random: &mut StdRng) -> Update {
    let n = random.random_range(0..20);
    match random.random_range(0..6) {
        0 => {
            Update::with_filters(doc! {"$inc": {"a.$[e]": 1}}, Some(vec![doc! {"e": {"$gte": n}}]))
        }
        1 => Update::with_filters(
            doc! {"$set": {"l.$[e].t": text(random), "n": n}},
            Some(vec![doc! {"e.k": {"$lt": n / 2}}]),
        ),
        2 => {
            Update::with_filters(doc! {"$unset": {"l.$[e].v": ""}}, Some(vec![doc! {"e.k": n / 3}]))
        }
        3 => Update::plain(doc! {"$mul": {"a.$[]": 2}}),
        4 => Update::plain(doc! {"$set": {"l.$[].seen": true}}),
        _ => Update {
            condition: doc! {"a": {"$gte": n}},
            ..Update::plain(doc! {"$set": {"a.$": -1}})
        },
    }
}

/// Returns a pipeline: computed values, and changes of the order of fields that no operator can
/// make.
pub(super) fn pipeline(random: &mut StdRng, version: (i32, i32)) -> Update {
    let n = random.random_range(0..100);
    let variants = if version >= (5, 0) { 11 } else { 9 };
    let stages = match random.random_range(0..variants) {
        0 => vec![
            doc! {"$set": {"n": {"$add": [n, 1]}, "s": {"$toLower": {"$literal": text(random)}}}},
            doc! {"$unset": ["f1", "d.y"]},
        ],
        1 => vec![reverse_fields(version)],
        2 => vec![doc! {"$replaceWith": {
            "_id": "$_id", "s": "$s", "d": "$d", "n": "$n", "l": "$l", "a": "$a", "w": "$w",
        }}],
        3 => vec![
            doc! {"$replaceWith": {"$mergeObjects": [{"first": n, "d": 0}, "$$ROOT", {"last": n}]}},
        ],
        4 => vec![
            doc! {"$project": {"n": 1, "d": {"z": 1, "x": 1}, "a": 1, "w": 1, "p": {"$literal": n}}},
        ],
        5 => vec![
            doc! {"$set": {"a": reversed_if_array("$a"), "d": {"x": "$n", "new": {"deep": n}}}},
        ],
        6 => vec![
            doc! {"$set": {"a": {"$slice": [if_array("$a"), 3]}}},
            doc! {"$set": {"l": {"$concatArrays": [if_array("$l"), [line(random)]]}}},
        ],
        7 => vec![doc! {"$unset": "s"}, doc! {"$set": {"s": {"$literal": text(random)}}}],
        8 => vec![doc! {"$set": {"d.z": {"$mergeObjects": [{"head": n}, if_object("$d.z")]}}}],
        9 => vec![set_field("dotted.name", n)],
        _ => vec![set_field("$dollar", n)],
    };
    Update {
        change: UpdateModifications::Pipeline(stages),
        array_filters: None,
        condition: doc! {},
    }
}

fn if_array(path: &str) -> Document {
    doc! {"$cond": [{"$isArray": path}, path, []]}
}

fn reversed_if_array(path: &str) -> Document {
    doc! {"$reverseArray": if_array(path)}
}

fn if_object(path: &str) -> Document {
    doc! {"$cond": [{"$eq": [{"$type": path}, "object"]}, path, {}]}
}

/// Returns a stage that reverses the fields of the whole document.
fn reverse_fields(version: (i32, i32)) -> Document {
    let reversed = doc! {"$arrayToObject": {"$reverseArray": {"$objectToArray": "$$ROOT"}}};
    if version >= (6, 0) {
        return doc! {"$replaceWith": reversed};
    }
    // Secondaries of 5.0.4 take a replacement whose first field is `$dollar` for an update with
    // operators, and abort.
    doc! {"$replaceWith": {"$mergeObjects": [{"first": 1}, reversed]}}
}

/// Returns a stage that sets a field whose name no path can express.
fn set_field(name: &str, n: i32) -> Document {
    let field = doc! {"field": {"$literal": name}, "input": "$$ROOT", "value": n};
    doc! {"$replaceWith": {"$setField": field}}
}
