//! Merges the files of consecutive segments into a pack.
//!
//! A pack is written under a temporary name, synced, and renamed, and then the directory is synced.
//! Only then are the files removed whose segments it holds. So after a crash at any step each
//! segment is in a file of its own, in the pack, or in both with the same bytes. What is there
//! twice is removed when the log is next opened for writing.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use hindsight_runtime::CancellationToken;
use hindsight_segment::{ChainEnd, SegmentView, Sequence, check_next};

use super::files::{BeforeStep, Step};
use super::names::{LogFile, PackName, SegmentName};
use super::pack::{Footer, Line};
use super::policy::PackLimits;
use super::store::Store;
use super::stored::{OpenFile, read_info};
use crate::error::LogError;

/// How many bytes are written between two syncs. An append that is synced meanwhile waits for no
/// more than these.
const SYNC_EVERY: u64 = 8 << 20;

/// What [`super::DirectoryLog::pack`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The first segment of the pack.
    pub first: Sequence,
    /// The last segment of the pack.
    pub last: Sequence,
    /// How many files the pack took the place of.
    pub files: usize,
    /// The length of its segments in bytes.
    pub bytes: u64,
}

/// The files that are to become a pack.
struct Run {
    files: Vec<LogFile>,
    /// The end of the chain before them.
    before: Option<ChainEnd>,
}

/// A pack that was written.
struct Written {
    name: PackName,
    /// How many of the files it holds.
    files: usize,
    /// The length of its segments in bytes.
    bytes: u64,
}

impl Store {
    pub(super) fn pack(
        &self,
        limits: &PackLimits,
        stop: &CancellationToken,
    ) -> Result<Option<Packed>, LogError> {
        self.check_writable()?;
        let _one_at_a_time = self.packing.lock().unwrap_or_else(PoisonError::into_inner);
        // What an earlier pack left would be in the way of a pack that begins elsewhere.
        self.clear_surplus()?;
        let Some(run) = self.despite_changes(|| self.chosen(limits))? else {
            return Ok(None);
        };
        let begins = run.files[0].begins();
        let outcome = self.write_pack(run, limits, stop);
        // Segments that were removed meanwhile need no pack.
        let is_moot = self.state().first() > begins;
        let Written { name, files, bytes } = match outcome {
            Ok(Some(written)) => written,
            Err(error) if !is_moot => return Err(error),
            Ok(None) | Err(_) => return Ok(None),
        };
        self.state().replace(LogFile::Pack(name));
        self.clear_surplus()?;
        Ok(Some(Packed { first: name.begins, last: name.ends, files, bytes }))
    }

    fn chosen(&self, limits: &PackLimits) -> Result<Option<Run>, LogError> {
        let (files, removed, first) = {
            let state = self.state();
            (state.files.clone(), state.before.clone(), state.first())
        };
        let bytes = |file: &LogFile| {
            let path = self.path_of(file);
            let length = fs::metadata(&path).map(|it| it.len());
            length.map_err(|error| LogError::unavailable(path.display(), "read it", error))
        };
        let Some(run) = limits.choose(&files, first, &bytes)? else { return Ok(None) };
        let before = match run.start.checked_sub(1).map(|at| files[at]) {
            Some(file) => Some(read_info(&self.directory, file, file.ends())?.chain_end()),
            None => removed,
        };
        Ok(Some(Run { files: files[run].to_vec(), before }))
    }

    /// Writes the pack and makes it durable under its name. Returns None when it was asked to stop.
    fn write_pack(
        &self,
        run: Run,
        limits: &PackLimits,
        stop: &CancellationToken,
    ) -> Result<Option<Written>, LogError> {
        let begins = run.files[0].begins();
        let temporary = self.directory.join(format!("{:012}.pack.tmp", begins.0));
        let written = self.write_temporary_pack(&temporary, run, limits, stop);
        let named = written.and_then(|written| {
            if let Some(written) = &written {
                self.name_pack(&temporary, &written.name)?;
            }
            Ok(written)
        });
        if !matches!(named, Ok(Some(_))) && (self.before_step)(Step::RemoveTemporary).is_ok() {
            let _ = fs::remove_file(&temporary);
        }
        named
    }

    fn write_temporary_pack(
        &self,
        temporary: &Path,
        run: Run,
        limits: &PackLimits,
        stop: &CancellationToken,
    ) -> Result<Option<Written>, LogError> {
        let mut draft = Draft::create(temporary, run.before, &self.before_step)?;
        let mut files = 0;
        for name in run.files {
            let file = OpenFile::open(&self.directory, name)?;
            let length = draft.offset + file.segment_bytes();
            if files > 0 && length > limits.bytes {
                break;
            }
            for sequence in name.begins().0..=name.ends().0 {
                if stop.is_cancelled() {
                    return Ok(None);
                }
                draft.copy(&file, Sequence(sequence))?;
            }
            files += 1;
        }
        let bytes = draft.offset;
        Ok(draft.finish()?.map(|name| Written { name, files, bytes }))
    }

    /// Gives the pack its name, and makes the name durable.
    fn name_pack(&self, temporary: &Path, name: &PackName) -> Result<(), LogError> {
        let pack = LogFile::Pack(*name);
        let path = self.path_of(&pack);
        let renamed =
            (self.before_step)(Step::RenamePack).and_then(|()| fs::rename(temporary, &path));
        renamed.map_err(|error| {
            LogError::unavailable(temporary.display(), Step::RenamePack.action(), error)
        })?;
        let synced = self.sync();
        if synced.is_err() {
            // Nothing rests on the pack yet. It is removed before the next one is written.
            self.state().surplus.push_back(pack);
        }
        synced
    }
}

/// A pack that is being written.
struct Draft<'a> {
    path: PathBuf,
    file: File,
    before_step: &'a BeforeStep,
    lines: Vec<Line>,
    /// Where the next segment begins, in bytes.
    offset: u64,
    /// How many bytes were written since the last sync.
    unsynced: u64,
    /// The end of the chain so far.
    end: Option<ChainEnd>,
    /// The names that the first and the last segment would have alone.
    ends: Option<(SegmentName, SegmentName)>,
}

impl<'a> Draft<'a> {
    fn create(
        path: &Path,
        before: Option<ChainEnd>,
        before_step: &'a BeforeStep,
    ) -> Result<Self, LogError> {
        let created = before_step(Step::CreatePack).and_then(|()| File::create(path));
        let file = created.map_err(|error| {
            LogError::unavailable(path.display(), Step::CreatePack.action(), error)
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            before_step,
            lines: Vec::new(),
            offset: 0,
            unsynced: 0,
            end: before,
            ends: None,
        })
    }

    /// Copies a segment, after comparing every byte of it with its digest, and the segment with the
    /// one before.
    fn copy(&mut self, file: &OpenFile, sequence: Sequence) -> Result<(), LogError> {
        let stored = file.segment(sequence)?;
        let bytes = bytes::Bytes::from(stored.read(0, stored.length as usize)?);
        let view = SegmentView::open(bytes.clone()).map_err(|error| stored.of_segment(error))?;
        let info = view.info();
        stored.check_identity(info)?;
        check_next(self.end.as_ref(), info).map_err(|reason| stored.corrupt(reason))?;
        self.step(Step::PackSegment(sequence), |file| file.write_all(&bytes))?;
        let length = bytes.len() as u64;
        self.lines.push(Line { sequence, offset: self.offset, length, digest: info.digest });
        self.offset += length;
        self.unsynced += length;
        self.end = Some(info.chain_end());
        let name = SegmentName::of(info);
        self.ends = Some((self.ends.map_or(name, |(first, _)| first), name));
        if self.unsynced >= SYNC_EVERY {
            self.unsynced = 0;
            self.step(Step::SyncPack, |file| file.sync_data())?;
        }
        Ok(())
    }

    /// Writes the table and the footer, and makes the file durable. Returns its name; None when it
    /// holds nothing.
    fn finish(mut self) -> Result<Option<PackName>, LogError> {
        let Some((first, last)) = self.ends else { return Ok(None) };
        let footer = Footer {
            table: self.offset,
            begins: first.sequence,
            segments: u32::try_from(self.lines.len()).expect("limited by a number of 32 bits"),
        };
        let mut table: Vec<u8> = self.lines.iter().flat_map(Line::encode).collect();
        table.extend(footer.encode());
        self.step(Step::WriteTable, |file| file.write_all(&table))?;
        self.step(Step::SyncPack, |file| file.sync_all())?;
        let (begins, ends) = (first.sequence, last.sequence);
        Ok(Some(PackName { begins, ends, first: first.first, last: last.last }))
    }

    fn step(
        &mut self,
        step: Step,
        run: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), LogError> {
        let done = (self.before_step)(step).and_then(|()| run(&mut self.file));
        done.map_err(|error| LogError::unavailable(self.path.display(), step.action(), error))
    }
}
