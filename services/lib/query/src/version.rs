//! Which server's answers are given: where versions differ, the series that the caller names
//! decides.

use hindsight_oplog::Series;

/// What of filters depends on the series of the server.
pub(crate) trait Answers {
    /// Up to 6.0 regular expressions are PCRE 8's, from 6.1 on PCRE2's. Seen on 4.4.2, 6.0.5 and
    /// 7.0.28.
    fn has_pcre_8(self) -> bool;
    /// From 8.0 on null finds what is missing and null alone (server:
    /// `evaluateComparisonExpressionSingleElement`).
    fn null_finds_undefined(self) -> bool;
    /// From 9.0 on null finds documents in which a path ends at an array without anything that it
    /// could go on in. By the manual alone ("9.0 compatibility", null comparisons on dotted paths):
    /// no such server was to be had.
    fn null_finds_ends_at_arrays(self) -> bool;
}

impl Answers for Series {
    fn has_pcre_8(self) -> bool {
        self < Series::new(6, 1)
    }

    fn null_finds_undefined(self) -> bool {
        self < Series::new(8, 0)
    }

    fn null_finds_ends_at_arrays(self) -> bool {
        self >= Series::new(9, 0)
    }
}
