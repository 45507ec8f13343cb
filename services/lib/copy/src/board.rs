//! The notice board of the copies of a process.

use hindsight_runtime::Board;

use crate::progress::CopyProgress;

/// What a process does about copying a base.
#[derive(Debug, Clone, Default)]
pub enum CopyState {
    /// No copy is in progress, and the last one was complete.
    #[default]
    Idle,
    /// A copy is in progress.
    Copying(CopyProgress),
    /// The last copy failed for this reason, and another one follows.
    Failed(String),
}

/// Publishes the state of copies. Clones are handles of the same board.
pub type CopyBoard = Board<CopyState>;
