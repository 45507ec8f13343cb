//! Values of a recipe as raw BSON: Extended JSON, and short forms for values that would be long in
//! it or cannot be expressed.
//!
//! | form | value |
//! |---|---|
//! | `{db}`, `{n}` in a string or a name | the state's database; the number of the repetition |
//! | `{"$n": 7}`, `{"$nDate": 1000}` | that number times the repetition; milliseconds after 2020 |
//! | `{"$fill": ["x", 9]}` | the string nine times over |
//! | `{"$many": 5, "of": V}` | an array of V for n = 0 to 4 |
//! | `{"$manyFields": 5}` | a document with fields f0 to f4 |
//! | `{"$nest": 9}`, `{"$nestArray": 9}` | nine documents or arrays in each other |
//! | `{"$pairs": [[name, value]]}` | a document whose names may repeat |
//! | `{"$hex": "…"}` | a document byte by byte |

use anyhow::{Context, Result, bail};
use bson::raw::CString;
use bson::{Bson, RawArrayBuf, RawBson, RawDocumentBuf};
use serde_json::{Map, Value};

/// The place of a value in a recipe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub database: &'a str,
    /// The number of the repetition.
    pub n: i32,
}

const START_OF_2020_MS: i64 = 1_577_836_800_000;
/// The names that stand for a single BSON value in Extended JSON.
const EXTENDED: [&str; 14] = [
    "$oid",
    "$binary",
    "$date",
    "$numberDecimal",
    "$numberLong",
    "$numberDouble",
    "$code",
    "$symbol",
    "$regularExpression",
    "$minKey",
    "$maxKey",
    "$timestamp",
    "$undefined",
    "$dbPointer",
];

impl Place<'_> {
    pub(super) fn text(&self, text: &str) -> String {
        text.replace("{db}", self.database).replace("{n}", &self.n.to_string())
    }

    /// Returns a document, such as a command.
    pub(super) fn document(&self, value: &Value) -> Result<RawDocumentBuf> {
        match self.value(value)? {
            RawBson::Document(document) => Ok(document),
            _ => bail!("{value} is no document"),
        }
    }

    fn value(&self, value: &Value) -> Result<RawBson> {
        match value {
            Value::String(text) => Ok(RawBson::String(self.text(text))),
            Value::Array(values) => array(values.iter().map(|value| self.value(value))),
            Value::Object(fields) => match fields.iter().next() {
                Some((name, argument)) if name.starts_with('$') => {
                    self.special(name, argument, fields)
                }
                _ => self.fields(fields),
            },
            _ => simple(value),
        }
    }

    fn fields(&self, fields: &Map<String, Value>) -> Result<RawBson> {
        document(fields.iter().map(|(name, value)| Ok((self.text(name), self.value(value)?))))
    }

    fn special(
        &self,
        name: &str,
        argument: &Value,
        fields: &Map<String, Value>,
    ) -> Result<RawBson> {
        let count = || usize::try_from(argument.as_u64().context("a count")?).context("a count");
        match name {
            "$n" => {
                Ok(RawBson::Int32(self.n * i32::try_from(argument.as_i64().context("a number")?)?))
            }
            "$nDate" => {
                let apart = argument.as_i64().context("milliseconds")?;
                let at = START_OF_2020_MS + apart * i64::from(self.n);
                Ok(RawBson::DateTime(bson::DateTime::from_millis(at)))
            }
            "$fill" => Ok(RawBson::String(fill(argument)?)),
            "$many" => {
                let of = fields.get("of").context("many of what")?;
                array((0..i32::try_from(count()?)?).map(|n| Place { n, ..*self }.value(of)))
            }
            "$manyFields" => document(
                (0..i32::try_from(count()?)?).map(|n| Ok((format!("f{n}"), RawBson::Int32(n)))),
            ),
            "$nest" => nested(count()?, |inner| document([Ok(("n".to_owned(), inner))])),
            "$nestArray" => nested(count()?, |inner| array([Ok(inner)])),
            "$pairs" => self.pairs(argument),
            "$hex" => {
                let text = argument.as_str().context("hexadecimal digits")?;
                Ok(RawBson::Document(RawDocumentBuf::from_bytes(bytes(text)?)?))
            }
            // The pipeline of a view may have a stage of that name.
            "$code" if argument.is_object() => self.fields(fields),
            _ if EXTENDED.contains(&name) => simple(&Value::Object(fields.clone())),
            _ => self.fields(fields),
        }
    }

    fn pairs(&self, pairs: &Value) -> Result<RawBson> {
        document(pairs.as_array().context("pairs are an array")?.iter().map(|pair| {
            let name = match &pair[0] {
                Value::String(name) => self.text(name),
                long => fill(&long["$fill"])?,
            };
            Ok((name, self.value(&pair[1])?))
        }))
    }
}

fn simple(value: &Value) -> Result<RawBson> {
    let value = Bson::try_from(value.clone()).with_context(|| format!("{value}"))?;
    Ok(RawBson::try_from(value)?)
}

fn array(values: impl IntoIterator<Item = Result<RawBson>>) -> Result<RawBson> {
    let mut array = RawArrayBuf::new();
    for value in values {
        array.push(value?);
    }
    Ok(RawBson::Array(array))
}

fn document(fields: impl IntoIterator<Item = Result<(String, RawBson)>>) -> Result<RawBson> {
    let mut document = RawDocumentBuf::new();
    for field in fields {
        let (name, value) = field?;
        document.append(CString::try_from(name)?, value);
    }
    Ok(RawBson::Document(document))
}

fn nested(depth: usize, wrap: impl Fn(RawBson) -> Result<RawBson>) -> Result<RawBson> {
    (0..depth).try_fold(RawBson::Int32(1), |inner, _| wrap(inner))
}

fn fill(argument: &Value) -> Result<String> {
    let (text, times) = argument[0].as_str().zip(argument[1].as_u64()).context("text and times")?;
    Ok(text.repeat(usize::try_from(times)?))
}

fn bytes(hexadecimal: &str) -> Result<Vec<u8>> {
    (0..hexadecimal.len())
        .step_by(2)
        .map(|at| Ok(u8::from_str_radix(&hexadecimal[at..at + 2], 16)?))
        .collect()
}

#[test]
fn short_forms_are_spelled_out() -> Result<()> {
    let place = Place { database: "d", n: 2 };
    let command = serde_json::json!({"{db}": {"$many": 2, "of": {"k{n}": {"$n": 3}}}, "x": {"$pairs": [["a", 1], ["a", 2]]}});
    let raw = place.document(&command)?;
    let names: Vec<_> =
        raw.get_document("x")?.into_iter().flatten().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["a", "a"]);
    let many = bson::Document::try_from(raw.as_ref())?.get_array("d")?.clone();
    assert_eq!(many, [Bson::from(bson::doc! {"k0": 0}), Bson::from(bson::doc! {"k1": 3})]);
    Ok(())
}
