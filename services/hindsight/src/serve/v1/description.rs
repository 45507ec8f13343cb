//! The description as it is answered: what is made from the handlers, with what the standard wants
//! beyond that.

use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

/// utoipa 6 writes `u-int32`; the registry of formats has `uint32`.
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

/// OpenAPI 3.1 wants a text with every response.
fn describe(status: &str, response: &mut Value) {
    let text = if status.starts_with('2') { "the answer" } else { "why there is no answer" };
    let Value::Object(fields) = response else { return };
    if !fields.contains_key("description") {
        let rest = std::mem::replace(fields, Map::from_iter([("description".into(), text.into())]));
        fields.extend(rest);
    }
}
