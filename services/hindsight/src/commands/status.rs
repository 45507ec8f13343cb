use anyhow::{Context, Result};
use hindsight_proto::v1::GetStatusRequest;
use serde_json::Value;

use super::{print_json, print_line};
use crate::backend::Backend;
use crate::cli::{Global, Output};
use crate::exit::Exit;

pub(super) async fn run(global: &Global, backend: &Backend) -> Result<Exit> {
    let answer = backend.get_status(GetStatusRequest {}).await?;
    let status: Value = serde_json::from_str(&answer.json).context("read the status")?;
    match global.output {
        Output::Json => print_json(&status)?,
        Output::Text => print_tree(&status, 0)?,
    }
    Ok(Exit::Done)
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
