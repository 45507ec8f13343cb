//! Every version of every document, by visible time, and the catalog beside it.
//!
//! A [`History`] lives in one RocksDB directory. It is derived: deleted and rebuilt from a base and
//! the log it comes out the same ([`History::digest`], I5). RocksDB's own log is off; the progress
//! of the writer is stored in the same write batch as the data it stands for, so that after a crash
//! both are as old as each other and applying the same entries again gives the same state (I10).
//!
//! - [`Load`]: writes a base, which begins a *generation*
//! - [`Writer`]: applies apply units, in the order of their last entries
//! - [`View`]: reads the state at one time
//!
//! Ids are keyed under simple collation. In a collection whose collation has a strength below 3 the
//! server holds `"a"` and `"A"` for one id; here they are two keys. The entries carry the stored
//! document's own `_id`, byte for byte, so replay is exact all the same; only a lookup by an equal
//! but different string misses. Who looks up strings, or compares them, asks
//! [`CollectionState::collation`] first.

mod apply;
mod capped;
mod catalog;
mod ddl;
mod digest;
mod error;
pub mod form;
mod generation;
mod history;
mod key;
mod latest;
mod load;
mod observed;
mod pair;
mod proof;
mod scan;
mod settings;
mod state;
mod storing;
mod unknown;
mod user;
mod value;
mod versions;
mod view;
mod writer;
mod xxh3;

pub use digest::Digest;
pub use error::{ApplyError, HistoryError, ReadError};
pub use generation::{BaseInfo, Generation, Progress};
pub use history::History;
pub use load::Load;
pub use observed::Observed;
pub use pair::{NamePair, SameCollection};
pub use proof::HashCounts;
pub use scan::{DocumentScan, Scanned};
pub use settings::Settings;
pub use state::CollectionState;
pub use versions::{Cause, Version};
pub use view::{Documents, Lookup, View};
pub use writer::{Applied, Counts, Writer};

#[cfg(test)]
mod tests;
