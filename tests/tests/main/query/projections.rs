//! Random projections that aim at documents.

use bson::{Bson, Document, bson, doc};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::{documents, values};

pub(crate) fn projection(random: &mut StdRng, documents: &[Document]) -> Document {
    let included = random.random();
    let mut projection = Document::new();
    for _ in 0..random.random_range(0..4) {
        let document = documents.choose(random).unwrap();
        let (path, _) = documents::path(random, document);
        // The server refuses an empty name.
        let keeps = |name: &&str| !name.is_empty() || random.random_ratio(1, 12);
        let path: Vec<_> = path.split('.').filter(keeps).collect();
        let flag = if random.random_ratio(19, 20) { flag(random, included) } else { odd(random) };
        match path.split_first() {
            Some((first, rest)) if !rest.is_empty() && random.random_ratio(1, 4) => {
                projection.insert(*first, doc! {rest.join("."): flag});
            }
            _ => {
                projection.insert(path.join("."), flag);
            }
        }
    }
    if random.random_ratio(1, 3) {
        let name = *["_id", "_id", "_id", "_id.a"].choose(random).unwrap();
        let included = random.random();
        projection.insert(name, flag(random, included));
    }
    projection
}

fn flag(random: &mut StdRng, included: bool) -> Bson {
    let nan = f64::NAN;
    let some = if included {
        [bson!(1), bson!(true), bson!(1.5), bson!(-1), bson!(nan)]
    } else {
        [bson!(0), bson!(false), bson!(0.0), bson!(-0.0), bson!(0_i64)]
    };
    some.choose(random).unwrap().clone()
}

fn odd(random: &mut StdRng) -> Bson {
    let some = [
        bson!({}),
        bson!({"$slice": 1}),
        bson!({"$id": 1}),
        bson!({"$foo": 1}),
        bson!({"a": 1, "b": 0}),
        bson!({"": 1}),
        bson!("x"),
        values::number(random),
        values::scalar(random),
    ];
    some.choose(random).unwrap().clone()
}
