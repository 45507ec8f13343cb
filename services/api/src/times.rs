//! Converts positions between the API, JSON and text for people.

use hindsight_oplog::Timestamp;
use hindsight_proto::v1;
use hindsight_replayer::Window;
use serde_json::Value;

use crate::extended_json;

pub fn to_api(ts: Timestamp) -> v1::Timestamp {
    v1::Timestamp { t: ts.seconds(), i: ts.increment() }
}

pub fn from_api(ts: v1::Timestamp) -> Timestamp {
    Timestamp::new(ts.t, ts.i)
}

pub(crate) fn window_to_api(window: Window) -> v1::Window {
    v1::Window { from: Some(to_api(window.from)), through: Some(to_api(window.through)) }
}

/// Returns the `TimeSpec` of a time as it was typed, with the time itself included.
pub fn included(text: &str) -> v1::TimeSpec {
    v1::TimeSpec { text: text.to_owned(), exclusive: false }
}

/// Returns `{"t": …, "i": …}`, or null when there is no position.
pub fn json_of(ts: Option<v1::Timestamp>) -> Value {
    ts.map_or(Value::Null, |ts| extended_json::of_timestamp(from_api(ts)))
}

/// Returns a position as UTC and `(t,i)`.
pub fn shown(ts: Option<v1::Timestamp>) -> String {
    ts.map_or_else(|| "unknown".to_owned(), |ts| from_api(ts).for_people().to_string())
}
