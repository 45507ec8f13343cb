//! Random filters that aim at documents.

use bson::{Bson, Document, bson, doc};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::{documents, values};

const RANGES: [&str; 6] = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"];
const TYPES: [&str; 24] = [
    "double",
    "string",
    "object",
    "array",
    "binData",
    "undefined",
    "objectId",
    "bool",
    "date",
    "null",
    "regex",
    "dbPointer",
    "javascript",
    "symbol",
    "javascriptWithScope",
    "int",
    "timestamp",
    "long",
    "decimal",
    "minKey",
    "maxKey",
    "number",
    "number",
    "missing",
];
const PATTERNS: [&str; 16] = [
    "a",
    "^a",
    "b$",
    "^a.b$",
    "A",
    "^$",
    "a|É",
    "\\x61",
    "(?i)A",
    "(?<=a)b",
    "(a)\\1",
    "^\\w+$",
    "a{1,2}",
    "a{,2}",
    "[",
    "(?<n>a)\\k<n>",
];

pub(crate) fn filter(random: &mut StdRng, documents: &[Document]) -> Document {
    query(random, documents, 3)
}

fn query(random: &mut StdRng, documents: &[Document], depth: u32) -> Document {
    let mut query = Document::new();
    for _ in 0..*[1, 1, 1, 1, 2, 0].choose(random).unwrap() {
        if depth > 0 && random.random_ratio(1, 5) {
            let name = *["$and", "$or", "$nor"].choose(random).unwrap();
            let length = *[1, 1, 2, 2, 3, 0].choose(random).unwrap();
            let one = |_| Bson::Document(self::query(random, documents, depth - 1));
            query.insert(name, (0..length).map(one).collect::<Vec<_>>());
        } else if random.random_ratio(1, 60) {
            let (name, value) = without_field(random);
            query.insert(name, value);
        } else {
            let document = documents.choose(random).unwrap();
            let (path, value) = if random.random_ratio(1, 15) {
                ("_id".to_owned(), document.get("_id").cloned().unwrap_or(Bson::Null))
            } else {
                documents::path(random, document)
            };
            let condition = condition(random, &value, depth);
            query.insert(path, condition);
        }
    }
    query
}

fn without_field(random: &mut StdRng) -> (&'static str, Bson) {
    let all = [
        ("$comment", bson!("x")),
        ("$alwaysTrue", bson!(1)),
        ("$alwaysFalse", bson!(1.0)),
        ("$alwaysTrue", bson!(2)),
        ("$and", bson!([])),
        ("$or", bson!({})),
        ("$nor", bson!([1])),
        ("$not", bson!({"a": 1})),
        ("$foo", bson!(1)),
        ("$ref", bson!("x")),
        ("$id", bson!(null)),
        ("$", bson!(1)),
        ("$gt", bson!(1)),
    ];
    all.choose(random).unwrap().clone()
}

/// Returns the condition for a path.
fn condition(random: &mut StdRng, value: &Bson, depth: u32) -> Bson {
    match random.random_range(0..10) {
        0..2 => operand(random, value),
        2 => values::regex(random),
        _ => Bson::Document(operators(random, value, depth)),
    }
}

fn operators(random: &mut StdRng, value: &Bson, depth: u32) -> Document {
    let mut operators = Document::new();
    for _ in 0..*[1, 1, 1, 1, 2].choose(random).unwrap() {
        if random.random_ratio(1, 10) {
            pattern(random, &mut operators);
            continue;
        }
        let (name, argument) = if random.random_ratio(1, 25) {
            (one(random, &ALL), values::any(random, 2))
        } else {
            operator(random, value, depth)
        };
        operators.insert(name, argument);
    }
    operators
}

const ALL: [&str; 21] = [
    "$eq",
    "$ne",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$in",
    "$nin",
    "$not",
    "$exists",
    "$type",
    "$regex",
    "$options",
    "$size",
    "$all",
    "$elemMatch",
    "$mod",
    "$foo",
    "$and",
    "$bitsAllSet",
    "x",
];

fn operator(random: &mut StdRng, value: &Bson, depth: u32) -> (&'static str, Bson) {
    match random.random_range(0..20) {
        0..7 => (one(random, &RANGES), operand(random, value)),
        7..9 => {
            let length = random.random_range(0..4);
            let list = (0..length).map(|_| listed(random, value)).collect();
            (one(random, &["$in", "$nin"]), Bson::Array(list))
        }
        9..11 => (
            "$exists",
            [bson!(true), bson!(false), bson!(0), values::scalar(random)]
                .choose(random)
                .unwrap()
                .clone(),
        ),
        11 => ("$type", kinds(random)),
        12 => ("$size", size(random)),
        13 => ("$mod", Bson::Array(vec![values::number(random), values::number(random)])),
        14..16 => ("$all", all(random, value, depth)),
        16..18 if depth > 0 => ("$elemMatch", element(random, value, depth - 1)),
        _ if depth > 0 => {
            let inner = match random.random_range(0..6) {
                0 => values::regex(random),
                _ => Bson::Document(operators(random, value, depth - 1)),
            };
            ("$not", inner)
        }
        _ => ("$mod", bson!([2, 0])),
    }
}

/// Returns the value itself, a similar value, or any value.
fn operand(random: &mut StdRng, value: &Bson) -> Bson {
    match random.random_range(0..8) {
        0..3 => value.clone(),
        3..6 => values::near(random, value),
        6 => values::any(random, 2),
        _ => values::scalar(random),
    }
}

fn listed(random: &mut StdRng, value: &Bson) -> Bson {
    match random.random_range(0..30) {
        0..4 => values::regex(random),
        4 => Bson::Null,
        5 => doc! {"$gt": 1}.into(),
        6 => doc! {"$ref": "x", "$id": 1}.into(),
        _ => operand(random, value),
    }
}

fn kinds(random: &mut StdRng) -> Bson {
    match random.random_range(0..6) {
        0..4 => Bson::String(one(random, &TYPES).to_owned()),
        4 => kind(random),
        _ => Bson::Array(vec![kind(random), kind(random)]),
    }
}

fn kind(random: &mut StdRng) -> Bson {
    match random.random_range(0..10) {
        0..5 => Bson::String(one(random, &TYPES).to_owned()),
        5..8 => Bson::Int32(random.random_range(-1..20)),
        8 => values::number(random),
        _ => Bson::Double(127.0),
    }
}

fn size(random: &mut StdRng) -> Bson {
    match random.random_range(0..5) {
        0..3 => Bson::Int32(random.random_range(0..4)),
        3 => Bson::Double(f64::from(random.random_range(-1..4))),
        _ => values::number(random),
    }
}

fn all(random: &mut StdRng, value: &Bson, depth: u32) -> Bson {
    let length = random.random_range(0..3);
    let is_of_elements = depth > 0 && random.random_ratio(1, 3);
    let one = |_| {
        if is_of_elements && random.random_ratio(19, 20) {
            return doc! {"$elemMatch": element(random, value, depth - 1)}.into();
        }
        match value {
            Bson::Array(elements) if random.random_ratio(2, 3) => {
                elements.choose(random).cloned().unwrap_or(Bson::Null)
            }
            _ => listed(random, value),
        }
    };
    Bson::Array((0..length).map(one).collect())
}

/// Returns the argument of `$elemMatch`, about an element of the value if the value is an array.
fn element(random: &mut StdRng, value: &Bson, depth: u32) -> Bson {
    let element = match value {
        Bson::Array(elements) => elements.choose(random).unwrap_or(value),
        _ => value,
    };
    match element {
        _ if random.random_ratio(1, 40) => doc! {"$id": 1, "a": 1}.into(),
        Bson::Document(inner) if random.random_ratio(5, 6) => {
            Bson::Document(query(random, std::slice::from_ref(inner), depth))
        }
        _ => Bson::Document(operators(random, element, depth)),
    }
}

fn pattern(random: &mut StdRng, operators: &mut Document) {
    let options = *["", "i", "m", "s", "x", "ims", "u", "q"].choose(random).unwrap();
    let before = random.random_ratio(1, 4);
    if before {
        operators.insert("$options", options);
    }
    let pattern = match random.random_range(0..5) {
        0 => values::regex(random),
        1..3 => Bson::String(values::pattern(random)),
        _ => Bson::String(one(random, &PATTERNS).to_owned()),
    };
    operators.insert("$regex", pattern);
    if !before && random.random_ratio(1, 2) {
        operators.insert("$options", options);
    }
}

fn one(random: &mut StdRng, of: &[&'static str]) -> &'static str {
    of.choose(random).copied().unwrap_or_default()
}
