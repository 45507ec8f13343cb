//! Random updates by operators.

use bson::{Bson, Document, doc};
use rand::Rng;
use rand::rngs::StdRng;

use super::documents;

/// Everything in a document that a path can name.
pub(super) struct Paths {
    all: Vec<String>,
    arrays: Vec<String>,
    documents: Vec<String>,
}

impl Paths {
    pub(super) fn of(document: &Document) -> Self {
        let mut paths = Self { all: Vec::new(), arrays: Vec::new(), documents: Vec::new() };
        for (name, value) in document.iter().filter(|(name, _)| *name != "_id") {
            paths.add(name.clone(), name, value);
        }
        paths
    }

    fn add(&mut self, path: String, name: &str, value: &Bson) {
        if name.is_empty() || name.contains('.') || name.starts_with('$') {
            return;
        }
        match value {
            Bson::Document(inner) => {
                for (name, value) in inner {
                    self.add(format!("{path}.{name}"), name, value);
                }
                self.documents.push(path.clone());
            }
            Bson::Array(elements) => {
                for (index, value) in elements.iter().enumerate() {
                    self.add(format!("{path}.{index}"), "0", value);
                }
                self.arrays.push(path.clone());
            }
            _ => {}
        }
        self.all.push(path);
    }

    fn one(random: &mut StdRng, paths: &[String]) -> Option<String> {
        (!paths.is_empty()).then(|| paths[random.random_range(0..paths.len())].clone())
    }

    /// Returns mostly a path that exists, sometimes a new path beside or below an existing one.
    pub(super) fn any(&self, random: &mut StdRng) -> String {
        let within = match random.random_range(0..10) {
            0..7 => return Self::one(random, &self.all).unwrap_or_else(|| "new".to_owned()),
            7 => Self::one(random, &self.documents),
            8 => {
                let index = random.random_range(0..12);
                return self.array(random) + &format!(".{index}");
            }
            _ => None,
        };
        let new = ["a", "b", "n", "x", "0", "12", "new", "u", "s"][random.random_range(0..9)];
        within.map_or_else(|| new.to_owned(), |within| format!("{within}.{new}"))
    }

    fn array(&self, random: &mut StdRng) -> String {
        Self::one(random, &self.arrays).unwrap_or_else(|| "list".to_owned())
    }

    pub(super) fn top_level_array(&self, random: &mut StdRng) -> String {
        let top: Vec<String> =
            self.arrays.iter().filter(|path| !path.contains('.')).cloned().collect();
        Self::one(random, &top).unwrap_or_else(|| "list".to_owned())
    }
}

/// Returns operators, and the `arrayFilters` that they need.
pub(crate) fn update(random: &mut StdRng, document: &Document) -> (Document, Vec<Document>) {
    let paths = Paths::of(document);
    let (mut update, mut taken, mut filters) = (Document::new(), Vec::new(), Vec::new());
    for _ in 0..random.random_range(1..7) {
        let (operator, path, operand) = match random.random_range(0..20) {
            0..10 => on_field(random, &paths),
            10..17 => on_array(random, &paths),
            _ => on_elements(random, &paths, &mut filters),
        };
        // Two operators may not touch the same path; a few such conflicts are left for the server
        // to refuse.
        let in_the_way = |other: &String| {
            other.starts_with(&format!("{path}.")) || path.starts_with(&format!("{other}."))
        };
        if taken.iter().any(|other| *other == path || in_the_way(other)) {
            continue;
        }
        taken.push(path.clone());
        let of = update.entry(operator.to_owned()).or_insert(Bson::Document(Document::new()));
        if let Bson::Document(of) = of {
            of.insert(path, operand);
        }
    }
    if !update.values().any(|operands| operands.to_string().contains("$[e]")) {
        filters.clear();
    }
    (update, filters)
}

type Operation = (&'static str, String, Bson);

fn on_field(random: &mut StdRng, paths: &Paths) -> Operation {
    let path = paths.any(random);
    let operand = documents::value(random, 1);
    let number = documents::number(random);
    match random.random_range(0..24) {
        0..10 => ("$set", path, operand),
        10..15 => ("$unset", path, Bson::Int32(1)),
        15 => ("$inc", path, number),
        16 => ("$mul", path, number),
        17 => ("$min", path, operand),
        18 => ("$max", path, operand),
        19 => ("$bit", path, doc! {"xor": random.random_range(1..9)}.into()),
        20 => ("$currentDate", path, doc! {"$type": "timestamp"}.into()),
        21 => ("$setOnInsert", path, operand),
        _ => {
            let to = ["a", "n", "x.n", "new.q", "b"][random.random_range(0..5)];
            ("$rename", path, Bson::String(to.to_owned()))
        }
    }
}

fn on_array(random: &mut StdRng, paths: &Paths) -> Operation {
    let path = paths.array(random);
    match random.random_range(0..12) {
        0..6 => ("$push", path, push(random).into()),
        6 => ("$push", path, documents::value(random, 2)),
        7 => ("$pop", path, Bson::Int32(if random.random() { 1 } else { -1 })),
        8 => ("$addToSet", path, doc! {"$each": elements(random)}.into()),
        9 => ("$pull", path, doc! {"x": random.random_range(0..4)}.into()),
        10 => ("$pull", path, doc! {"$gte": random.random_range(0..6)}.into()),
        _ => ("$pullAll", path, Bson::Array((0..2).map(Bson::Int32).collect())),
    }
}

fn elements(random: &mut StdRng) -> Vec<Bson> {
    (0..random.random_range(0..4))
        .map(|_| match random.random_range(0..3) {
            0 => Bson::Int32(random.random_range(0..6)),
            1 => documents::line(random, 3).into(),
            _ => documents::value(random, 3),
        })
        .collect()
}

fn push(random: &mut StdRng) -> Document {
    let mut push = doc! {"$each": elements(random)};
    if random.random() {
        push.insert("$position", random.random_range(-3..4));
    }
    if random.random_ratio(1, 3) {
        let sort = match random.random_range(0..3) {
            0 => Bson::Int32(1),
            1 => Bson::Int32(-1),
            _ => doc! {"x": -1}.into(),
        };
        push.insert("$sort", sort);
    }
    if random.random() {
        push.insert("$slice", random.random_range(-4..5));
    }
    push
}

/// Returns an operation on array elements: `$[]` touches all elements, and `$[e]` those that a
/// filter matches.
fn on_elements(random: &mut StdRng, paths: &Paths, filters: &mut Vec<Document>) -> Operation {
    let array = paths.array(random);
    let below = ["", ".x", ".new", ".s"][random.random_range(0..4)];
    if random.random() {
        return ("$set", format!("{array}.$[]{below}"), documents::scalar(random));
    }
    if filters.is_empty() {
        let filter = if random.random() {
            doc! {"e.x": {"$lte": random.random_range(0..4)}}
        } else {
            doc! {"e": {"$in": [0, 1, 2]}}
        };
        filters.push(filter);
    }
    let operator = if below.is_empty() {
        "$set"
    } else {
        ["$set", "$unset", "$inc"][random.random_range(0..3)]
    };
    let operand = if operator == "$inc" { Bson::Int32(1) } else { documents::scalar(random) };
    (operator, format!("{array}.$[e]{below}"), operand)
}
