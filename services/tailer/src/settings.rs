//! What capture is told, and where it tells how far it is.

use std::time::Duration;

use hindsight_oplog::OpTime;

use crate::choose::Preference;
use crate::cutter::CutSettings;
use crate::positions::PositionBoard;
use crate::source::{SetIdentity, Source};
use crate::status::StatusBoard;

/// The limit on raw replies between reading and cutting: two of the server's largest (16 MiB).
pub(crate) const BATCH_QUEUE_BYTES: usize = 33 << 20;
/// The entry at which a capture into an empty log begins. This entry is the first one stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartAt(pub OpTime);

/// What capture needs to know about the source and about how to store its entries.
#[derive(Clone)]
pub struct CaptureSettings {
    /// How to reach the source.
    pub source: Source,
    /// The replica set that the source must be.
    pub identity: SetIdentity,
    /// Which members may be read from.
    pub preference: Preference,
    /// When a segment is cut, and how it is stored.
    pub cut: CutSettings,
    /// The time between two looks at the members' catalogs. Zero turns these looks off.
    pub catalog_check_every: Duration,
}

/// Where capture publishes its positions and its status.
#[derive(Debug, Clone, Default)]
pub struct Boards {
    /// The positions that capture has reached.
    pub positions: PositionBoard,
    /// What capture is doing, for people.
    pub status: StatusBoard,
}
