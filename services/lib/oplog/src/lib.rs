//! The MongoDB oplog, as pure values: no I/O, no clock.
//!
//! - [`raw`]: BSON walked and written as bytes
//! - [`id_key`]: `_id` values as keys that sort as MongoDB sorts them
//! - [`update`]: updates applied to documents, byte for byte as the server does
//! - [`Timestamp`], [`OpTime`]: positions
//! - [`Entry`]: an oplog entry as a view over its bytes
//! - [`Operation`], [`OpKind`], [`CommandKind`]: what an entry does

mod entry;
pub mod id_key;
mod kind;
mod operation;
mod position;
pub mod raw;
pub mod update;

pub use entry::Entry;
pub use kind::{CommandKind, OpKind};
pub use operation::Operation;
pub use position::{OpTime, Timestamp};
