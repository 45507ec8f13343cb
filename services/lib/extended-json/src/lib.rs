//! BSON as Extended JSON v2, written straight from its bytes: fields in their order, and a name
//! that comes twice is written twice. A tree of all values in between would lose the second one,
//! and take thirty times the size.
//!
//! - [`Written`]: a document that serializes as Extended JSON, canonical or relaxed
//! - [`Value`]: one value of a document
//! - [`Inexact`]: what of a document JSON cannot carry, with its path
//!
//! Valid BSON as servers hold it is never an error. Bytes that are not UTF-8, which servers take in
//! strings, names, patterns and code, are written as U+FFFD and told by [`Written::inexact`]. Two
//! values that JSON has only one way to write are not told apart: the payload of a NaN, and the
//! encodings of one and the same Decimal128.
//!
//! Specification: `mongodb/specifications`, `source/extended-json.md`, version 2.1.0.

mod date;
mod inexact;
mod value;
mod written;

#[cfg(test)]
mod tests;

pub use inexact::{Inexact, Reason, is_type};
pub use value::Value;
pub use written::{Marked, Written};

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// Every type is kept: `{"$numberInt":"42"}`.
    Canonical,
    /// Easier to read: `42`; numbers lose their types.
    Relaxed,
}
