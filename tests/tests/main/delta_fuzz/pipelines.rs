//! Random updates by aggregation pipeline. For these, the server compares the documents before and
//! after, and writes their difference.

use bson::{Bson, Document, doc};
use rand::Rng;
use rand::rngs::StdRng;

use super::documents;
use super::operators::Paths;

pub(super) fn pipeline(random: &mut StdRng, document: &Document) -> Vec<Document> {
    let mut stages = Vec::new();
    if random.random_ratio(2, 3) {
        let after = documents::changed(random, document, 0);
        stages.push(doc! {"$replaceWith": {"$literal": after}});
    }
    while stages.is_empty() || random.random_ratio(1, 4) {
        stages.push(stage(random, document));
    }
    stages
}

fn stage(random: &mut StdRng, document: &Document) -> Document {
    let paths = Paths::of(document);
    let value = documents::value(random, 1);
    match random.random_range(0..7) {
        0 => doc! {"$set": {paths.any(random): {"$literal": value}}},
        1 => doc! {"$unset": [paths.any(random)]},
        2 => {
            let merged = documents::document(random, 0);
            doc! {"$replaceWith": {"$mergeObjects": ["$$ROOT", {"$literal": merged}]}}
        }
        // The existing fields are put last.
        3 => {
            let id = document.get("_id").cloned().unwrap_or(Bson::Null);
            let first = documents::document(random, 0);
            let sum = [doc! {"_id": {"$literal": id}}, doc! {"$literal": first}];
            doc! {"$replaceWith": {"$mergeObjects": [&sum[0], &sum[1], "$$ROOT"]}}
        }
        4 => on_array(random, &paths, |path, random| {
            doc! {"$slice": [path, *[-2, 1, 2, 5].get(random.random_range(0..4_usize)).unwrap_or(&1)]}
        }),
        5 => on_array(random, &paths, |path, _| doc! {"$reverseArray": path}),
        _ => on_array(random, &paths, |path, _| {
            let mapped = doc! {"$cond": [{"$eq": ["$$e", 1]}, "one", "$$e"]};
            doc! {"$map": {"input": path, "as": "e", "in": mapped}}
        }),
    }
}

/// Returns a stage that changes an array of the top level, if the path leads to one.
fn on_array(
    random: &mut StdRng,
    paths: &Paths,
    change: impl FnOnce(String, &mut StdRng) -> Document,
) -> Document {
    let name = paths.top_level_array(random);
    let path = format!("${name}");
    let changed = change(path.clone(), random);
    doc! {"$set": {name: {"$cond": [{"$isArray": [&path]}, changed, &path]}}}
}
