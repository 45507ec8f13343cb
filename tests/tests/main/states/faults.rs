//! States that the product is known to get wrong, by the rows of the list of cases. A fault that is
//! mended fails the test until it is taken out here.

use super::servers_own::Pair;

/// States of one row, and the pairs in which they are wrong.
struct Fault {
    row: &'static str,
    pairs: fn(&Pair<'_>) -> bool,
    states: &'static [&'static str],
}

const FAULTS: [Fault; 0] = [];

/// The row by which a state is known to be wrong in a pair.
pub fn row_of(state: &str, pair: &Pair<'_>) -> Option<&'static str> {
    let concerns = |fault: &&Fault| (fault.pairs)(pair) && fault.states.contains(&state);
    FAULTS.iter().find(concerns).map(|fault| fault.row)
}
