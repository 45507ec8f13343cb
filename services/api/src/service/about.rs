//! Describes for the audit file what a call is about, and how much of it was answered.

use hindsight_extended_json::Notation;
use hindsight_mongo::connection_string;
use hindsight_proto::longrunning as ops;
use hindsight_proto::v1 as api;
use serde::Serialize;
use serde_json::{Value, json};

use crate::extended_json::written;

/// Describes a request. The description never holds a connection string, because connection strings
/// may hold passwords.
pub(super) trait About {
    fn about(&self) -> Value;
}

/// Counts the documents, versions, changes or entries in an answer.
pub(super) trait Counted {
    fn documents(&self) -> u64 {
        0
    }
}

fn time(time: &Option<api::TimeSpec>) -> Value {
    match time {
        None => Value::Null,
        Some(time) if time.exclusive => json!({"before": time.text}),
        Some(time) => json!(time.text),
    }
}

/// Returns BSON as people read it. For bytes that are not BSON, returns their length.
fn document(bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Null;
    }
    match written(bytes, Notation::Canonical) {
        Ok(written) => told(&written),
        Err(_) => json!({"unreadable_bytes": bytes.len()}),
    }
}

fn id(bytes: &[u8]) -> Value {
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

fn given<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let is_given = |value: &Value| {
        !value.is_null() && *value != json!("") && *value != json!(0) && *value != json!(false)
    };
    let fields = fields.into_iter().filter(|(_, value)| is_given(value));
    Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).collect())
}

macro_rules! about {
    ($($request:ty: $this:ident => $about:expr;)*) => { $(
        impl About for $request {
            fn about(&self) -> Value {
                let $this = self;
                $about
            }
        }
    )* };
}

about! {
    api::GetStatusRequest: _it => Value::Null;
    api::ListWindowsRequest: _it => Value::Null;
    api::ListBasesRequest: _it => Value::Null;
    api::WaitRestorableRequest: it => given([("time", time(&it.time))]);
    api::ResolveTimeRequest: it => given([("time", time(&it.time))]);
    api::GetTimelineRequest: it => given([("ns", json!(it.ns))]);
    api::SearchEntriesRequest: it => given([
        ("ns", json!(it.ns)), ("op", json!(it.op.join(","))), ("id", id(&it.id)), ("from", time(&it.from)),
        ("to", time(&it.to)), ("limit", json!(it.limit)), ("transaction", json!(it.transaction)),
        ("session", json!(it.session)), ("changed_field", json!(it.changed_field)), ("grep", json!(it.grep)),
        ("filter", document(&it.filter)), ("follow", json!(it.follow)),
    ]);
    api::GetDocumentRequest: it => given([("ns", json!(it.ns)), ("id", id(&it.id)), ("at", time(&it.at))]);
    api::ListVersionsRequest: it => given([("ns", json!(it.ns)), ("id", id(&it.id))]);
    api::ScanCollectionRequest: it => given([
        ("ns", json!(it.ns)), ("at", time(&it.at)), ("limit", json!(it.limit)), ("filter", document(&it.filter)),
        ("projection", document(&it.projection)),
    ]);
    api::ListCollectionsRequest: it => given([("ns", json!(it.ns)), ("at", time(&it.at))]);
    api::DiffTimesRequest: it => given([
        ("ns", json!(it.ns)), ("from", time(&it.from)), ("to", time(&it.to)), ("filter", document(&it.filter)),
    ]);
    api::PlanRestoreRequest: it => restore(it.restore.as_ref());
    api::CreateRestoreRequest: it => {
        let mut about = restore(it.restore.as_ref());
        about["validate_only"] = json!(it.validate_only);
        about["request_id"] = json!(it.request_id);
        about
    };
    api::WatchRestoreRequest: it => given([("name", json!(it.name))]);
    api::VerifyRequest: it => given([("deep", json!(it.deep))]);
    ops::ListOperationsRequest: _it => Value::Null;
    ops::GetOperationRequest: it => given([("name", json!(it.name))]);
    ops::WaitOperationRequest: it => given([("name", json!(it.name))]);
    ops::CancelOperationRequest: it => given([("name", json!(it.name))]);
    ops::DeleteOperationRequest: it => given([("name", json!(it.name))]);
}

fn restore(restore: Option<&api::RestoreSpec>) -> Value {
    let Some(restore) = restore else { return json!({}) };
    given([
        ("time", time(&restore.time)),
        ("to", json!(hosts(&restore.to))),
        ("allow_non_empty", json!(restore.allow_non_empty)),
        ("leave_out_unrestorable", json!(restore.leave_out_unrestorable)),
    ])
}

/// Stands for a connection string in which the hosts cannot be told apart from a password.
const UNREADABLE: &str = "(unreadable)";

/// Returns the hosts of a connection string, without user, password and options.
fn hosts(uri: &str) -> &str {
    if uri.is_empty() { "" } else { connection_string::hosts(uri).unwrap_or(UNREADABLE) }
}

impl Counted for api::GetStatusResponse {}
impl Counted for api::ListWindowsResponse {}
impl Counted for api::ListBasesResponse {}
impl Counted for api::WaitRestorableResponse {}
impl Counted for api::GetTimelineResponse {}
impl Counted for api::ListCollectionsResponse {}
impl Counted for api::RestorePlan {}
impl Counted for api::VerifyResponse {}
impl Counted for ops::Operation {}
impl Counted for ops::ListOperationsResponse {}
impl Counted for () {}

impl Counted for api::ResolveTimeResponse {
    fn documents(&self) -> u64 {
        u64::from(!self.last_included.is_empty()) + u64::from(!self.first_excluded.is_empty())
    }
}

impl Counted for api::GetDocumentResponse {
    fn documents(&self) -> u64 {
        1
    }
}

impl Counted for api::ListVersionsResponse {
    fn documents(&self) -> u64 {
        self.versions.len() as u64
    }
}

impl Counted for api::SearchEntriesResponse {
    fn documents(&self) -> u64 {
        self.entries.len() as u64
    }
}

impl Counted for api::ScanCollectionResponse {
    fn documents(&self) -> u64 {
        self.documents.len() as u64
    }
}

impl Counted for api::DiffTimesResponse {
    fn documents(&self) -> u64 {
        self.changes.len() as u64
    }
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
        let wanted = api::GetDocumentRequest { ns: "a.b".into(), ..Default::default() };
        assert_eq!(wanted.about(), json!({"ns": "a.b"}));
        let odd = api::GetDocumentRequest { id: vec![1, 2].into(), ..Default::default() };
        assert_eq!(odd.about(), json!({"id": {"unreadable_bytes": 2}}));
        // {"a": 1, "a": 2}
        let twice = b"\x13\0\0\0\x10a\0\x01\0\0\0\x10a\0\x02\0\0\0\0";
        let twice =
            api::ScanCollectionRequest { filter: twice.to_vec().into(), ..Default::default() };
        let text = r#"{"a":{"$numberInt":"1"},"a":{"$numberInt":"2"}}"#;
        assert_eq!(twice.about(), json!({"filter": text}));
    }
}
