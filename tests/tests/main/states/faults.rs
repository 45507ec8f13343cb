//! States that the product is known to get wrong, by the rows of the list of cases. A fault that is mended fails the
//! test until it is taken out here.

use super::recipe::at_least;
use super::servers_own::Pair;

/// States of one row, and the pairs in which they are wrong.
struct Fault {
    row: &'static str,
    pairs: fn(&Pair<'_>) -> bool,
    states: &'static [&'static str],
}

const FAULTS: [Fault; 14] = [
    Fault {
        row: "C1",
        pairs: |pair| at_least(pair.target, "5.0"),
        states: &[
            "indexes.sparse_0",
            "indexes.sparse_1",
            "indexes.sparse_double",
            "indexes.sparse_long",
            "indexes.background_1",
            "indexes.expire_fraction",
            "indexes.expire_decimal",
            "ddl.reindexed",
            "ddl.rename_across",
        ],
    },
    Fault {
        row: "C1",
        pairs: |pair| at_least(pair.target, "6.0.27"),
        states: &["indexes.options_of_other_kinds"],
    },
    Fault {
        row: "C1",
        pairs: |pair| at_least(pair.source, "5.0") && !at_least(pair.source, "6.0"),
        states: &["indexes.expire_nan"],
    },
    Fault {
        row: "C2",
        pairs: |_| true,
        states: &[
            "indexes.simple_in_collated",
            "indexes.simple_unique_in_collated",
            "indexes.simple_beside_own_in_collated",
            "indexes.text_simple_in_collated",
            "indexes.two_d_simple_in_collated",
            "indexes.two_d_sphere_in_collated",
            "indexes.hashed_in_collated",
            "indexes.wildcard_simple_in_collated",
            "collections.clustered_collation",
            "ddl.out_over",
            "transactions.creates_odd_indexes",
        ],
    },
    Fault {
        row: "C4",
        pairs: |_| true,
        states: &["timeseries.storage_engine", "timeseries.index_defaults"],
    },
    Fault { row: "C5", pairs: |_| true, states: &["indexes.text_expiring"] },
    Fault {
        row: "C6",
        pairs: |_| true,
        states: &["collections.auto_index_id", "collections.auto_index_id_capped"],
    },
    Fault {
        row: "C7",
        pairs: |pair| at_least(pair.source, "5.0") && !at_least(pair.source, "6.0.27"),
        states: &["collections.record_pre_images_mod"],
    },
    Fault {
        row: "C7",
        pairs: |pair| at_least(pair.source, "6.0"),
        states: &["collections.both_pre_images", "collections.pre_images_then_record"],
    },
    Fault {
        row: "C7",
        pairs: |pair| at_least(pair.feature_version, "6.0") && pair.target == "6.0.5",
        states: &["collections.record_pre_images_capped"],
    },
    Fault {
        row: "C9",
        pairs: |pair| at_least(pair.source, "6.0"),
        states: &["collections.capped_largest", "collections.capped_near_largest"],
    },
    Fault {
        row: "C10",
        pairs: |pair| at_least(pair.source, "6.0"),
        states: &["ddl.mod_capped_max_0"],
    },
    Fault {
        row: "T2",
        pairs: |_| true,
        states: &["apply_ops.upserts_existing", "apply_ops.deletes_missing"],
    },
    Fault { row: "T13", pairs: |_| true, states: &["apply_ops.updates_by_modifiers"] },
];

/// The row by which a state is known to be wrong in a pair.
pub fn row_of(state: &str, pair: &Pair<'_>) -> Option<&'static str> {
    // Buckets of 6.0.5 are no buckets of 6.0.27 (C4), and views of 5.0 none of 6.0 (C13).
    let crosses = pair.source != pair.target && !at_least(pair.source, "6.0.27");
    if crosses && state.starts_with("timeseries.") {
        return Some("C4, C13");
    }
    let concerns = |fault: &&Fault| (fault.pairs)(pair) && fault.states.contains(&state);
    FAULTS.iter().find(concerns).map(|fault| fault.row)
}
