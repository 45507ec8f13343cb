//! Writes BSON as Extended JSON v2, straight from the BSON bytes.
//!
//! Fields keep their order, and a field name that occurs twice is written twice. A tree of all
//! values in between would lose the second field, and take thirty times the size.
//!
//! - [`Written`]: a document that serializes as Extended JSON, canonical or relaxed
//! - [`Value`]: one value of a document
//! - [`Inexact`]: a part of a document that JSON cannot carry, with its path
//!
//! Valid BSON as servers hold it never causes an error. Servers accept bytes that are not UTF-8 in
//! strings, names, patterns and code. This crate writes such bytes as U+FFFD, and reports them
//! through [`Written::inexact`]. JSON has only one way to write some values that differ in BSON, so
//! the output does not tell them apart: NaNs with different payloads, and different encodings of
//! the same Decimal128.
//!
//! Specification: `mongodb/specifications`, `source/extended-json.md`, version 2.1.0.

mod date;
mod inexact;
mod path;
mod value;
mod written;

#[cfg(test)]
mod tests;

pub use inexact::{Inexact, Reason, is_type};
pub use path::at_path;
pub use value::Value;
pub use written::{Marked, Written};

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// Keeps every type: `{"$numberInt":"42"}`.
    Canonical,
    /// Easier to read, but numbers lose their types: `42`.
    Relaxed,
}
