//! Makes a segment durable.

use std::fs;
use std::io;
use std::sync::{Arc, MutexGuard, PoisonError};

use hindsight_segment::{SealedSegment, check_next};

use super::files::{Step, sync_directory, write_temporary};
use super::names::{LogFile, SegmentName};
use super::store::Store;
use crate::error::LogError;

impl Store {
    pub(super) fn append(&self, segment: &SealedSegment) -> Result<(), LogError> {
        self.check_writable()?;
        let _one_at_a_time = self.appending();
        self.settle_alone()?;
        let info = segment.info();
        let end = self.state().end.clone();
        if end.as_ref().is_some_and(|end| end.digest == info.digest) {
            return Ok(());
        }
        let end = end.map(|end| end.chain_end());
        check_next(end.as_ref(), info)
            .map_err(|reason| LogError::not_next(self.directory.display(), info, reason))?;
        self.write(segment)?;
        let synced = self.sync();
        let mut state = self.state();
        state.files.push(LogFile::Segment(SegmentName::of(info)));
        state.end = Some(Arc::clone(info));
        state.unsynced = synced.is_err();
        synced
    }

    /// Writes the segment's file and gives it its name. The name is not durable yet.
    fn write(&self, segment: &SealedSegment) -> Result<(), LogError> {
        let name = LogFile::Segment(SegmentName::of(segment.info()));
        let (path, temporary) = (self.path_of(&name), self.directory.join(name.temporary()));
        let renamed = write_temporary(&temporary, segment, &self.before_step).and_then(|()| {
            (self.before_step)(Step::Rename)
                .and_then(|()| fs::rename(&temporary, &path))
                .map_err(|error| (Step::Rename, error))
        });
        renamed.map_err(|(step, error)| {
            // The file's pages may be lost although they look written. So this file is never synced
            // again: the next append writes a new one.
            if (self.before_step)(Step::RemoveTemporary).is_ok() {
                let _ = fs::remove_file(&temporary);
            }
            LogError::unavailable(temporary.display(), step.action(), error)
        })
    }

    /// Makes the name of the last segment durable if the append failed to do so. Until it is
    /// durable, no caller sees the segment.
    pub(super) fn settle(&self) -> Result<(), LogError> {
        if !self.state().unsynced {
            return Ok(());
        }
        let _no_append_meanwhile = self.appending();
        self.settle_alone()
    }

    pub(super) fn settle_alone(&self) -> Result<(), LogError> {
        if !self.state().unsynced {
            return Ok(());
        }
        self.sync()?;
        self.state().unsynced = false;
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<(), LogError> {
        let synced =
            (self.before_step)(Step::SyncDirectory).and_then(|()| sync_directory(&self.directory));
        match synced {
            // A read-only file system cannot change, so a reader has nothing to sync.
            Err(error)
                if self.lock.is_none() && error.kind() == io::ErrorKind::ReadOnlyFilesystem =>
            {
                Ok(())
            }
            Err(error) => {
                let place = self.directory.display();
                Err(LogError::unavailable(place, Step::SyncDirectory.action(), error))
            }
            Ok(()) => Ok(()),
        }
    }

    pub(super) fn check_writable(&self) -> Result<(), LogError> {
        match self.lock {
            Some(_) => Ok(()),
            None => Err(LogError::ReadOnly { place: self.directory.display().to_string() }),
        }
    }

    pub(super) fn appending(&self) -> MutexGuard<'_, ()> {
        self.appending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
