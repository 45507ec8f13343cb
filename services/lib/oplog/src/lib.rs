//! The MongoDB oplog, as pure values: no I/O, no clock.
//!
//! - [`raw`]: BSON walked and written as bytes
//! - [`Timestamp`], [`OpTime`]: positions
//! - [`Entry`]: an oplog entry as a view over its bytes

mod entry;
mod position;
pub mod raw;

pub use entry::Entry;
pub use position::{OpTime, Timestamp};
