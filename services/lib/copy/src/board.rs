//! The notice board of the copies of a process.

use std::sync::{Arc, Mutex, PoisonError};

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
#[derive(Debug, Clone, Default)]
pub struct CopyBoard(Arc<Mutex<CopyState>>);

impl CopyBoard {
    /// Publishes the present state.
    pub fn set(&self, state: CopyState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Returns the present state.
    pub fn now(&self) -> CopyState {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
