//! Answers to queries, which can differ although what is stored is equal.
//!
//! The answers are the keys of each index in the order of the index, which differ where the
//! collation does; all documents of each view and time-series; and the answers to the states' own
//! questions.

use std::collections::BTreeMap;

use anyhow::Result;
use bson::{Document, RawDocumentBuf, doc};
use hindsight_tests::dbhash::{CollectionState, Snapshot};
use mongodb::Client;

use super::make::ask;
use super::recipe::{Side, State};
use super::values::Place;

/// Answers by the question, which begins with the namespace.
pub(super) type Answers = BTreeMap<String, Vec<RawDocumentBuf>>;

pub(super) async fn of(client: &Client, held: &Snapshot, states: &[State]) -> Result<Answers> {
    let mut answers = Answers::new();
    for (namespace, collection) in &held.collections {
        let Some((database, name)) = namespace.split_once('.') else { continue };
        if collection.kind != "collection" {
            let found = ask(client, database, raw(doc! {"find": name})?).await?;
            answers.insert(format!("{namespace}: all"), sorted(found));
            continue;
        }
        for (index, spec) in &collection.indexes {
            let keys = ask(client, database, raw(keys_of(name, index, spec))?).await?;
            answers.insert(format!("{namespace}: keys of {index}"), keys);
        }
        if is_capped(collection) {
            let found = ask(client, database, raw(doc! {"find": name})?).await?;
            answers.insert(format!("{namespace}: in natural order"), found);
        }
    }
    for state in states {
        for database in [Side::Base, Side::Log].map(|side| state.database(side)) {
            for question in &state.ask {
                let command = Place { database: &database, n: 0 }.document(question)?;
                let found = ask(client, &database, command).await?;
                let ordered = question.get("sort").is_some();
                let found = if ordered { found } else { sorted(found) };
                answers.insert(format!("{database}: {question}"), found);
            }
        }
    }
    Ok(answers)
}

fn is_capped(collection: &CollectionState) -> bool {
    collection.options.get_bool("capped").unwrap_or(false)
}

/// Returns a query for the keys of an index. Where the server does not walk an index that way
/// (text, 2d, wildcard, hidden), the answer is the refusal.
fn keys_of(collection: &str, index: &str, spec: &Document) -> Document {
    let filter = spec.get_document("partialFilterExpression").cloned().unwrap_or_default();
    doc! {"find": collection, "filter": filter, "hint": index, "returnKey": true}
}

fn raw(command: Document) -> Result<RawDocumentBuf> {
    Ok(RawDocumentBuf::try_from(&command)?)
}

fn sorted(mut found: Vec<RawDocumentBuf>) -> Vec<RawDocumentBuf> {
    found.sort_by(|left, right| left.as_bytes().cmp(right.as_bytes()));
    found
}

/// Returns the answers that differ, one line for each.
pub(super) fn diff(source: &Answers, target: &Answers) -> Vec<String> {
    let nothing = Vec::new();
    let mut lines = Vec::new();
    for asked in source.keys().chain(target.keys().filter(|asked| !source.contains_key(*asked))) {
        let (left, right) = [source, target].map(|side| side.get(asked).unwrap_or(&nothing)).into();
        if left == right {
            continue;
        }
        let first = left.iter().zip(right).position(|(left, right)| left != right);
        let first = first.unwrap_or(left.len().min(right.len()));
        let show = |side: &[RawDocumentBuf]| {
            let shown =
                side.get(first).map_or_else(|| "nothing".to_owned(), |it| format!("{it:?}"));
            shown.chars().take(300).collect::<String>()
        };
        lines.push(format!(
            "{asked}: {} documents <> {}; number {first}: {} <> {}",
            left.len(),
            right.len(),
            show(left),
            show(right)
        ));
    }
    lines
}
