//! The words in which the audit file says what a call is about.

use hindsight_extended_json::Notation;
use hindsight_mongo::connection_string;
use hindsight_proto::v1 as api;
use serde::Serialize;
use serde_json::{Value, json};

use crate::extended_json::written;

/// Returns a time as it was typed.
pub(crate) fn time(time: &Option<api::TimeSpec>) -> Value {
    match time {
        None => Value::Null,
        Some(time) if time.exclusive => json!({"before": time.text}),
        Some(time) => json!(time.text),
    }
}

/// Returns BSON as people read it. For bytes that are not BSON, returns their length.
pub(crate) fn document(bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Null;
    }
    match written(bytes, Notation::Canonical) {
        Ok(written) => told(&written),
        Err(_) => json!({"unreadable_bytes": bytes.len()}),
    }
}

/// Returns the `_id` in a document `{_id: …}`.
pub(crate) fn id(bytes: &[u8]) -> Value {
    match written(bytes, Notation::Canonical).ok().and_then(|written| written.value(b"_id")) {
        Some(id) => told(&id),
        // The bytes are not a document with an `_id`: show them as they are.
        None => document(bytes),
    }
}

/// Returns a value as JSON, or as its JSON text where an object would lose something, such as a
/// field that occurs twice.
fn told(value: &impl Serialize) -> Value {
    let Ok(text) = serde_json::to_string(value) else { return Value::Null };
    match serde_json::from_str::<Value>(&text) {
        Ok(value) if serde_json::to_string(&value).is_ok_and(|again| again == text) => value,
        _ => Value::String(text),
    }
}

/// Returns an object of those fields that the request gives.
pub(crate) fn given<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let is_given = |value: &Value| {
        !value.is_null() && *value != json!("") && *value != json!(0) && *value != json!(false)
    };
    let fields = fields.into_iter().filter(|(_, value)| is_given(value));
    Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Returns which state is restored, and where to: only the hosts of the target.
pub(crate) fn restore(restore: Option<&api::RestoreSpec>) -> Value {
    let Some(restore) = restore else { return json!({}) };
    given([
        ("time", time(&restore.time)),
        ("to", hosts(&restore.to).into()),
        ("allow_non_empty", restore.allow_non_empty.into()),
        ("leave_out_unrestorable", restore.leave_out_unrestorable.into()),
    ])
}

/// Stands for a connection string in which the hosts cannot be told apart from a password.
const UNREADABLE: &str = "(unreadable)";

/// Returns the hosts of a connection string, without user, password and options.
fn hosts(uri: &str) -> &str {
    if uri.is_empty() { "" } else { connection_string::hosts(uri).unwrap_or(UNREADABLE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_told_without_user_and_password() {
        for (uri, shown) in [
            ("mongodb://u:p@db1:27017,db2/x?authSource=admin", "db1:27017,db2"),
            ("mongodb+srv://u:p%40@db.example", "db.example"),
            ("mongodb://u:p@ss@db1/", "db1"),
            ("mongodb://u:p/w@db1/", "db1"),
            ("mongodb://u:p?w@db1/", UNREADABLE),
            ("mongodb://admin:hunter2", UNREADABLE),
            ("mongodb://admin:12?hunter2@db1/", UNREADABLE),
            ("u:secret", UNREADABLE),
            ("", ""),
        ] {
            assert_eq!(hosts(uri), shown, "{uri}");
        }
    }

    #[test]
    fn only_what_was_given_is_told() {
        let fields = [("ns", "a.b".into()), ("limit", 0.into()), ("id", id(b""))];
        assert_eq!(given(fields), json!({"ns": "a.b"}));
        assert_eq!(id(&[1, 2]), json!({"unreadable_bytes": 2}));
        // {"a": 1, "a": 2}
        let twice = b"\x13\0\0\0\x10a\0\x01\0\0\0\x10a\0\x02\0\0\0\0";
        assert_eq!(document(twice), r#"{"a":{"$numberInt":"1"},"a":{"$numberInt":"2"}}"#);
    }
}
