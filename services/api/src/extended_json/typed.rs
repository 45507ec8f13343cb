//! Parses Extended JSON as people type it into BSON. Fields keep their order, and a field that
//! occurs twice is kept twice.

use std::fmt;

use anyhow::{Context, Result};
use bson::raw::CString;
use bson::{Bson, RawArrayBuf, RawBson, RawDocumentBuf};
use hindsight_extended_json::is_type;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// # Errors
/// Returns an error when the text is not JSON, when it nests deeper than 128 levels, or when
/// Extended JSON gives it no meaning.
pub fn parse(text: &str) -> Result<RawBson> {
    let json: Json = serde_json::from_str(text).context("it is not JSON")?;
    json.into_bson()
}

enum Json {
    Object(Vec<(String, Json)>),
    Array(Vec<Json>),
    Scalar(Value),
}

impl Json {
    fn into_bson(self) -> Result<RawBson> {
        match self {
            Self::Object(fields) if fields.iter().any(|(name, _)| is_type(name.as_bytes())) => {
                scalar(Self::Object(fields).into_value())
            }
            Self::Object(fields) => {
                let mut document = RawDocumentBuf::new();
                for (name, value) in fields {
                    let name = CString::try_from(name).context("a name holds a null byte")?;
                    document.append(name, value.into_bson()?);
                }
                Ok(RawBson::Document(document))
            }
            Self::Array(values) => {
                let mut array = RawArrayBuf::new();
                for value in values {
                    array.push(value.into_bson()?);
                }
                Ok(RawBson::Array(array))
            }
            Self::Scalar(value) => scalar(value),
        }
    }

    fn into_value(self) -> Value {
        match self {
            Self::Object(fields) => {
                let fields = fields.into_iter().map(|(name, value)| (name, value.into_value()));
                Value::Object(Map::from_iter(fields))
            }
            Self::Array(values) => values.into_iter().map(Self::into_value).collect(),
            Self::Scalar(value) => value,
        }
    }
}

/// Converts a value that is neither a document nor an array, or an object that stands for such a
/// value.
fn scalar(value: Value) -> Result<RawBson> {
    let value = Bson::try_from(value).context("it is not Extended JSON")?;
    RawBson::try_from(value).context("it cannot be written as BSON")
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyJson)
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = from.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = from.next_element()? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }
}

#[cfg(test)]
mod tests {
    use bson::{doc, rawdoc};

    use super::*;

    #[test]
    fn a_field_that_comes_twice_is_kept_twice() {
        let text = r#"{"a": {"$gt": 1}, "a": {"$lt": 5}, "b": [{"c": 1, "c": 2}]}"#;
        let RawBson::Document(parsed) = parse(text).expect("JSON") else { panic!("no document") };
        let names: Vec<String> =
            parsed.iter().map(|it| it.expect("BSON").0.as_str().to_owned()).collect();
        assert_eq!(names, ["a", "a", "b"]);
        let array = parsed.get_array("b").expect("an array");
        let inner = array.get_document(0).expect("a document");
        assert_eq!(inner.iter().count(), 2);
    }

    #[test]
    fn everything_else_is_as_the_library_reads_it() {
        for text in [
            "1",
            "-5000000000",
            "1.5",
            "18446744073709551615",
            "5e-324",
            "\"x\"",
            "null",
            "true",
            "[]",
            "{}",
            r#"{"$oid":"65f0c0ffee0000000000cafe"}"#,
            r#"{"a":{"$date":{"$numberLong":"253402300800000"}},"b":{"$date":"2026-11-21T12:00:00Z"}}"#,
            r#"{"$code":"f","$scope":{"x":{"$numberInt":"1"}}}"#,
            r#"[{"$uuid":"0c5f1b1e-6f0a-4c0e-9d53-3a2f0c4c8b7e"},{"$numberDouble":"NaN"}]"#,
            r#"{"$ref":"c","$id":1,"$db":"d"}"#,
            r#"{"a.b":{"$in":[null,{"$minKey":1},{"$regularExpression":{"pattern":"a","options":"i"}}]}}"#,
        ] {
            let json: Value = serde_json::from_str(text).expect(text);
            let wanted = doc! {"v": Bson::try_from(json).expect(text)};
            let found = rawdoc! {"v": parse(text).expect(text)};
            assert_eq!(found.as_bytes(), wanted.to_vec().expect("BSON"), "{text}");
        }
        for text in
            ["", "{", "nothing", r#"{"$oid":"x"}"#, r#"{"$oid":1,"a":2}"#, r#"{"a\u0000":1}"#]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err(), "bottomless");
    }
}
