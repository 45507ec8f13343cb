//! Ids as people type them.

use bson::{RawBson, RawDocumentBuf, oid::ObjectId, rawdoc};
use serde::de::IgnoredAny;

use crate::extended_json;

/// The error for a text that is not an id. It says what is wrong with the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(pub String);

/// Parses an `_id`: Extended JSON, 24 hex digits as an ObjectId, or any other bare word as a
/// string. Returns the document `{_id: …}`.
pub fn parse(text: &str) -> Result<RawDocumentBuf, InvalidId> {
    Ok(rawdoc! {"_id": parse_value(text)?})
}

fn parse_value(text: &str) -> Result<RawBson, InvalidId> {
    // This comes first because 24 decimal digits are also a JSON number.
    if text.len() == 24
        && let Ok(oid) = ObjectId::parse_str(text)
    {
        return Ok(RawBson::ObjectId(oid));
    }
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        if text.is_empty() || text.starts_with(['{', '[', '"']) {
            return Err(InvalidId(format!(
                "the id {text:?} is not complete JSON. Quote it for the shell, for example \
                 '{{\"$oid\":\"65f0c0ffee0000000000cafe\"}}' or '\"abc\"'"
            )));
        }
        return Ok(RawBson::String(text.to_owned()));
    }
    extended_json::parse_value(text)
        .map_err(|error| InvalidId(format!("the id {text:?}: {error:#}")))
}

#[cfg(test)]
mod tests {
    use bson::{Bson, doc};

    use super::*;

    #[test]
    fn every_spelling() {
        let oid = "65f0c0ffee0000000000cafe";
        let cases: [(&str, Bson); 9] = [
            ("42", Bson::Int32(42)),
            ("-1", Bson::Int32(-1)),
            ("5000000000", Bson::Int64(5_000_000_000)),
            ("1.5", Bson::Double(1.5)),
            ("\"42\"", Bson::String("42".into())),
            ("abc", Bson::String("abc".into())),
            (oid, Bson::ObjectId(ObjectId::parse_str(oid).expect("hex"))),
            (
                "{\"$oid\":\"65f0c0ffee0000000000cafe\"}",
                Bson::ObjectId(ObjectId::parse_str(oid).expect("hex")),
            ),
            ("{\"a\":1}", Bson::Document(doc! {"a": 1})),
        ];
        for (text, expected) in cases {
            let wanted = doc! {"_id": expected}.to_vec().expect("BSON");
            assert_eq!(parse(text).expect(text).as_bytes(), wanted, "{text}");
        }
    }

    #[test]
    fn broken_json_is_a_usage_error_not_a_string() {
        for text in ["{\"$oid\":", "\"abc", "[1,", ""] {
            let failure = parse(text).expect_err(text);
            assert!(failure.to_string().contains("JSON"), "{failure}");
        }
        assert!(parse("{\"$oid\":\"xyz\"}").is_err());
    }
}
