//! The differences between server versions. Where versions differ, the series that the caller names
//! decides which server's answers are given.

use hindsight_oplog::Series;

/// The properties of filters that depend on the series of the server.
pub(crate) trait Answers {
    /// Whether regular expressions are PCRE 8's. They are up to 6.0; from 6.1 on they are PCRE2's.
    /// Seen on 4.4.2, 6.0.5 and 7.0.28.
    fn has_pcre_8(self) -> bool;
    /// Whether null finds undefined. From 8.0 on null finds only missing values and null (server:
    /// `evaluateComparisonExpressionSingleElement`).
    fn null_finds_undefined(self) -> bool;
    /// Whether null finds documents in which a path ends at an array that has nothing in which the
    /// path could go on. True from 9.0 on. Known from the manual alone ("9.0 compatibility", null
    /// comparisons on dotted paths): no such server was available.
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
