//! MongoDB's query language over raw BSON: no I/O, no clock.
//!
//! - [`Filter`]: which documents, as `find` of the given [`Series`] under simple collation;
//!   [`Filter::compares_strings`] tells whether another collation could answer differently
//! - [`Projection`]: which of their fields
//! - [`compare`], [`compare_elements`]: the order of BSON values
//!
//! What the server refuses is refused here. What it knows and this crate does not (`$expr`,
//! `$where`, `$text`, geometry, bit tests, JSON schema; in projections everything but inclusion
//! and exclusion) is refused by name, as [`QueryError::Unsupported`].
//!
//! Known differences from servers of 6.0 and later, beside that:
//!
//! - Regular expressions are PCRE2's; see `pattern.rs`.
//! - A filter on `_id` alone may be answered from an index there. We always look at the documents.

mod compare;
mod error;
mod filter;
mod path;
mod pattern;
mod projection;
mod value;
mod version;

pub use compare::{compare, compare_elements, holds_strings};
pub use error::QueryError;
pub use filter::Filter;
pub use hindsight_oplog::Series;
pub use projection::Projection;

/// The deepest nesting of documents and arrays in a filter or projection, which is the server's
/// own limit. Every recursion of the crate is bounded by it, or by the length of a path.
pub const MAX_DEPTH: usize = 200;
