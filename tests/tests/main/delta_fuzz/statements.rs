//! Random statements of an `update` command: operators, a pipeline, or a whole new document.

use bson::{Bson, Document, doc};
use hindsight_tests::workload::respelled;
use rand::Rng;
use rand::rngs::StdRng;

use super::{documents, operators, pipelines};

/// Returns a random update of a document. The server may refuse the update, or find that it changes
/// nothing.
pub(super) fn statement(random: &mut StdRng, document: &Document) -> Document {
    let id = document.get("_id").cloned().unwrap_or(Bson::Null);
    let mut statement = doc! {"q": {"_id": {"$eq": id}}};
    match random.random_range(0..100) {
        0..50 => {
            let (operators, filters) = operators::update(random, document);
            statement.insert("u", operators);
            if !filters.is_empty() {
                statement.insert("arrayFilters", filters);
            }
        }
        50..92 => {
            statement.insert("u", pipelines::pipeline(random, document));
        }
        _ => {
            statement.insert("u", replacement(random, document));
        }
    }
    statement
}

fn replacement(random: &mut StdRng, document: &Document) -> Document {
    let like = if random.random() {
        documents::changed(random, document, 0)
    } else {
        documents::document(random, 0)
    };
    let mut fields: Vec<(String, Bson)> =
        like.into_iter().filter(|(name, _)| name != "_id").collect();
    // An operator-like name at the front would make this an update with operators.
    fields.sort_by_key(|(name, _)| name.starts_with('$'));
    if let (Some(id), true) = (document.get("_id"), random.random()) {
        let at = random.random_range(0..=fields.len());
        fields.insert(at, ("_id".to_owned(), respelled(random, id)));
    }
    fields.into_iter().collect()
}
