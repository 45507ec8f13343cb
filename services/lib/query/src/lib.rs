//! MongoDB's query language over raw BSON, without I/O and without a clock.
//!
//! - [`Filter`]: selects documents, as `find` of the given [`Series`] does under simple collation;
//!   [`Filter::compares_strings`] returns whether another collation could answer differently
//! - [`Projection`]: selects fields of these documents
//! - [`compare()`], [`compare_elements`]: the order of BSON values
//!
//! The crate refuses what the server refuses. What the server knows and this crate does not
//! (`$expr`, `$where`, `$text`, geometry, bit tests, JSON schema; in projections everything but
//! inclusion and exclusion) is refused by name, as [`QueryError::Unsupported`].
//!
//! Other known differences from servers of 6.0 and later:
//!
//! - Regular expressions are PCRE2's; see `pattern.rs`.
//! - A server may answer a filter on `_id` alone from an index. This crate always looks at the
//!   documents.

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

/// The deepest nesting of documents and arrays in a filter or projection. The server has the same
/// limit. This limit or the length of a path bounds every recursion over a filter or projection.
pub const MAX_DEPTH: usize = 200;
