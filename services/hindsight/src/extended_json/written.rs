//! Documents written as JSON straight from their bytes: a tree of all values in between takes thirty times their size.

use anyhow::{Context, Result};
use bson::{Bson, RawArray, RawBsonRef, RawDocument};
use hindsight_oplog::raw::Doc;
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::json::Notation;

/// A document that serializes as Extended JSON v2, fields in order.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a>(Fields<'a>);

impl<'a> Written<'a> {
    /// # Errors
    /// Bytes that are no BSON. Strings that are not UTF-8 are found when it is serialized.
    pub fn of(bytes: &'a [u8], notation: Notation) -> Result<Self> {
        // Nesting has no other limit there, and every level takes some of the stack.
        Doc::new(bytes).and_then(Doc::validate).context("read a document")?;
        let document = RawDocument::from_bytes(bytes).context("read a document")?;
        Ok(Self(Fields { document, notation }))
    }
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

#[derive(Clone, Copy, Debug)]
struct Fields<'a> {
    document: &'a RawDocument,
    notation: Notation,
}

struct Elements<'a> {
    array: &'a RawArray,
    notation: Notation,
}

struct Value<'a> {
    value: RawBsonRef<'a>,
    notation: Notation,
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        for field in self.document {
            let (name, value) = field.map_err(S::Error::custom)?;
            map.serialize_entry(name.as_str(), &Value { value, notation: self.notation })?;
        }
        map.end()
    }
}

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut sequence = to.serialize_seq(None)?;
        for value in self.array {
            let value = value.map_err(S::Error::custom)?;
            sequence.serialize_element(&Value { value, notation: self.notation })?;
        }
        sequence.end()
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let notation = self.notation;
        match (self.value, notation) {
            (RawBsonRef::Document(document), _) => Fields { document, notation }.serialize(to),
            (RawBsonRef::Array(array), _) => Elements { array, notation }.serialize(to),
            (RawBsonRef::String(text), _) => to.serialize_str(text),
            (RawBsonRef::Boolean(value), _) => to.serialize_bool(value),
            (RawBsonRef::Null, _) => to.serialize_unit(),
            (RawBsonRef::Int32(number), Notation::Relaxed) => to.serialize_i32(number),
            (RawBsonRef::Int64(number), Notation::Relaxed) => to.serialize_i64(number),
            (RawBsonRef::Int32(number), _) => typed(to, "$numberInt", &number.to_string()),
            (RawBsonRef::Int64(number), _) => typed(to, "$numberLong", &number.to_string()),
            (RawBsonRef::ObjectId(id), _) => typed(to, "$oid", &id.to_hex()),
            (value, _) => as_the_library_does(value, notation, to),
        }
    }
}

fn typed<S: Serializer>(to: S, name: &'static str, text: &str) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(1))?;
    map.serialize_entry(name, text)?;
    map.end()
}

fn as_the_library_does<S: Serializer>(
    value: RawBsonRef<'_>,
    notation: Notation,
    to: S,
) -> Result<S::Ok, S::Error> {
    let value = Bson::try_from(value).map_err(S::Error::custom)?;
    match notation {
        Notation::Canonical => value.into_canonical_extjson().serialize(to),
        Notation::Relaxed => value.into_relaxed_extjson().serialize(to),
    }
}

#[cfg(test)]
mod tests {
    use bson::oid::ObjectId;
    use bson::spec::BinarySubtype;
    use bson::{Binary, DateTime, Decimal128, Document, Regex, Timestamp, doc};
    use proptest::prelude::*;

    use super::*;
    use crate::extended_json::{of, relaxed};

    fn any_value() -> impl Strategy<Value = Bson> {
        let number = any::<i64>();
        let leaf = prop_oneof![
            any::<f64>().prop_map(Bson::Double),
            prop_oneof![
                Just(0.0),
                Just(-0.0),
                Just(f64::NAN),
                Just(f64::NEG_INFINITY),
                Just(1e300)
            ]
            .prop_map(Bson::Double),
            ".{0,12}".prop_map(Bson::String),
            any::<bool>().prop_map(Bson::Boolean),
            Just(Bson::Null),
            Just(Bson::Undefined),
            Just(Bson::MinKey),
            Just(Bson::MaxKey),
            any::<i32>().prop_map(Bson::Int32),
            number.prop_map(Bson::Int64),
            number.prop_map(|it| Bson::DateTime(DateTime::from_millis(it))),
            (any::<u32>(), any::<u32>())
                .prop_map(|(time, increment)| Bson::Timestamp(Timestamp { time, increment })),
            any::<[u8; 12]>().prop_map(|it| Bson::ObjectId(ObjectId::from_bytes(it))),
            any::<[u8; 16]>().prop_map(|it| Bson::Decimal128(Decimal128::from_bytes(it))),
            (any::<[u8; 5]>(), prop_oneof![Just(BinarySubtype::Generic), Just(BinarySubtype::Md5)])
                .prop_map(|(bytes, subtype)| Bson::Binary(Binary { subtype, bytes: bytes.into() })),
            any::<[u8; 16]>().prop_map(|it| Bson::Binary(Binary {
                subtype: BinarySubtype::Uuid,
                bytes: it.into()
            })),
            "[a-z.*]{0,6}".prop_map(|text| Bson::RegularExpression(Regex {
                pattern: text.try_into().expect("no NUL"),
                options: "i".to_owned().try_into().expect("no NUL"),
            })),
            "[a-z]{0,6}".prop_map(Bson::JavaScriptCode),
            "[a-z]{0,6}".prop_map(Bson::Symbol),
        ];
        leaf.prop_recursive(4, 40, 6, |inside| {
            prop_oneof![
                prop::collection::vec(inside.clone(), 0..6).prop_map(Bson::Array),
                prop::collection::vec(("[a-z$.]{0,6}", inside), 0..6)
                    .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// The tree that the library makes, and what is written without one, are the same text.
        #[test]
        fn it_is_what_the_library_writes(value in any_value()) {
            let bytes = doc! {"_id": 1, "value": value}.to_vec().expect("BSON");
            let written = |notation| {
                let written = Written::of(&bytes, notation).expect("a document");
                serde_json::to_string(&written).expect("valid")
            };
            prop_assert_eq!(written(Notation::Canonical), of(&bytes).expect("valid").to_string());
            prop_assert_eq!(written(Notation::Relaxed), relaxed(&bytes).expect("valid").to_string());
        }
    }

    #[test]
    fn what_json_cannot_carry_is_an_error() {
        assert!(Written::of(b"\x05\0\0\0", Notation::Canonical).is_err());
        let mut bytes =
            Document::from_iter([("a".to_owned(), Bson::from("xy"))]).to_vec().expect("BSON");
        let at = bytes.windows(2).position(|it| it == b"xy").expect("it is there");
        bytes[at] = 0xff;
        let is_written = Written::of(&bytes, Notation::Canonical)
            .is_ok_and(|written| serde_json::to_string(&written).is_ok());
        assert!(!is_written);
    }
}
