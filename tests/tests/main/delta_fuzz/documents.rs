//! Random documents of every BSON type, and random changes of them.

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{
    Binary, Bson, DateTime, Decimal128, Document, JavaScriptCodeWithScope, Regex, Timestamp, doc,
};
use hindsight_tests::workload::number_spelled_anyhow;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

const DEPTH: u32 = 4;

/// Names that also occur in the grammar of deltas, look like indexes, or need care in a path.
const NAMES: [&str; 30] = [
    "a",
    "b",
    "c",
    "d",
    "i",
    "l",
    "o",
    "s",
    "u",
    "v",
    "",
    "0",
    "1",
    "2",
    "10",
    "007",
    "u0",
    "s1",
    "sa",
    "x",
    "long_name",
    "9a",
    "diff",
    "é",
    "$v",
    "$dollar",
    "dot.ted",
    "a.",
    ".",
    " ",
];

/// Returns a document for an insert. Its `_id` differs from that of every other slot.
pub(crate) fn whole(random: &mut StdRng, slot: usize) -> Document {
    let mut whole = doc! {"_id": id(random, slot)};
    whole.extend(document(random, 0));
    if random.random_ratio(1, 2) {
        // This bulk does not change, so that a delta is smaller than the document that it makes.
        whole.insert("long_name", "x".repeat(random.random_range(50..1_500)));
    }
    if random.random_ratio(1, 60) {
        let levels = random.random_range(10..50);
        whole.insert("deep", nested(levels));
    }
    whole
}

fn id(random: &mut StdRng, slot: usize) -> Bson {
    let n = i32::try_from(slot).expect("there are few slots");
    match random.random_range(0..10) {
        0..5 => number_spelled_anyhow(random, n),
        5 => Bson::String(format!("id {n}")),
        6 => doc! {"slot": n, "": number_spelled_anyhow(random, n)}.into(),
        7 => Bson::ObjectId(ObjectId::from_bytes(
            [&[0; 8], &n.to_be_bytes()[..]].concat().try_into().expect("12 bytes"),
        )),
        8 => Bson::DateTime(DateTime::from_millis((n - 500).into())),
        _ => binary(BinarySubtype::Generic, n.to_le_bytes().to_vec()),
    }
}

fn nested(levels: u32) -> Bson {
    (0..levels).fold(Bson::Int32(1), |inner, level| {
        if level % 3 == 0 { Bson::Array(vec![inner]) } else { doc! {"in": inner}.into() }
    })
}

pub(super) fn name(random: &mut StdRng) -> String {
    NAMES[random.random_range(0..NAMES.len())].to_owned()
}

pub(crate) fn document(random: &mut StdRng, depth: u32) -> Document {
    let fields = random.random_range(0..if depth == 0 { 12 } else { 5 });
    (0..fields).map(|_| (name(random), value(random, depth))).collect()
}

pub(super) fn array(random: &mut StdRng, depth: u32) -> Vec<Bson> {
    let longest = if random.random_ratio(1, 20) { 120 } else { 7 };
    let length = random.random_range(0..longest);
    let depth = if longest > 7 { DEPTH } else { depth };
    // Some arrays have similar elements; otherwise `$sort`, `$pull` and `$addToSet` find nothing to
    // do.
    match random.random_range(0..4) {
        0 => (0..length).map(|_| Bson::Int32(random.random_range(0..6))).collect(),
        1 => (0..length).map(|_| line(random, depth).into()).collect(),
        _ => (0..length).map(|_| value(random, depth)).collect(),
    }
}

/// Returns an element for an array of documents that have fields in common.
pub(super) fn line(random: &mut StdRng, depth: u32) -> Document {
    let mut line = doc! {"x": random.random_range(0..4), "s": value(random, depth + 1)};
    if random.random() {
        line.insert("long_name", "y".repeat(random.random_range(0..60)));
    }
    line
}

pub(super) fn value(random: &mut StdRng, depth: u32) -> Bson {
    match random.random_range(0..100) {
        0..24 if depth < DEPTH => Bson::Document(document(random, depth + 1)),
        24..50 if depth < DEPTH => Bson::Array(array(random, depth + 1)),
        _ => scalar(random),
    }
}

pub(super) fn number(random: &mut StdRng) -> Bson {
    let n = random.random_range(-3..4);
    match random.random_range(0..8) {
        0 => Bson::Double(random.random_range(-2.0..2.0)),
        1 => Bson::Int64(n64(random)),
        _ => number_spelled_anyhow(random, n),
    }
}

fn n64(random: &mut StdRng) -> i64 {
    *[i64::MAX, i64::MIN, 1 << 53, -1].choose(random).unwrap_or(&0)
}

/// Returns a value of any type that nests nothing (except the scope of a piece of code).
pub(super) fn scalar(random: &mut StdRng) -> Bson {
    match random.random_range(0..24) {
        0..6 => number(random),
        6 => Bson::Double(*[f64::NAN, f64::INFINITY, -0.0, 5e-324].choose(random).unwrap_or(&0.0)),
        7 => decimal(["NaN", "-Infinity", "1E+400", "-0", "1.000"].choose(random).unwrap_or(&"0")),
        8 | 9 => Bson::String("text é🙂\0 ".repeat(random.random_range(0..4))),
        10 => Bson::Boolean(random.random()),
        11 => Bson::Null,
        12 => Bson::DateTime(DateTime::from_millis(random.random_range(-5..5))),
        13 => Bson::ObjectId(ObjectId::from_bytes([random.random_range(0..3); 12])),
        14 => Bson::Timestamp(Timestamp { time: random.random_range(1..4), increment: 1 }),
        15 => {
            let length = random.random_range(0..9);
            binary(BinarySubtype::Generic, vec![7; length])
        }
        16 => binary(BinarySubtype::Uuid, vec![random.random_range(0..3); 16]),
        17 => Bson::RegularExpression(Regex {
            pattern: "^a|b$".try_into().expect("no NUL in it"),
            options: ["", "i", "im"]
                .choose(random)
                .copied()
                .unwrap_or("")
                .try_into()
                .expect("no NUL"),
        }),
        18 => Bson::JavaScriptCode("function() {}".to_owned()),
        19 => Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope {
            code: "a".to_owned(),
            scope: doc! {"a": random.random_range(0..3)},
        }),
        20 => Bson::Symbol("symbol".to_owned()),
        21 => Bson::Undefined,
        22 => [Bson::MinKey, Bson::MaxKey][random.random_range(0..2)].clone(),
        _ => binary(BinarySubtype::UserDefined(200), vec![0; random.random_range(0..300)]),
    }
}

fn binary(subtype: BinarySubtype, bytes: Vec<u8>) -> Bson {
    Bson::Binary(Binary { subtype, bytes })
}

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse::<Decimal128>().expect("the literals above are decimals"))
}

/// Returns a document similar to the given one: with fields that are changed, missing, new and in
/// another order, at any depth.
pub(super) fn changed(random: &mut StdRng, document: &Document, depth: u32) -> Document {
    let mut fields = Vec::new();
    for (name, value) in document {
        match random.random_range(0..100) {
            _ if name == "_id" && depth == 0 => fields.push((name.clone(), value.clone())),
            0..8 => {}
            8..40 => fields.push((name.clone(), changed_value(random, value, depth))),
            _ => fields.push((name.clone(), value.clone())),
        }
    }
    let first = usize::from(depth == 0);
    while random.random_ratio(1, 4) {
        let at = random.random_range(first.min(fields.len())..=fields.len());
        let new = (name(random), value(random, depth));
        if fields.iter().all(|(name, _)| *name != new.0) {
            fields.insert(at, new);
        }
    }
    if random.random_ratio(1, 6) && fields.len() > first {
        let moved = fields.remove(random.random_range(first..fields.len()));
        let to = random.random_range(first..=fields.len());
        fields.insert(to, moved);
    } else if random.random_ratio(1, 20) {
        fields[first..].shuffle(random);
    }
    fields.into_iter().collect()
}

fn changed_value(random: &mut StdRng, of: &Bson, depth: u32) -> Bson {
    match of {
        Bson::Document(inner) if random.random_ratio(4, 5) => {
            Bson::Document(changed(random, inner, depth + 1))
        }
        Bson::Array(elements) if random.random_ratio(4, 5) => {
            Bson::Array(changed_array(random, elements, depth + 1))
        }
        _ => value(random, depth),
    }
}

fn changed_array(random: &mut StdRng, elements: &[Bson], depth: u32) -> Vec<Bson> {
    let mut elements = elements.to_vec();
    match random.random_range(0..6) {
        0 | 1 => elements.truncate(random.random_range(0..=elements.len())),
        2 => elements.extend(array(random, depth.max(DEPTH - 1))),
        3 if !elements.is_empty() => {
            elements.remove(random.random_range(0..elements.len()));
        }
        _ => {}
    }
    for element in &mut elements {
        if random.random_ratio(1, 4) {
            *element = changed_value(random, element, depth);
        }
    }
    elements
}

/// Returns the same document with names that any version takes.
pub(crate) fn plainly_named(document: Document) -> Document {
    let plain = |name: String| name.replace('.', "_").replace('$', "s");
    document.into_iter().map(|(name, value)| (plain(name), with_plain_names(value))).collect()
}

fn with_plain_names(value: Bson) -> Bson {
    match value {
        Bson::Document(document) => Bson::Document(plainly_named(document)),
        Bson::Array(elements) => elements.into_iter().map(with_plain_names).collect(),
        other => other,
    }
}
