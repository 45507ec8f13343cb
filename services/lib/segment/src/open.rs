//! The segment that is being written: it takes entries and returns full frames.

use hindsight_oplog::{Entry, OpTime};

use crate::error::Error;
use crate::frame::RawFrame;
use crate::limits::{
    MAX_ENTRY_BYTES, MAX_FRAME_RAW_BYTES, MAX_SEGMENT_RAW_BYTES, MIN_FRAME_LIMIT_BYTES,
};
use crate::sighting::Sightings;
use crate::tally::{CommandNote, NamespaceCounts, Tally};

/// How large a frame may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    raw_bytes: usize,
}

impl FrameLimits {
    /// Returns a limit of `raw_bytes` uncompressed bytes for each frame, brought into the range
    /// that a segment allows: 4 KiB to 32 MiB.
    pub fn new(raw_bytes: usize) -> Self {
        Self { raw_bytes: raw_bytes.clamp(MIN_FRAME_LIMIT_BYTES, MAX_FRAME_RAW_BYTES) }
    }
}

/// 1 MiB: large enough to compress well, and small enough to be decoded for a single entry.
impl Default for FrameLimits {
    fn default() -> Self {
        Self::new(1 << 20)
    }
}

/// Facts about a finished segment's entries, for its seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The first entry's optime.
    pub first: OpTime,
    /// The last entry's optime.
    pub last: OpTime,
    /// The first entry's `wall`, in milliseconds since the Unix epoch. None when the entry has
    /// none.
    pub first_wall_ms: Option<i64>,
    /// The last entry's `wall`, in milliseconds since the Unix epoch. None when the entry has none.
    pub last_wall_ms: Option<i64>,
    /// The number of entries.
    pub entries: u64,
    /// The length of all entries in bytes, uncompressed.
    pub raw_bytes: u64,
    /// Operations per namespace, in the order of the names.
    pub namespaces: Vec<NamespaceCounts>,
    /// The commands, in the order of their entries.
    pub commands: Vec<CommandNote>,
    /// None in a summary from [`OpenSegment::finish`]. Sightings are not entries, and are added
    /// before the segment is sealed.
    pub sightings: Option<Sightings>,
}

/// Gathers entries, in oplog order, into frames.
///
/// Every entry passes through here. So it does nothing but copy the bytes, count, and hash the key.
#[derive(Debug)]
pub struct OpenSegment {
    limits: FrameLimits,
    /// `None` between frames.
    frame: Option<RawFrame>,
    frames_given: u32,
    first: OpTime,
    last: OpTime,
    first_wall_ms: Option<i64>,
    last_wall_ms: Option<i64>,
    entries: u64,
    raw_bytes: u64,
    tally: Tally,
}

impl OpenSegment {
    /// Returns a segment without entries.
    pub fn new(limits: FrameLimits) -> Self {
        Self {
            limits,
            frame: None,
            frames_given: 0,
            first: OpTime::NONE,
            last: OpTime::NONE,
            first_wall_ms: None,
            last_wall_ms: None,
            entries: 0,
            raw_bytes: 0,
            tally: Tally::default(),
        }
    }

    /// Takes the next entry. When the entry does not fit into the current frame any more, returns
    /// that frame, which is full.
    ///
    /// # Errors
    /// Returns [`Error::Refused`] and leaves the segment as it was for an entry that does not come
    /// after the last one, for an entry longer than [`MAX_ENTRY_BYTES`], and for an entry that
    /// would make the segment longer than [`MAX_SEGMENT_RAW_BYTES`] (the caller must cut before
    /// it).
    pub fn push(&mut self, entry: &Entry<'_>) -> Result<Option<RawFrame>, Error> {
        let bytes = entry.doc.as_bytes();
        self.admit(entry.optime, bytes.len())?;
        let has_room = self
            .frame
            .as_ref()
            .is_none_or(|it| it.raw_len() + bytes.len() <= self.limits.raw_bytes);
        let full = if has_room { None } else { self.take_frame() };
        let frame = self.frame.get_or_insert_with(|| {
            // The first frame of a segment that is cut by age stays small. Later frames get full.
            let capacity = if self.frames_given == 0 { 16 << 10 } else { self.limits.raw_bytes };
            RawFrame::new(self.frames_given, entry.optime, capacity)
        });
        self.tally.note(entry, frame.keys_mut());
        frame.add(bytes, entry.optime);
        if self.entries == 0 {
            self.first = entry.optime;
            self.first_wall_ms = entry.wall_ms;
        }
        self.last = entry.optime;
        self.last_wall_ms = entry.wall_ms;
        self.entries += 1;
        self.raw_bytes += bytes.len() as u64;
        Ok(full)
    }

    fn admit(&self, optime: OpTime, length: usize) -> Result<(), Error> {
        if !self.is_empty() && (optime.ts <= self.last.ts || optime.term < self.last.term) {
            return Err(Error::Refused(format!(
                "entry {optime} does not come after entry {}",
                self.last
            )));
        }
        if length > MAX_ENTRY_BYTES {
            return Err(Error::Refused(format!(
                "entry {optime} has {length} bytes, the limit is {MAX_ENTRY_BYTES}"
            )));
        }
        if self.raw_bytes + length as u64 > MAX_SEGMENT_RAW_BYTES {
            return Err(Error::Refused(format!(
                "entry {optime} makes the segment longer than {MAX_SEGMENT_RAW_BYTES} bytes: cut before it"
            )));
        }
        Ok(())
    }

    fn take_frame(&mut self) -> Option<RawFrame> {
        let frame = self.frame.take();
        self.frames_given += u32::from(frame.is_some());
        frame
    }

    /// Returns whether the segment has no entries yet.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Returns the number of entries so far.
    pub fn entry_count(&self) -> u64 {
        self.entries
    }

    /// Returns the length of all entries so far in bytes, including those in frames that were
    /// already returned.
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// Returns the last entry's optime. None when there are no entries.
    pub fn last(&self) -> Option<OpTime> {
        (!self.is_empty()).then_some(self.last)
    }

    /// Returns the last frame, and the facts for the seal. None for a segment without entries.
    pub fn finish(mut self) -> Option<(RawFrame, Summary)> {
        let frame = self.take_frame()?;
        let (namespaces, commands) = self.tally.finish();
        let summary = Summary {
            first: self.first,
            last: self.last,
            first_wall_ms: self.first_wall_ms,
            last_wall_ms: self.last_wall_ms,
            entries: self.entries,
            raw_bytes: self.raw_bytes,
            namespaces,
            commands,
            sightings: None,
        };
        Some((frame, summary))
    }
}
