use std::time::Duration;

use clap::Args;
use hindsight_api::calls::get_status::StatusJson;
use hindsight_proto::v1::GetStatusRequest;
use hindsight_remedy::from_values;
use serde_json::Value;

use super::ask::Ask;
use super::print::{print_json, print_line};
use crate::backend::{Backend, Needs};
use crate::exit::{Exit, Result};
use crate::global::{Global, Output};
use crate::remedies::typed;

/// Show positions, lags, windows and errors of the running process.
#[derive(Debug, Args)]
pub(crate) struct Status;

impl Ask for Status {
    fn needs(&self) -> Needs {
        Needs::Process { patience: Duration::ZERO }
    }

    async fn ask(&self, global: &Global, backend: &Backend) -> Result<Exit> {
        let answer = backend.hindsight().get_status(GetStatusRequest {}).await?.into_inner();
        let mut status = serde_json::to_value(StatusJson::from(answer))?;
        match global.output {
            Output::Json => print_json(&status)?,
            Output::Text => {
                put_into_words(&mut status);
                print_tree(&status, 0)?;
            }
        }
        Ok(Exit::Done)
    }
}

/// Replaces the remedies with what to type, and leaves the line out where there are none.
fn put_into_words(status: &mut Value) {
    let Some(remedies) = status["remedies"].take().as_array().map(|it| from_values(it)) else {
        return;
    };
    if !remedies.is_empty() {
        status["remedies"] = remedies.iter().map(typed).collect();
    }
}

/// Prints the object as indented `name: value` lines, with positions as `t,i`.
fn print_tree(value: &Value, depth: usize) -> Result<()> {
    let Some(fields) = value.as_object() else { return Ok(()) };
    let indent = "  ".repeat(depth);
    for (name, value) in fields {
        match value {
            Value::Object(_) if position(value).is_none() => {
                print_line(&format!("{indent}{name}:"))?;
                print_tree(value, depth + 1)?;
            }
            Value::Array(items) if items.is_empty() => {
                print_line(&format!("{indent}{name}: none"))?
            }
            Value::Array(items) => {
                print_line(&format!("{indent}{name}:"))?;
                for item in items {
                    print_line(&format!("{indent}  - {item}"))?;
                }
            }
            Value::Null => {}
            Value::String(text) => print_line(&format!("{indent}{name}: {text}"))?,
            other => {
                let text = position(other).unwrap_or_else(|| other.to_string());
                print_line(&format!("{indent}{name}: {text}"))?;
            }
        }
    }
    Ok(())
}

fn position(value: &Value) -> Option<String> {
    Some(format!("{},{}", value.get("t")?, value.get("i")?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn remedies_are_shown_as_what_to_type() {
        let mut status = json!({"errors": ["e"], "remedies": ["allow_primary", "of_tomorrow"]});
        put_into_words(&mut status);
        assert_eq!(status["remedies"], json!(["start with --allow-primary"]));
        let mut status = json!({"errors": [], "remedies": []});
        put_into_words(&mut status);
        assert_eq!(status["remedies"], Value::Null);
    }
}
