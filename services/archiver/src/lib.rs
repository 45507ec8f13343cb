//! Copies one log into another: the segments unchanged, and notices of the bases that belong to the
//! log.
//!
//! ```text
//! Source ──read ahead──▶ copy ──append──▶ Target
//!                         ├─ start: the first segment that the target lacks
//!                         └─ bases: which bases the target is to know
//! ```
//!
//! - [`Source`], [`Target`]: the two logs, opened
//! - [`copy()`]: brings the target level with the source; a copy that stopped can be continued
//! - [`Progress`]: what a copy tells while it runs; nothing is printed here

mod ahead;
mod bases;
mod copy;
mod error;
mod progress;
mod retry;
mod source;
mod start;
mod target;

pub use copy::{Copied, copy};
pub use error::ArchiveError;
pub use progress::{Progress, Tell};
pub use source::Source;
pub use target::Target;

#[cfg(test)]
mod tests;
