//! The table of operations: how often each is drawn, and which servers have it.

use futures_util::future::BoxFuture;
use rand::Rng;
use rand::rngs::StdRng;

use super::{Outcome, Worker};

pub(super) struct Operation {
    pub(super) name: &'static str,
    weight: u32,
    /// The first server version that has the operation.
    since: (i32, i32),
    pub(super) run: for<'w> fn(&'w mut Worker) -> BoxFuture<'w, Outcome>,
}

macro_rules! operations {
    ($($name:ident $weight:literal $(since ($major:literal, $minor:literal))?;)*) => {
        &[$(Operation {
            name: stringify!($name),
            weight: $weight,
            since: (0 $(+ $major)?, 0 $(+ $minor)?),
            run: |worker| Box::pin(worker.$name()),
        }),*]
    };
}

/// About 94 of 100 operations write documents; the others change collections, indexes and
/// databases.
const OPERATIONS: &[Operation] = operations! {
    insert_one 3000;
    insert_many 500;
    insert_capped 200;
    insert_measurements 250 since (5, 0);
    update_one 2200;
    update_many 250;
    update_pipeline 700;
    update_many_pipeline 80;
    upsert 350;
    upsert_pipeline 80;
    replace 600;
    replace_upsert 120;
    delete_one 900;
    delete_many 100;
    delete_and_insert 300;
    find_and_update 250;
    find_and_replace 120;
    find_and_delete 120;
    bulk_command 120;
    delete_measurements 20 since (6, 0);
    transaction 250;
    transaction_abort 70;
    transaction_with_create 12;
    create 45;
    create_validated 14;
    create_collated 25;
    create_capped 14;
    create_clustered 16 since (5, 3);
    create_timeseries 14 since (5, 0);
    create_view 12;
    drop 25;
    drop_view 5;
    drop_database 4;
    rename 18;
    rename_drop_target 12;
    rename_across_databases 10;
    convert_to_capped 6;
    collmod_validator 15;
    collmod_hidden 10;
    collmod_ttl 10;
    collmod_view 5;
    collmod_timeseries 5 since (5, 0);
    create_index 55;
    create_indexes 12;
    create_index_on_missing 5;
    drop_index 25;
    drop_all_indexes 4;
    out 16;
    merge 16;
};

/// Draws an operation that this server has.
pub(super) fn draw(random: &mut StdRng, version: (i32, i32)) -> &'static Operation {
    let total: u32 = OPERATIONS.iter().map(|operation| operation.weight).sum();
    loop {
        let mut at = random.random_range(0..total);
        let drawn = OPERATIONS.iter().find(|operation| {
            let here = at < operation.weight;
            at = at.saturating_sub(operation.weight);
            here
        });
        if let Some(operation) = drawn.filter(|operation| operation.since <= version) {
            return operation;
        }
    }
}

/// Returns every kind of operation that a long run against a server of this version should have
/// done.
pub fn kinds(version: (i32, i32)) -> impl Iterator<Item = &'static str> {
    OPERATIONS
        .iter()
        .filter(move |operation| operation.since <= version)
        .map(|operation| operation.name)
}
