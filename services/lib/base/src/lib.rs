//! A base: a full copy of the data of one replica set. It is the exact starting point of a restore.
//!
//! A base is a directory. Its documents lie in data files, exactly as the server returned them
//! ([`frame`] draws the bytes). `manifest.json`, which is written last, makes the directory a base
//! ([`Manifest`] says what it holds). While a base is being written, its directory's name ends in
//! `.partial`.
//!
//! ```text
//! DATA/base/base-1732190400-17/       the name is a label; what counts stands in the manifest
//!   000001.docs  000002.docs  …       frames of documents, one or more files per collection
//!   manifest.json                     the rest, with its own checksum and each file's digest
//! ```
//!
//! - write: [`BaseWriter`], [`CollectionWriter`]
//! - read: [`Base`], [`Frames`]; what lies in a directory of bases: [`list`]; remove: [`remove()`]
//! - which collections belong in a base: [`is_carried`]

mod error;
pub mod frame;
mod listing;
mod manifest;
mod namespace;
mod reader;
mod remove;
mod renewal;
mod verify;
mod writer;

pub use error::{Error, ErrorKind, Result};
pub use frame::Frame;
pub use listing::{BaseSummary, Listing, list, remove_left_overs, remove_partial};
pub use manifest::{
    BaseKind, CollectionEntry, CollectionInfo, DataFile, Manifest, Origin, Source, Uuid, uuid_text,
};
pub use namespace::is_carried;
pub use reader::{Base, Frames};
pub use remove::remove;
pub use renewal::Renewal;
pub use verify::Verification;
pub use writer::{BaseWriter, CollectionWriter, WriterSettings};

#[cfg(test)]
mod tests;
