//! The index: what is held of the log, and what can be restored from it.
//!
//! The index is a cache. The log and the bases are the truth, and everything here is derived from
//! them: delete the directory, absorb every segment and base again, and the result is the same
//! bytes ([`Index::digest`], I5). So nothing is fsynced, and one rule keeps the index honest:
//! **absorb only what the log has said is durable**. A crash may then leave the index behind the
//! log, and the segments after [`Index::resume_point`] are absorbed again. The index can never be
//! ahead of the log.
//!
//! - [`SegmentSummary`], [`BaseSummary`]: the input
//! - [`Index`]: open, absorb, truncate, forget, reset
//! - [`View`]: every read, as of one moment
//! - [`Run`], [`Window`], [`RestorePlan`], [`NotRestorable`]: what can be restored, decided by pure
//!   functions in `run` and `plan`
//! - `keys`: every key of the store

mod absorb;
mod error;
mod forget;
mod index;
mod keys;
mod plan;
mod run;
mod serial;
mod summary;
mod timeline;
mod view;

#[cfg(test)]
mod model;
#[cfg(test)]
mod sample;

pub use absorb::Absorbed;
pub use error::{IndexError, PlanError};
pub use index::Index;
pub use plan::{Neighbours, NotRestorable, RestorePlan, Window};
pub use run::Run;
pub use summary::{
    BaseSummary, CommandNote, Digest, GapNotice, InvalidSummary, NamespaceCounts, SegmentSummary,
};
pub use timeline::{OperationCounts, TimelineRow};
pub use view::{ResumePoint, View};
