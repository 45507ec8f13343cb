//! Random values of every type, close to each other.

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{
    Binary, Bson, DateTime, Decimal128, JavaScriptCodeWithScope, Regex, Timestamp, bson, doc,
};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

const DECIMALS: [&str; 22] = [
    "0",
    "-0",
    "0E+3",
    "1",
    "1.0",
    "1.5",
    "-1",
    "2",
    "0.1",
    "0.10",
    "NaN",
    "-NaN",
    "Infinity",
    "-Infinity",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "9223372036854775807.5",
    "1E+6111",
    "1E-6176",
    "0.1000000000000000055511151231257827",
    "3.9999999999999999999999999999999",
];
const STRINGS: [&str; 12] =
    ["", "a", "A", "ab", "b", "a\nb", "a\n", "a\0b", "a\0", "é", "É", "xaay"];

/// Returns a value that is neither a document nor an array.
pub(super) fn scalar(random: &mut StdRng) -> Bson {
    match random.random_range(0..26) {
        0..6 => number(random),
        6..9 => string(random),
        9 => Bson::Symbol(one(random, &STRINGS)),
        10..12 => Bson::Null,
        12 => Bson::Undefined,
        13 => Bson::Boolean(random.random()),
        14 => Bson::DateTime(DateTime::from_millis(*[-1, 0, 1, i64::MIN].choose(random).unwrap())),
        15 => Bson::Timestamp(Timestamp {
            time: *[1, 2, u32::MAX].choose(random).unwrap(),
            increment: random.random_range(1..3),
        }),
        16 => binary(random),
        17 => Bson::ObjectId(ObjectId::from_bytes([random.random_range(0..3) * 100; 12])),
        18..20 => regex(random),
        20 => Bson::JavaScriptCode(one(random, &STRINGS)),
        21 => Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope {
            code: one(random, &["", "a", "b"]),
            scope: doc! {one(random, &["x", "y"]): number(random)},
        }),
        22 => Bson::MinKey,
        23 => Bson::MaxKey,
        24 => db_pointer(random),
        _ => number(random),
    }
}

pub(super) fn number(random: &mut StdRng) -> Bson {
    match random.random_range(0..10) {
        0..3 => Bson::Int32(*[-1, 0, 1, 2, 3, 4, i32::MAX, i32::MIN].choose(random).unwrap()),
        3..5 => {
            let longs =
                [-1, 0, 1, 2, 4, 1 << 40, (1 << 53) + 1, 1 << 53, i64::MAX, i64::MIN, i64::MAX - 1];
            Bson::Int64(*longs.choose(random).unwrap())
        }
        5..8 => {
            let doubles = [
                -1.0,
                0.0,
                -0.0,
                1.0,
                1.5,
                2.0,
                3.9,
                0.1,
                9_007_199_254_740_992.0,
                9_223_372_036_854_775_808.0,
                -9_223_372_036_854_775_808.0,
                1e300,
                5e-324,
                f64::NAN,
                -f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
            ];
            Bson::Double(*doubles.choose(random).unwrap())
        }
        _ => decimal(random),
    }
}

fn decimal(random: &mut StdRng) -> Bson {
    let text = *DECIMALS.choose(random).unwrap();
    Bson::Decimal128(text.parse::<Decimal128>().unwrap())
}

pub(super) fn string(random: &mut StdRng) -> Bson {
    Bson::String(one(random, &STRINGS))
}

fn one(random: &mut StdRng, of: &[&str]) -> String {
    of.choose(random).copied().unwrap_or_default().to_owned()
}

fn binary(random: &mut StdRng) -> Bson {
    let subtype = match random.random_range(0..3) {
        0 => BinarySubtype::Generic,
        1 => BinarySubtype::UserDefined(0x80),
        _ => BinarySubtype::Function,
    };
    let length = random.random_range(0..3);
    let bytes = (0..length).map(|_| random.random_range(0..2) * 255).collect();
    Bson::Binary(Binary { subtype, bytes })
}

const PIECES: [&str; 41] = [
    "a",
    "b",
    "a",
    "b",
    ".",
    ".",
    "*",
    "+",
    "?",
    "^",
    "$",
    "(",
    ")",
    "|",
    "[ab]",
    "[^a]",
    "\\w",
    "\\W",
    "\\s",
    "\\b",
    "é",
    "{1}",
    "{,2}",
    "{1,}",
    "\\n",
    "(?:",
    "(?=a)",
    "(?!b)",
    "(?<=a)",
    "(a)\\1",
    "\\A",
    "\\z",
    "\\Q{,1}\\E",
    "{",
    "}",
    "[[:alpha:]]",
    "\\x61",
    "\\p{L}",
    "(?i)",
    "[",
    "\\q",
];

/// Returns the text of a regular expression, which is not always valid.
pub(super) fn pattern(random: &mut StdRng) -> String {
    let length = *[1, 1, 2, 2, 3, 4].choose(random).unwrap();
    (0..length).map(|_| *PIECES.choose(random).unwrap()).collect()
}

pub(super) fn regex(random: &mut StdRng) -> Bson {
    let pattern = match random.random_range(0..4) {
        0 => pattern(random),
        _ => one(random, &["a", "a", "^a", "b$", "A", "(a)\\1", ".b", "^é$", "", "a{,1}"]),
    };
    let options = one(random, &["", "", "i", "s", "m", "x", "im"]);
    Bson::RegularExpression(Regex {
        pattern: pattern.try_into().unwrap(),
        options: options.try_into().unwrap(),
    })
}

/// Returns a DBPointer, made from JSON because its parts are private in the driver's library.
fn db_pointer(random: &mut StdRng) -> Bson {
    let namespace = one(random, &["a", "b", "ab"]);
    let id = format!("{:024x}", random.random_range(0..3));
    serde_json::json!({"$dbPointer": {"$ref": namespace, "$id": {"$oid": id}}}).try_into().unwrap()
}

/// Returns a value, perhaps a document or an array.
pub(super) fn any(random: &mut StdRng, depth: u32) -> Bson {
    let names = ["a", "b", "c", "0", "1"];
    match random.random_range(0..10) {
        0..2 if depth > 0 => {
            let length = random.random_range(0..4);
            Bson::Array((0..length).map(|_| any(random, depth - 1)).collect())
        }
        2..5 if depth > 0 => {
            let length = random.random_range(0..3);
            let field = |_| (one(random, &names), any(random, depth - 1));
            Bson::Document((0..length).map(field).collect())
        }
        5 => {
            let few = [bson!({}), bson!([]), bson!([[]]), bson!([null]), bson!({"a": null})];
            few.choose(random).unwrap().clone()
        }
        _ => scalar(random),
    }
}

/// Returns a similar value: of another type, or a little different.
pub(super) fn near(random: &mut StdRng, value: &Bson) -> Bson {
    match value {
        Bson::Int32(n) => respelled(random, f64::from(*n)),
        Bson::Int64(n) => respelled(random, *n as f64),
        Bson::Double(n) => respelled(random, *n),
        Bson::String(text) => match random.random_range(0..3) {
            0 => Bson::Symbol(text.clone()),
            1 => Bson::String(format!("{text}b")),
            _ => Bson::String(text.to_uppercase()),
        },
        Bson::Symbol(text) => Bson::String(text.clone()),
        Bson::Undefined => Bson::Null,
        Bson::Array(elements) => {
            let mut elements = elements.clone();
            match random.random_range(0..3) {
                0 => elements.shuffle(random),
                1 => elements.push(scalar(random)),
                _ => elements = vec![Bson::Array(elements)],
            }
            Bson::Array(elements)
        }
        Bson::Document(fields) => {
            let mut fields: Vec<_> = fields.clone().into_iter().collect();
            match random.random_range(0..3) {
                0 => fields.shuffle(random),
                1 => fields.push(("b".to_owned(), scalar(random))),
                _ => fields.iter_mut().for_each(|(_, value)| *value = near(random, value)),
            }
            Bson::Document(fields.into_iter().collect())
        }
        _ => scalar(random),
    }
}

fn respelled(random: &mut StdRng, number: f64) -> Bson {
    match random.random_range(0..5) {
        0 => Bson::Double(number),
        1 => Bson::Int64(number as i64),
        2 => Bson::Int32(number as i32),
        3 => Bson::Double(number + 0.5),
        _ => number.to_string().parse().map_or(Bson::Double(number), Bson::Decimal128),
    }
}

/// Returns many values, each wrapped in a document.
pub(super) fn wrapped(random: &mut StdRng) -> Vec<Bson> {
    (0..150).map(|_| Bson::Document(doc! {"x": any(random, 3)})).collect()
}
