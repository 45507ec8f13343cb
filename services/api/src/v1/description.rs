//! The description as served: generated from the handlers, and completed with what the OpenAPI
//! standard also requires.

use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

/// utoipa 6 writes `u-int32`, but the registered format is `uint32`.
const SPELLED: &str = "u-int";
const REGISTERED: &str = "uint";

pub(super) fn description_json(description: &OpenApi) -> Value {
    let mut json = serde_json::to_value(description).expect("a description is plain data");
    complete(&mut json);
    json
}

fn complete(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(format)) = fields.get_mut("format")
                && let Some(bits) = format.strip_prefix(SPELLED)
            {
                *format = format!("{REGISTERED}{bits}");
            }
            if let Some(Value::Object(responses)) = fields.get_mut("responses") {
                responses.iter_mut().for_each(|(status, response)| describe(status, response));
            }
            fields.values_mut().for_each(complete);
        }
        Value::Array(values) => values.iter_mut().for_each(complete),
        _ => {}
    }
}

/// Adds a description to a response that has none: OpenAPI 3.1 requires one.
fn describe(status: &str, response: &mut Value) {
    let text = if status.starts_with('2') { "the answer" } else { "why the call failed" };
    let Value::Object(fields) = response else { return };
    if !fields.contains_key("description") {
        let rest = std::mem::replace(fields, Map::from_iter([("description".into(), text.into())]));
        fields.extend(rest);
    }
}
