//! The replayer: log → history → answers and restores (design §8, §9).

mod diff;
mod engine;
mod error;
pub mod find;
mod follow;
mod kept;
mod read_ahead;
pub mod restore;
#[cfg(test)]
mod sample;
mod snapshot;
mod timeline;
mod unlogged;
mod verify;

pub use diff::{DiffRequest, Difference, Visitor, changed_fields};
pub use engine::{Engine, QUERY_MEMORY_BYTES, Window};
pub use error::{QueryError, Why};
pub use follow::{Applied, FollowError, Follower, Stopped};
pub use snapshot::HistorySnapshot;
pub use timeline::Timeline;
pub use verify::{VerifyReport, verify};
