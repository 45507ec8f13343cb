//! Answers to queries: where what is stored can be equal and what is answered is not.
//!
//! Of each index its keys in its order, which differ where its collation does; of each view and
//! time-series all documents; and what the states ask for themselves.

use std::collections::BTreeMap;

use anyhow::Result;
use bson::{Document, RawDocumentBuf, doc};
use hindsight_tests::dbhash::{CollectionState, Snapshot};
use mongodb::Client;

use super::make::ask;
use super::recipe::{Side, State};
use super::values::Place;

/// Answers by what was asked, which begins with the namespace.
pub type Answers = BTreeMap<String, Vec<RawDocumentBuf>>;

pub async fn of(client: &Client, held: &Snapshot, states: &[State]) -> Result<Answers> {
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

/// Where the server does not walk an index so (text, 2d, wildcard, hidden), the answer is that it
/// refuses to.
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

/// What is answered differently, a line each.
pub fn diff(source: &Answers, target: &Answers) -> Vec<String> {
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
