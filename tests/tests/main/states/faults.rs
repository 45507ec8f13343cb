//! States that the product is known to get wrong, by the rows of the list of cases. When a fault is
//! fixed, the test fails until the fault is removed here.

use super::servers_own::Pair;

/// The states of one row, and the pairs in which they are wrong.
struct Fault {
    row: &'static str,
    pairs: fn(&Pair<'_>) -> bool,
    states: &'static [&'static str],
}

const FAULTS: [Fault; 0] = [];

/// Returns the row by which a state is known to be wrong in a pair, if any.
pub(super) fn row_of(state: &str, pair: &Pair<'_>) -> Option<&'static str> {
    let concerns = |fault: &&Fault| (fault.pairs)(pair) && fault.states.contains(&state);
    FAULTS.iter().find(concerns).map(|fault| fault.row)
}
