//! The MongoDB oplog, as pure values: no I/O, no clock.
//!
//! - [`raw`]: BSON walked and written as bytes
//! - [`Timestamp`], [`OpTime`]: positions
//! - [`Entry`]: an oplog entry as a view over its bytes
//! - [`Operation`], [`OpKind`], [`CommandKind`]: what an entry does
//! - [`Assembler`]: which entries become visible together, and when

mod entry;
mod kind;
mod operation;
mod position;
pub mod raw;
mod transaction;

pub use entry::Entry;
pub use kind::{CommandKind, OpKind};
pub use operation::Operation;
pub use position::{OpTime, Timestamp};
pub use transaction::{Assembler, AssemblyError, Incomplete, Step, Transaction};
