//! The replayer: log → history → answers and restores.

mod diff;
mod engine;
mod error;
pub mod find;
mod follow;
pub mod gauges;
mod history_args;
mod kept;
pub mod metrics;
mod read_ahead;
mod renew;
mod retention;
#[cfg(test)]
mod sample;
mod snapshot;
mod source_version;
mod timeline;
mod unlogged;
mod verify;

pub use diff::{DiffRequest, Difference, Visitor, changed_fields};
pub use engine::{Engine, QUERY_MEMORY_BYTES, Window};
pub use error::{QueryError, Why};
pub use follow::{Applied, FollowError, Follower, NamedEntry, Stopped};
pub use history_args::HistoryArgs;
pub use renew::{RenewError, renew_base};
pub use retention::{history_rests_on, keep_history};
pub use snapshot::HistorySnapshot;
pub use timeline::Timeline;
pub use verify::{Damage, VerifyReport, verify};
