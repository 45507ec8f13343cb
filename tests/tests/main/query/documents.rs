//! Random documents with few names, so that paths coincide.

use bson::{Bson, Document, doc};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::values;

const NAMES: [&str; 8] = ["a", "a", "a", "b", "b", "c", "0", ""];

pub(super) fn whole(random: &mut StdRng, slot: usize) -> Document {
    let mut whole = doc! {"_id": id(random, slot)};
    for _ in 0..random.random_range(0..4) {
        whole.insert(*NAMES.choose(random).unwrap(), value(random, 3));
    }
    whole
}

/// Returns an id that equals no other slot's id, whatever the type of a number.
fn id(random: &mut StdRng, slot: usize) -> Bson {
    let slot = i32::try_from(slot).unwrap();
    match random.random_range(0..12) {
        0 => Bson::Double(f64::from(slot) + 0.5),
        1 => Bson::Int64(slot.into()),
        2 => Bson::String(format!("id {slot}")),
        3 => doc! {"a": slot}.into(),
        4 => doc! {"a": [slot, "x"]}.into(),
        5 => Bson::Double(if slot == 0 { f64::NAN } else { slot.into() }),
        6 if slot == 1 => Bson::Null,
        _ => Bson::Int32(slot),
    }
}

/// Returns a value. Paths are most interesting in arrays of documents and of arrays.
fn value(random: &mut StdRng, depth: u32) -> Bson {
    match random.random_range(0..10) {
        0..3 if depth > 0 => Bson::Document(fields(random, depth - 1)),
        3..7 if depth > 0 => {
            let length = random.random_range(0..4);
            let mut element = || match random.random_range(0..10) {
                0..4 => Bson::Document(fields(random, depth - 1)),
                4..6 => value(random, depth - 1),
                _ => values::scalar(random),
            };
            Bson::Array((0..length).map(|_| element()).collect())
        }
        7 => values::number(random),
        8 => values::string(random),
        _ => values::any(random, depth),
    }
}

fn fields(random: &mut StdRng, depth: u32) -> Document {
    let mut fields = Document::new();
    for _ in 0..random.random_range(0..4) {
        fields.insert(*NAMES.choose(random).unwrap(), value(random, depth));
    }
    fields
}

/// Returns a path that leads to something in the document, or nearly so, and the value there.
pub(super) fn path(random: &mut StdRng, document: &Document) -> (String, Bson) {
    let mut names: Vec<String> = Vec::new();
    let mut at = Bson::Document(document.clone());
    for step in 0..random.random_range(1..5) {
        let next = match &at {
            Bson::Document(fields) => {
                let fields: Vec<_> =
                    fields.iter().filter(|(name, _)| step > 0 || *name != "_id").collect();
                let Some((name, value)) = fields.choose(random) else { break };
                names.push((*name).clone());
                (*value).clone()
            }
            Bson::Array(elements) => {
                let Some(element) = elements.choose(random) else { break };
                if random.random_ratio(1, 3) {
                    let place = elements.iter().position(|e| e == element).unwrap_or_default();
                    names.push(place.to_string());
                }
                element.clone()
            }
            _ => break,
        };
        at = next;
    }
    if names.is_empty() || random.random_ratio(1, 8) {
        names.push((*["a", "b", "0", "1", "00", "01", ""].choose(random).unwrap()).to_owned());
    }
    if random.random_ratio(1, 20) {
        names.insert(0, (*NAMES.choose(random).unwrap()).to_owned());
    }
    (names.join("."), at)
}
