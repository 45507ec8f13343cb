//! `$type`.

use hindsight_oplog::raw::kind;

use crate::error::{QueryError, shown};
use crate::value::Value;

/// The names of the types and their type bytes. The type byte is the number of the type, except
/// that the number of the minimum key is -1.
const NAMES: [(&str, u8); 21] = [
    ("double", kind::DOUBLE),
    ("string", kind::STRING),
    ("object", kind::DOCUMENT),
    ("array", kind::ARRAY),
    ("binData", kind::BINARY),
    ("undefined", kind::UNDEFINED),
    ("objectId", kind::OBJECT_ID),
    ("bool", kind::BOOL),
    ("date", kind::DATE),
    ("null", kind::NULL),
    ("regex", kind::REGEX),
    ("dbPointer", kind::DB_POINTER),
    ("javascript", kind::CODE),
    ("symbol", kind::SYMBOL),
    ("javascriptWithScope", kind::CODE_WITH_SCOPE),
    ("int", kind::INT32),
    ("timestamp", kind::TIMESTAMP),
    ("long", kind::INT64),
    ("decimal", kind::DECIMAL128),
    ("maxKey", kind::MAX_KEY),
    ("minKey", kind::MIN_KEY),
];

/// A set of types: one bit for each entry of [`NAMES`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TypeSet(u32);

impl TypeSet {
    /// Parses the name or number of a type, `"number"`, or an array of these.
    pub(super) fn parse(field: &[u8], value: Value<'_>) -> Result<Self, QueryError> {
        let mut set = Self::default();
        match value.embedded().filter(|_| value.kind == kind::ARRAY) {
            Some(types) => {
                for element in types.elements() {
                    set.add(field, element?.into())?;
                }
            }
            None => set.add(field, value)?,
        }
        if set == Self::default() {
            return Err(QueryError::invalid(field, "$type takes at least one type"));
        }
        Ok(set)
    }

    fn add(&mut self, field: &[u8], value: Value<'_>) -> Result<(), QueryError> {
        if value.kind == kind::STRING && value.text() == b"number" {
            for kind in [kind::DOUBLE, kind::INT32, kind::INT64, kind::DECIMAL128] {
                self.0 |= bit(kind);
            }
            return Ok(());
        }
        let bit = match value.kind {
            kind::STRING => named(value.text()),
            _ => value.exact_integer().map_or(0, numbered),
        };
        if bit == 0 {
            return Err(QueryError::invalid(field, unknown(value)));
        }
        self.0 |= bit;
        Ok(())
    }

    pub(super) fn contains(self, kind: u8) -> bool {
        self.0 & bit(kind) != 0
    }
}

/// Returns the bit of a type, or 0 for a type that does not exist.
fn bit(kind: u8) -> u32 {
    NAMES.iter().position(|&(_, known)| known == kind).map_or(0, |at| 1 << at)
}

fn named(name: &[u8]) -> u32 {
    NAMES.iter().find(|(known, _)| known.as_bytes() == name).map_or(0, |&(_, kind)| bit(kind))
}

fn numbered(number: i64) -> u32 {
    match u8::try_from(number) {
        Ok(kind::MIN_KEY) => 0,
        Ok(kind) => bit(kind),
        Err(_) if number == -1 => bit(kind::MIN_KEY),
        Err(_) => 0,
    }
}

fn unknown(value: Value<'_>) -> String {
    const REMEDY: &str = "use a type's name or number, or \"number\"; for missing fields, $exists";
    match value.kind {
        kind::STRING => format!("$type knows no {}; {REMEDY}", shown(value.text())),
        _ if value.is_number() => format!("$type knows no type of this number; {REMEDY}"),
        _ => format!("$type takes no value of such a type; {REMEDY}"),
    }
}
