//! The segment that is being written: entries in, full frames out.

use hindsight_oplog::{Entry, OpTime};

use crate::error::Error;
use crate::frame::RawFrame;
use crate::limits::{
    MAX_ENTRY_BYTES, MAX_FRAME_RAW_BYTES, MAX_SEGMENT_RAW_BYTES, MIN_FRAME_LIMIT_BYTES,
};
use crate::sighting::Sightings;
use crate::tally::{CommandNote, NamespaceCounts, Tally};

/// How full a frame gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    raw_bytes: usize,
}

impl FrameLimits {
    /// `raw_bytes` is brought into the range a segment allows: 4 KiB to 32 MiB.
    pub fn new(raw_bytes: usize) -> Self {
        Self { raw_bytes: raw_bytes.clamp(MIN_FRAME_LIMIT_BYTES, MAX_FRAME_RAW_BYTES) }
    }
}

/// 1 MiB: long enough to compress well, short enough to decode for one entry.
impl Default for FrameLimits {
    fn default() -> Self {
        Self::new(1 << 20)
    }
}

/// Facts about a finished segment's entries, for its seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub first: OpTime,
    pub last: OpTime,
    /// The first and the last entry's `wall`, milliseconds since the epoch.
    pub first_wall_ms: Option<i64>,
    pub last_wall_ms: Option<i64>,
    pub entries: u64,
    pub raw_bytes: u64,
    pub namespaces: Vec<NamespaceCounts>,
    pub commands: Vec<CommandNote>,
    /// None as it comes from [`OpenSegment::finish`]: they are no entries, and are added before the
    /// segment is sealed.
    pub sightings: Option<Sightings>,
}

/// Gathers entries, in oplog order, into frames.
///
/// It sits on the path of every entry, and does nothing there but copy the bytes, count, and hash
/// the key.
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

    /// Takes the next entry, and gives the frame before it back when that one is full.
    ///
    /// # Errors
    /// Refuses, and leaves the segment as it was: an entry that does not come after the last one,
    /// an entry longer than [`MAX_ENTRY_BYTES`], and what would make the segment longer than
    /// [`MAX_SEGMENT_RAW_BYTES`] (cut before that).
    pub fn push(&mut self, entry: &Entry<'_>) -> Result<Option<RawFrame>, Error> {
        let bytes = entry.doc.as_bytes();
        self.admit(entry.optime, bytes.len())?;
        let has_room = self
            .frame
            .as_ref()
            .is_none_or(|it| it.raw_len() + bytes.len() <= self.limits.raw_bytes);
        let full = if has_room { None } else { self.take_frame() };
        let frame = self.frame.get_or_insert_with(|| {
            // The first frame of a segment that is cut by age stays small; later ones get full.
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

    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    pub fn entry_count(&self) -> u64 {
        self.entries
    }

    /// Bytes of all entries so far, those in frames already given back included.
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// The last entry's optime.
    pub fn last(&self) -> Option<OpTime> {
        (!self.is_empty()).then_some(self.last)
    }

    /// The last frame, if entries are in it, and the facts for the seal; nothing for a segment
    /// without entries.
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
