//! Writes the state of a cluster at one timestamp into a target MongoDB deployment, and proves that
//! it is there.
//!
//! ```text
//! Snapshot ───▶ plan ─▶ checks ───▶ collections ─▶ documents ─▶ indexes ─▶ views
//! (state at T)  pure    nothing     options        raw bytes    in parallel   │
//!                       written                                               ▼
//!                                            users ◀─ expiry ◀── verification
//!                                                     TTL,       reads back
//!                                                     collMod
//! ```
//!
//! Whatever makes documents expire is created last, after the verification, so that the target's
//! TTL monitor cannot delete documents that the verification is about to count. Users are restored
//! after everything else, so that a restored user cannot take away the rights of the user that runs
//! the restore half-way through.
//!
//! [`prepare()`] plans and checks without writing. The plan that it returns is shown to the user
//! (I12) and then run. A [`Snapshot`] says what the state is, a [`Selection`] which part of it is
//! restored, and a [`Destination`] does what the steps ask for. The plan, the checks and the
//! comparison know no destination.
//!
//! This crate speaks to no server. A destination is a crate of its own, as
//! `hindsight-restore-mongod` is; [`commands`] has what such a crate needs to build commands,
//! besides what the plan has ready.

mod accounts;
mod authorization;
mod batch;
mod catalog;
mod checks;
pub mod commands;
mod definitions;
mod destination;
mod digest;
mod documents;
mod error;
mod facts;
mod findings;
mod fit;
mod load;
mod plan;
mod prepare;
mod progress;
mod report;
mod rights;
mod run;
mod selection;
mod settings;
mod snapshot;
mod steps;
mod time_series;
mod verbatim;
mod verify;
mod version;

pub use accounts::{AccountKind, Authorization};
pub use batch::Batch;
pub use destination::{Definition, Destination, HeldRole, ReadBack, Shown, Verdict};
pub use digest::{CountedDigest, Digest};
pub use error::{RestoreError, listed};
pub use facts::TargetFacts;
pub use plan::{Change, Plan, PlannedCollection, PlannedView, Skipped, ViewDocuments, plan};
pub use prepare::{Prepared, prepare};
pub use progress::{Phase, Progress, ProgressSnapshot};
pub use report::{CollectionReport, Outcome, RestoreFailure, RestoreReport};
pub use rights::Rights;
pub use selection::Selection;
pub use settings::{RestoreSettings, SourceIdentity};
pub use snapshot::{CollectionState, DocumentIterator, Snapshot, SourceError};
pub use time_series::TimeSeries;

#[cfg(test)]
mod tests;
