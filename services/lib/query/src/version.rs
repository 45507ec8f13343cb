//! Which server's answers are given: where versions differ, the one that the caller names decides.

/// A release series of MongoDB, `6.0` of `6.0.27`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion {
    major: u16,
    minor: u16,
}

impl ServerVersion {
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Up to 6.0 regular expressions are PCRE 8's, from 6.1 on PCRE2's. Seen on 4.4.2, 6.0.5 and 7.0.28.
    pub(crate) fn has_pcre_8(self) -> bool {
        self < Self::new(6, 1)
    }

    /// From 8.0 on null finds what is missing and null alone (server: `evaluateComparisonExpressionSingleElement`).
    pub(crate) fn null_finds_undefined(self) -> bool {
        self < Self::new(8, 0)
    }

    /// From 9.0 on null finds documents in which a path ends at an array without anything that it could go on in.
    /// By the manual alone ("9.0 compatibility", null comparisons on dotted paths): no such server was to be had.
    pub(crate) fn null_finds_ends_at_arrays(self) -> bool {
        self >= Self::new(9, 0)
    }
}
