//! The tailer: source → segments → log → index (design §5).
//!
//! Three tasks, joined by queues bounded in bytes:
//!
//! ```text
//! tail ──batches──▶ cutter ──cut segments──▶ appender ──▶ log, then index, then positions
//! ```

mod appender;
mod capture;
mod choose;
pub mod copy;
mod cutter;
mod error;
mod positions;
mod reader;
mod resume;
mod source;
mod status;
mod tail;

pub use appender::summary_of;
pub use capture::{Capture, CaptureSettings, StartAt};
pub use choose::{Candidate, Member, MemberState, Preference, candidates};
pub use cutter::CutSettings;
pub use error::CaptureError;
pub use positions::{PositionBoard, Positions};
pub use reader::oplog_ends;
pub use source::{SetIdentity, Source, Survey, admin_command, majority_point, newest_write};
pub use status::{CaptureStatus, StatusBoard};
