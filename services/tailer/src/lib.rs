//! The tailer: source → segments → log → index.
//!
//! Three tasks, joined by queues that are bounded in bytes:
//!
//! ```text
//! tail ──batches──▶ cutter ──cut segments──▶ appender ──▶ log, then index, then positions
//! ```
//!
//! When one log has several tailers, one of them captures. The others [stand by](StandBy): they
//! also tail the source, and keep what the log does not hold yet.

mod absorb;
mod appender;
mod beat;
mod capture;
mod catalog_watch;
mod choose;
mod cutter;
mod election;
mod error;
mod gap;
pub mod gauges;
mod leading;
pub mod metrics;
mod overdue;
mod pace;
mod positions;
mod reader;
mod resume;
mod settings;
mod sightings;
mod source;
mod standby;
mod status;
mod tail;
mod unknown;
mod watch;

pub use absorb::absorb_new;
pub use capture::Capture;
pub use catalog_watch::CatalogWatch;
pub use choose::{Candidate, Member, MemberState, Preference, candidates};
pub use cutter::CutSettings;
pub use error::CaptureError;
pub use leading::{Companion, MakeCompanion, Prepared, Tailer};
pub use overdue::told_while_overdue;
pub use positions::{PositionBoard, Positions};
pub use reader::oplog_ends;
pub use settings::{Boards, CaptureSettings, StartAt};
pub use sightings::SightingQueue;
pub use source::{SetIdentity, Source, Survey, newest_write};
pub use standby::{StandBy, Warm};
pub use status::{CaptureStatus, CatalogStatus, Role, StatusBoard};
