//! Where the bytes of a segment lie: in a file of its own, or in a pack.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use hindsight_segment::limits::MAX_HEADER_BYTES;
use hindsight_segment::{
    SegmentDigest, SegmentInfo, SegmentView, Sequence, TRAILER_BYTES, tail_bytes,
};

use super::names::{LogFile, PackName, SegmentName};
use super::pack::{self, FOOTER_BYTES, Footer, LINE_BYTES, Line};
use crate::error::{Damage, LogError};

/// How many bytes at the end of a segment are read first. Most seals are shorter, so that one read
/// of the end is enough.
const FIRST_TAIL_BYTES: u64 = 64 << 10;

/// A file that holds segments, open for reading.
pub(super) struct OpenFile {
    name: LogFile,
    path: PathBuf,
    file: File,
    /// The length of the file in bytes.
    length: u64,
    /// The footer of a pack.
    footer: Option<Footer>,
}

impl OpenFile {
    pub(super) fn open(directory: &Path, name: LogFile) -> Result<Self, LogError> {
        let path = directory.join(name.to_string());
        let unavailable = |error| LogError::unavailable(path.display(), "open it", error);
        let file = File::open(&path).map_err(unavailable)?;
        let length = file.metadata().map_err(unavailable)?.len();
        let mut open = Self { name, path, file, length, footer: None };
        if let LogFile::Pack(name) = &name {
            open.footer = Some(open.read_footer(name)?);
        }
        Ok(open)
    }

    /// Reads the footer of a pack, and compares it with the pack's name.
    fn read_footer(&self, name: &PackName) -> Result<Footer, LogError> {
        let Some(at) = self.length.checked_sub(FOOTER_BYTES as u64) else {
            return Err(self.bad_table("it is cut short"));
        };
        let mut bytes = [0; FOOTER_BYTES];
        self.read_at(&mut bytes, at)?;
        let footer = Footer::decode(&bytes, self.length)
            .map_err(|wrong| wrong.in_file(&self.path, pack::VERSION, Damage::Pack))?;
        let is_named =
            (footer.begins, u64::from(footer.segments)) == (name.begins, self.name.segments());
        match is_named {
            true => Ok(footer),
            false => Err(self.bad_table("its segments are not those that its name says")),
        }
    }

    /// Returns where a segment lies. The file's name must say that the file holds it.
    pub(super) fn segment(&self, sequence: Sequence) -> Result<Stored<'_>, LogError> {
        let Some(footer) = &self.footer else {
            return Ok(Stored {
                file: self,
                sequence,
                offset: 0,
                length: self.length,
                digest: None,
            });
        };
        let Some(at) = footer.line_at(sequence) else {
            return Err(LogError::no_segment(self.path.display(), sequence));
        };
        let mut bytes = [0; LINE_BYTES];
        self.read_at(&mut bytes, at)?;
        let line = Line::decode(&bytes)
            .map_err(|wrong| wrong.in_file(&self.path, pack::VERSION, Damage::Pack))?;
        let Line { offset, length, digest, .. } = line;
        let lies_within = offset.checked_add(length).is_some_and(|end| end <= footer.table);
        if line.sequence != sequence || !lies_within {
            return Err(self.bad_table("a line of its table is not where it belongs"));
        }
        Ok(Stored { file: self, sequence, offset, length, digest: Some(digest) })
    }

    /// Returns the length of all segments in bytes.
    pub(super) fn segment_bytes(&self) -> u64 {
        self.footer.map_or(self.length, |footer| footer.table)
    }

    fn bad_table(&self, what: &'static str) -> LogError {
        LogError::corrupt(self.path.display(), Damage::Pack(what))
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), LogError> {
        self.file.read_exact_at(bytes, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => LogError::corrupt(self.path.display(), cut_short()),
            _ => LogError::unavailable(self.path.display(), "read it", error),
        })
    }
}

fn cut_short() -> hindsight_segment::Error {
    hindsight_segment::Error::Corrupt {
        place: hindsight_segment::Place::Trailer,
        what: "the segment is cut short",
    }
}

/// Returns header and seal of a segment that the file holds.
pub(super) fn read_info(
    directory: &Path,
    file: LogFile,
    sequence: Sequence,
) -> Result<SegmentInfo, LogError> {
    OpenFile::open(directory, file)?.segment(sequence)?.info()
}

/// The bytes of one segment in an open file.
pub(super) struct Stored<'a> {
    file: &'a OpenFile,
    sequence: Sequence,
    /// Where the segment begins in the file, in bytes.
    pub(super) offset: u64,
    /// The length of the segment in bytes.
    pub(super) length: u64,
    /// The digest that a pack's table names.
    digest: Option<SegmentDigest>,
}

impl Stored<'_> {
    /// Reads header and seal from the two ends of the segment, and compares them with what the
    /// file's name or its table says.
    pub(super) fn info(&self) -> Result<SegmentInfo, LogError> {
        let mut tail = self.read_end(FIRST_TAIL_BYTES)?;
        let trailer = &tail[tail.len().saturating_sub(TRAILER_BYTES)..];
        let needed = tail_bytes(trailer).map_err(|error| self.of_segment(error))? as u64;
        if needed > tail.len() as u64 {
            tail = self.read_end(needed)?;
        }
        let info = if tail.len() as u64 == self.length {
            SegmentInfo::from_ends(&tail, &tail, self.length)
        } else {
            let head = self.read(0, self.length.min(MAX_HEADER_BYTES as u64) as usize)?;
            SegmentInfo::from_ends(&head, &tail, self.length)
        };
        let info = info.map_err(|error| self.of_segment(error))?;
        self.check_identity(&info)?;
        Ok(info)
    }

    /// Reads the whole segment, and compares every byte of it with its digest.
    pub(super) fn view(&self) -> Result<SegmentView, LogError> {
        // The seal states the segment's length, and the digest vouches for it, before all of it is
        // read.
        self.info()?;
        let bytes = self.read(0, self.length as usize)?;
        SegmentView::open(bytes.into()).map_err(|error| self.of_segment(error))
    }

    /// Reads `length` bytes at `offset` of the segment.
    pub(super) fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, LogError> {
        if offset.checked_add(length as u64).is_none_or(|end| end > self.length) {
            return Err(self.corrupt(cut_short()));
        }
        let mut bytes = vec![0; length];
        self.file.read_at(&mut bytes, self.offset + offset)?;
        Ok(bytes)
    }

    /// Returns whether another file holds the same bytes.
    pub(super) fn is_same(&self, other: &Stored<'_>) -> Result<bool, LogError> {
        let whole = |it: &Stored<'_>| it.read(0, it.length as usize);
        Ok(self.length == other.length && whole(self)? == whole(other)?)
    }

    fn read_end(&self, wanted: u64) -> Result<Vec<u8>, LogError> {
        let taken = self.length.min(wanted);
        self.read(self.length - taken, taken as usize)
    }

    /// Compares a segment with what the file's name or its table says.
    pub(super) fn check_identity(&self, info: &SegmentInfo) -> Result<(), LogError> {
        let found = SegmentName::of(info);
        let (first, last) = self.file.name.timestamps();
        let is_named = info.sequence() == self.sequence
            && (self.sequence != self.file.name.begins() || found.first == first)
            && (self.sequence != self.file.name.ends() || found.last == last);
        if !is_named {
            return Err(self.corrupt(Damage::Misnamed { found: found.to_string() }));
        }
        match self.digest.is_none_or(|digest| digest == info.digest) {
            true => Ok(()),
            false => Err(self.corrupt(Damage::NotAsKnown)),
        }
    }

    /// Names the file, and the segment in it when it may hold others.
    pub(super) fn place(&self) -> String {
        let path = self.file.path.display();
        match self.file.name {
            LogFile::Segment(_) => path.to_string(),
            LogFile::Pack(_) => format!("{path}, segment {}", self.sequence),
        }
    }

    pub(super) fn corrupt(&self, damage: impl Into<Damage>) -> LogError {
        LogError::corrupt(self.place(), damage)
    }

    pub(super) fn of_segment(&self, error: hindsight_segment::Error) -> LogError {
        LogError::of_segment(self.place(), error)
    }
}
