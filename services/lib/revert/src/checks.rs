//! Looks, before anything is written, whether documents can be put back one by one.

use std::collections::{BTreeMap, BTreeSet};

use bson::rawdoc;
use hindsight_mongo::Client;
use hindsight_oplog::raw::{Doc, Element};

use crate::error::RevertError;

/// What the deployment holds under each name: its entry of `listCollections`, or `None`.
pub type Held = BTreeMap<String, Option<Vec<u8>>>;

/// Asks the deployment for the collections of these namespaces.
///
/// # Errors
/// Returns [`RevertError::Deployment`] when the deployment cannot be asked.
pub async fn collections_of(
    client: &Client,
    namespaces: &BTreeSet<String>,
) -> Result<Held, RevertError> {
    let mut held = Held::new();
    for ns in namespaces {
        let (db, name) = ns.split_once('.').unwrap_or((ns, ""));
        let command = rawdoc! {"listCollections": 1, "filter": {"name": name}};
        let found = client.documents(db, command).await;
        let found = found.map_err(|it| RevertError::deployment(format!("look at {ns}"), it))?;
        held.insert(ns.clone(), found.into_iter().next());
    }
    Ok(held)
}

/// Checks that documents of every collection can be put back.
///
/// # Errors
/// Returns [`RevertError::Unsuitable`] with everything that speaks against it.
pub fn check(held: &Held) -> Result<(), RevertError> {
    let problem = |(ns, entry): (&String, &Option<Vec<u8>>)| {
        problem(ns, entry.as_deref()).map(|problem| format!("{ns}: {problem}"))
    };
    let problems: Vec<String> = held.iter().filter_map(problem).collect();
    if problems.is_empty() { Ok(()) } else { Err(RevertError::Unsuitable(problems)) }
}

fn problem(ns: &str, entry: Option<&[u8]>) -> Option<&'static str> {
    let (db, name) = ns.split_once('.').unwrap_or((ns, ""));
    if matches!(db, "admin" | "config" | "local") {
        return Some("this database is the deployment's own: leave it out");
    }
    if name.starts_with("system.buckets.") {
        return Some(
            "the buckets of a time-series cannot be put back one by one: restore the collection under another name",
        );
    }
    if name.starts_with("system.") && name != "system.js" {
        return Some("definitions are not documents: restore the views under another name");
    }
    let Some(entry) = entry.and_then(|bytes| Doc::new(bytes).ok()) else {
        return Some(
            "there is no such collection any more: restore the collection, with its options and indexes",
        );
    };
    let field =
        |doc: Doc<'_>, name: &[u8]| doc.get(name).ok().flatten().map(|it| it.value.to_vec());
    let kind = entry.get(b"type").ok().flatten().and_then(Element::as_str);
    if kind != Some("collection") {
        return Some("this is not a collection any more: leave it out");
    }
    let options = entry.get(b"options").ok().flatten().and_then(Element::as_doc);
    let is_capped = options.and_then(|it| field(it, b"capped")) == Some(vec![1]);
    is_capped.then_some(
        "the collection is capped, and documents that are put back would not be in their places: restore the collection \
         under another name",
    )
}

#[cfg(test)]
mod tests {
    use bson::{Document, doc};

    use super::*;

    #[test]
    fn everything_that_speaks_against_a_revert_is_told_at_once() {
        let entry = |document: Document| Some(document.to_vec().expect("BSON"));
        let plain = doc! {"name": "orders", "type": "collection", "options": {}};
        let mut held = Held::new();
        held.insert("shop.orders".to_owned(), entry(plain.clone()));
        check(&held).expect("nothing speaks against it");
        let capped = doc! {"name": "log", "type": "collection", "options": {"capped": true}};
        for (ns, entry) in [
            ("shop.gone", None),
            ("shop.log", entry(capped)),
            ("shop.view", entry(doc! {"name": "view", "type": "view", "options": {}})),
            ("admin.things", entry(plain.clone())),
            ("shop.system.buckets.w", entry(plain.clone())),
            ("shop.system.views", entry(plain)),
        ] {
            held.insert(ns.to_owned(), entry);
        }
        let error = check(&held).expect_err("six speak against it").to_string();
        for part in ["shop.gone: there is no", "capped", "shop.view", "admin.things", "buckets"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains("shop.orders"), "{error}");
    }
}
