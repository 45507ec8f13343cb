//! Random ids, values and documents. All randomness comes from the given generator.

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Decimal128, Document, Regex, Timestamp, doc};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

/// How many ids of a kind there are: few enough that ids repeat, also after a delete.
const NUMERIC_IDS: i32 = 3_000;
/// 2030-01-01. Dates lie in the five years after it, out of reach of every TTL index.
const FUTURE_MS: i64 = 1_893_456_000_000;
const FIVE_YEARS_MS: i64 = 157_000_000_000;
/// One document in this many is big.
const BIG_ONE_IN: u32 = 1_500;
const BIG_BYTES: usize = 1 << 20;

pub(super) fn one_of<T: Copy>(random: &mut StdRng, all: &[T]) -> T {
    all[random.random_range(0..all.len())]
}

/// Returns an id of any type that sorts, hashes or compares in a special way.
pub(super) fn id(random: &mut StdRng) -> Bson {
    match random.random_range(0..100) {
        0..50 => {
            let n = random.random_range(0..NUMERIC_IDS);
            number_spelled_anyhow(random, n)
        }
        50..70 => string_id(random),
        70..85 => Bson::ObjectId(object_id(random)),
        85..93 => document_id(random),
        _ => odd_id(random),
    }
}

/// Returns a number as int32, int64, double or decimal (with or without trailing zeros). The server
/// treats these as equal ids, but their bytes in the oplog differ.
pub fn number_spelled_anyhow(random: &mut StdRng, n: i32) -> Bson {
    match random.random_range(0..5) {
        0 => Bson::Int32(n),
        1 => Bson::Int64(n.into()),
        2 => Bson::Double(n.into()),
        3 => decimal(&n.to_string()),
        _ => decimal(&format!("{n}.00")),
    }
}

/// Returns an id that the server treats as equal to `id`.
pub fn respelled(random: &mut StdRng, id: &Bson) -> Bson {
    let same = match id {
        Bson::Int32(n) => Some(*n),
        Bson::Int64(n) => i32::try_from(*n).ok(),
        _ => None,
    };
    same.map_or_else(|| id.clone(), |n| number_spelled_anyhow(random, n))
}

fn string_id(random: &mut StdRng) -> Bson {
    let n = random.random_range(0..NUMERIC_IDS);
    // These are equal under a collation of strength 2, and different without a collation.
    let prefix = ["key", "Key", "KEY", "clé", "CLÉ"].choose(random).copied().unwrap_or("key");
    Bson::String(format!("{prefix}{n}"))
}

fn document_id(random: &mut StdRng) -> Bson {
    let n = random.random_range(0..200);
    let number = number_spelled_anyhow(random, n);
    let name = format!("S{}", random.random_range(0..3));
    let id = if random.random() {
        doc! {"a": number, "b": name}
    } else {
        doc! {"b": {"c": number, "d": [name, 1]}}
    };
    Bson::Document(id)
}

fn odd_id(random: &mut StdRng) -> Bson {
    match random.random_range(0..14) {
        0 => Bson::Null,
        1 => Bson::Boolean(random.random()),
        2 => Bson::Double(-0.0),
        3 => Bson::Double(f64::NAN),
        4 => Bson::Double(one_of(
            random,
            &[f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 0.1],
        )),
        5 => decimal(one_of(random, &["1E+400", "-1E-400", "0.1", "NaN", "Infinity"])),
        6 => Bson::Int64(one_of(random, &[i64::MIN, i64::MAX, (1 << 53) + 1])),
        7 => Bson::DateTime(date(random)),
        8 => Bson::DateTime(DateTime::from_millis(-1)),
        9 => Bson::Timestamp(Timestamp { time: random.random_range(1..9), increment: 1 }),
        10 => binary(random, BinarySubtype::Generic),
        11 => binary(random, BinarySubtype::Uuid),
        12 => [Bson::MinKey, Bson::MaxKey][random.random_range(0..2)].clone(),
        _ => Bson::String(one_of(random, &["", "a\0b", "ÿ", "\u{10ffff}"]).to_owned()),
    }
}

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse::<Decimal128>().expect("the literals above are decimals"))
}

pub(super) fn object_id(random: &mut StdRng) -> ObjectId {
    ObjectId::from_bytes(random.random())
}

pub(super) fn date(random: &mut StdRng) -> DateTime {
    DateTime::from_millis(FUTURE_MS + random.random_range(0..FIVE_YEARS_MS))
}

fn binary(random: &mut StdRng, subtype: BinarySubtype) -> Bson {
    let length = if subtype == BinarySubtype::Uuid { 16 } else { random.random_range(0..24) };
    let bytes = (0..length).map(|_| random.random()).collect();
    Bson::Binary(Binary { subtype, bytes })
}

pub(super) fn text(random: &mut StdRng) -> String {
    const WORDS: [&str; 8] = ["order", "lost", "found", "Zürich", "наряд", "", "x y", "🙂"];
    let words = (0..random.random_range(1..5)).filter_map(|_| WORDS.choose(random).copied());
    words.collect::<Vec<_>>().join(" ")
}

/// Returns a number of any type, small enough that a hundred multiplications do not overflow it.
pub(super) fn number(random: &mut StdRng) -> Bson {
    match random.random_range(0..6) {
        0..3 => Bson::Int32(random.random_range(-1_000..1_000)),
        3 => Bson::Int64(random.random_range(-5_000_000_000..5_000_000_000)),
        4 => Bson::Double(random.random_range(-10.0..10.0)),
        _ => {
            decimal(&format!("{}.{:02}", random.random_range(-99..99), random.random_range(0..99)))
        }
    }
}

fn scalar(random: &mut StdRng) -> Bson {
    match random.random_range(0..16) {
        0..5 => number(random),
        5..8 => Bson::String(text(random)),
        8 => Bson::Boolean(random.random()),
        9 => Bson::Null,
        10 => Bson::DateTime(date(random)),
        11 => Bson::ObjectId(object_id(random)),
        12 => binary(random, BinarySubtype::Generic),
        13 => Bson::Timestamp(Timestamp { time: random.random(), increment: random.random() }),
        14 => Bson::RegularExpression(regex()),
        _ => [Bson::MinKey, Bson::MaxKey, Bson::Double(f64::NAN), Bson::Double(-0.0)]
            [random.random_range(0..4)]
        .clone(),
    }
}

fn regex() -> Regex {
    Regex {
        pattern: "^a.*b$".try_into().expect("no NUL in it"),
        options: "i".try_into().expect("no NUL in it"),
    }
}

/// Returns any value, nested up to `depth` levels.
pub(super) fn value(random: &mut StdRng, depth: u32) -> Bson {
    match random.random_range(0..10) {
        0 | 1 if depth > 0 => {
            let items = random.random_range(0..5);
            Bson::Array((0..items).map(|_| value(random, depth - 1)).collect())
        }
        2 | 3 if depth > 0 => Bson::Document(small_document(random, depth - 1)),
        _ => scalar(random),
    }
}

fn small_document(random: &mut StdRng, depth: u32) -> Document {
    let fields = random.random_range(0..4);
    (0..fields).map(|i| (format!("k{i}"), value(random, depth))).collect()
}

/// Returns an element for `l`, an array of documents.
pub(super) fn line(random: &mut StdRng) -> Document {
    doc! {"k": random.random_range(0..8), "v": number(random), "t": text(random)}
}

/// Returns the fields that updates aim at, in random order, and sometimes unusual fields.
pub(super) fn fields(random: &mut StdRng, dollars_and_dots: bool) -> Document {
    let numbers = |random: &mut StdRng, n| {
        (0..n).map(|_| Bson::Int32(random.random_range(0..20))).collect::<Vec<_>>()
    };
    let (elements, lines) = (random.random_range(0..8), random.random_range(0..4));
    let mut all: Vec<(String, Bson)> = vec![
        ("n".into(), Bson::Int32(random.random_range(0..1_000))),
        ("s".into(), Bson::String(text(random))),
        ("a".into(), Bson::Array(numbers(random, elements))),
        ("l".into(), Bson::Array((0..lines).map(|_| Bson::Document(line(random))).collect())),
        (
            "d".into(),
            doc! {"x": number(random), "y": text(random), "z": {"w": 1, "v": value(random, 1)}}
                .into(),
        ),
        ("w".into(), Bson::DateTime(date(random))),
    ];
    for _ in 0..random.random_range(0..4) {
        all.push((format!("f{}", random.random_range(0..10)), value(random, 3)));
    }
    if random.random_ratio(1, 3) {
        all.push(("u".into(), Bson::Int32(random.random_range(0..100_000))));
    }
    if random.random_ratio(1, 4) {
        let point = vec![random.random_range(-179.0..179.0), random.random_range(-89.0..89.0)];
        all.push(("geo".into(), doc! {"type": "Point", "coordinates": point}.into()));
    }
    if dollars_and_dots && random.random_ratio(1, 6) {
        all.extend(unusual_names(random));
    }
    if random.random_ratio(1, 200) {
        all.push(("deep".into(), nested(random.random_range(20..80))));
    }
    if random.random_ratio(1, BIG_ONE_IN) {
        let letter = random.random_range(b'a'..=b'z') as char;
        all.push(("big".into(), Bson::String(letter.to_string().repeat(BIG_BYTES))));
    }
    all.shuffle(random);
    // Such names go last, because the server refuses a replacement that begins with an
    // operator-like name.
    all.sort_by_key(|(name, _)| name.starts_with('$'));
    all.into_iter().collect()
}

fn unusual_names(random: &mut StdRng) -> Vec<(String, Bson)> {
    vec![
        ("dotted.name".into(), scalar(random)),
        ("$dollar".into(), scalar(random)),
        ("a.".into(), scalar(random)),
        (String::new(), scalar(random)),
        ("odd".into(), doc! {"$in.ner": 1, "x.y": {"$z": scalar(random)}, "0": 1}.into()),
    ]
}

fn nested(levels: u32) -> Bson {
    (0..levels).fold(Bson::Int32(1), |inner, level| {
        if level % 3 == 0 { Bson::Array(vec![inner]) } else { doc! {"in": inner}.into() }
    })
}

/// Returns a measurement for a time-series collection.
pub(super) fn measurement(random: &mut StdRng, second: i64) -> Document {
    let mut measurement = doc! {
        "t": DateTime::from_millis(FUTURE_MS + second * 1_000),
        "meta": {"host": format!("h{}", random.random_range(0..4))},
        "v": random.random_range(-1.0..1.0),
        "i": random.random_range(0..50),
    };
    if random.random_ratio(1, 5) {
        measurement.insert(format!("x{}", random.random_range(0..3)), value(random, 1));
    }
    measurement
}
