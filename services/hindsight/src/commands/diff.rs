use anyhow::Result;
use bytes::Bytes;
use futures_util::StreamExt;
use hindsight_proto::v1::{Change, DiffTimesRequest};
use serde_json::Value;

use super::{bson_of, print_json, print_line, say};
use crate::backend::Backend;
use crate::cli::{Diff, Global, Output};
use crate::exit::Exit;
use crate::extended_json;
use crate::json::{ChangeJson, Notation};
use crate::times::{included, shown};

/// Characters of a field's value in a line.
const VALUE_WIDTH: usize = 60;

pub async fn run(global: &Global, diff: &Diff, backend: &Backend) -> Result<Exit> {
    let request = DiffTimesRequest {
        ns: diff.ns.clone().unwrap_or_default(),
        from: Some(included(&diff.from)),
        to: Some(included(&diff.to)),
        filter: bson_of("--filter", diff.filter.as_deref())?,
        limit: diff.limit,
    };
    let mut answers = backend.diff_times(request).await?;
    let (mut told, mut sums) = (false, [0_u64; 3]);
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        if !told {
            say(&format!("from {} to {}", shown(answer.from), shown(answer.to)));
            told = true;
        }
        for change in &answer.changes {
            match global.output {
                Output::Json => {
                    let json = ChangeJson::of(change, Notation::Canonical)?;
                    print_json(&json)?;
                }
                Output::Text => print_change(change)?,
            }
            sums[(change.kind as usize).clamp(1, 3) - 1] += 1;
        }
    }
    let is_limited = diff.limit > 0 && sums.iter().sum::<u64>() >= diff.limit;
    let more = if is_limited { "; there may be more: that is the limit" } else { "" };
    say(&format!("{} added, {} removed, {} changed{more}", sums[0], sums[1], sums[2]));
    Ok(Exit::Done)
}

/// `+ shop.orders 42`, `- …`, or `~ …` with a line for each field.
fn print_change(change: &Change) -> Result<()> {
    let side = |bytes: &Option<Bytes>| bytes.as_deref().map(extended_json::relaxed).transpose();
    let (before, after) = (side(&change.before)?, side(&change.after)?);
    let (ns, id) = (&change.ns, &extended_json::relaxed(&change.id)?["_id"]);
    match (&before, &after) {
        (None, Some(after)) => print_line(&format!("+ {ns} {id}  {}", shorten(after))),
        (Some(before), None) => print_line(&format!("- {ns} {id}  {}", shorten(before))),
        (before, after) => {
            print_line(&format!("~ {ns} {id}"))?;
            for field in &change.fields {
                let (before, after) = (at(before.as_ref(), field), at(after.as_ref(), field));
                print_line(&format!("    {field}: {before} -> {after}"))?;
            }
            Ok(())
        }
    }
}

/// The value at a dotted path, shortened; `nothing` where there is none.
fn at(document: Option<&Value>, path: &str) -> String {
    let found = path.split('.').try_fold(document, |value, name| {
        Some(match value? {
            Value::Array(items) => name.parse::<usize>().ok().and_then(|at| items.get(at)),
            value => value.get(name),
        })
    });
    found.flatten().map_or_else(|| "nothing".to_owned(), shorten)
}

fn shorten(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE_WIDTH) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_through_documents_and_arrays() {
        let document = json!({"a": [{"b": 1}, 2], "c": {"d": "x"}});
        let found = |path| at(Some(&document), path);
        assert_eq!(
            [found("a.0.b"), found("a.1"), found("c.d"), found("c.e"), found("a.x")],
            ["1", "2", "\"x\"", "nothing", "nothing"]
        );
        assert_eq!(at(None, "a"), "nothing");
    }
}
