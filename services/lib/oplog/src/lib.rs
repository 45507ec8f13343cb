//! The MongoDB oplog as pure values, without I/O and without a clock.
//!
//! - [`raw`]: walks and writes BSON as bytes
//! - [`id_key`]: `_id` values as keys that sort as MongoDB sorts them
//! - [`update`]: applies updates to documents, byte for byte as the server does
//! - [`Timestamp`], [`OpTime`]: positions; [`TimeSpec`]: times as people write them
//! - [`Entry`]: an oplog entry as a view over its bytes
//! - [`Operation`], [`OpKind`], [`CommandKind`]: what an entry does
//! - [`Namespaces`]: the collections that an operation is about
//! - [`Shape`]: what one entry is in transactions
//! - [`Assembler`]: finds out which entries become visible together, and when
//! - [`SourceVersion`], [`FeatureVersion`], [`Series`]: the MongoDB version that a state comes from
//! - [`Hex`]: bytes as text
//! - [`time_series`]: buckets of mixed types

mod entry;
mod hex;
pub mod id_key;
mod kind;
mod namespace;
mod namespace_pattern;
mod operation;
mod position;
pub mod raw;
mod source_version;
pub mod time_series;
mod time_spec;
mod transaction;
pub mod update;

pub use entry::Entry;
pub use hex::Hex;
pub use kind::{CommandKind, OpKind};
pub use namespace::{Namespace, Namespaces};
pub use namespace_pattern::NamespacePattern;
pub use operation::{Operation, Origin};
pub use position::{OpTime, Timestamp};
pub use source_version::{FEATURE_VERSION_ID, FeatureVersion, NoVersion, Series, SourceVersion};
pub use time_spec::{TimeSpec, TimeSpecError};
pub use transaction::{
    Assembler, AssemblyError, Ending, Incomplete, Part, Shape, Step, Transaction,
};
