//! Every version of every document, by visible time, together with the catalog.
//!
//! A [`History`] lives in one RocksDB directory. It is derived: when it is deleted and rebuilt from
//! a base and the log, the result is the same ([`History::digest`], I5). RocksDB's own log is off.
//! The progress of the writer is stored in the same write batch as the data that it describes.
//! After a crash, progress and data therefore go back to the same moment, and applying the same
//! entries again leads to the same state (I10).
//!
//! - [`Load`]: writes a base, which begins a *generation*
//! - [`Writer`]: applies apply units, in the order of their last entries
//! - [`View`]: reads the state at one time
//!
//! Ids are keyed under simple collation. In a collection whose collation has a strength below 3 the
//! server treats `"a"` and `"A"` as one id; the history has two keys for them. Replay is still
//! exact, because the entries carry the stored document's own `_id`, byte for byte. Only a lookup
//! by an equal but different string finds nothing. Callers that look up strings, or compare them,
//! check [`CollectionState::collation`] first.

mod ahead;
mod apply;
mod assemble;
mod capped;
mod catalog;
mod claim;
mod ddl;
mod digest;
mod error;
mod exclude;
mod forget;
mod generation;
mod history;
mod horizon;
mod key;
mod latest;
mod load;
pub mod metrics;
mod observe;
mod observed;
mod pair;
mod proof;
mod recent;
mod rest;
mod scan;
mod settings;
mod skips;
mod state;
mod storing;
mod unit;
mod unknown;
mod user;
mod value;
mod versions;
mod view;
mod writer;

pub use ahead::{Ahead, LookAhead};
pub use digest::Digest;
pub use error::{ApplyError, HistoryError, ReadError};
pub use forget::Hold;
pub use generation::{BaseInfo, Generation, Progress};
pub use history::History;
pub use load::Load;
pub use observed::Observed;
pub use pair::{NamePair, SameCollection};
pub use proof::HashCounts;
pub use rest::LaterBase;
pub use scan::{DocumentScan, Scanned};
pub use settings::Settings;
pub use state::CollectionState;
pub use versions::{Cause, Version};
pub use view::{Documents, Lookup, View};
pub use writer::{Applied, Counts, Writer};

#[cfg(test)]
mod tests;
