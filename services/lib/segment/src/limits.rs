//! What a segment may hold at most. A reader refuses to allocate more, whatever a length field
//! says.

/// The longest entry. The server's own limit is 16 MiB + 16 KiB (`BSONObjMaxInternalSize`); ours is
/// about twice that, because refusing an entry would stop capture for good.
pub const MAX_ENTRY_BYTES: usize = 32 << 20;

/// The longest frame, uncompressed. One entry that is longer than the frame limit makes a frame of
/// its own.
pub const MAX_FRAME_RAW_BYTES: usize = MAX_ENTRY_BYTES;

/// The smallest frame limit that can be asked for: below it the frame table outgrows the frames.
pub const MIN_FRAME_LIMIT_BYTES: usize = 4 << 10;

/// The longest segment, uncompressed. With it every other number of a segment is bounded: an
/// operation takes at least 32 bytes, so counts fit 32 bits.
pub const MAX_SEGMENT_RAW_BYTES: u64 = 128 << 20;

/// The longest seal. It holds, for an operation, at most two names and 90 bytes that are not in its
/// entry.
pub const MAX_SEAL_BYTES: usize = 512 << 20;

/// The most that sightings of the catalog may take in one seal, before and after they are
/// compressed.
pub const MAX_SIGHTINGS_RAW_BYTES: usize = 32 << 20;
pub const MAX_SIGHTINGS_BYTES: usize = 16 << 20;

pub const MAX_HEADER_BYTES: usize = 8 << 10;
pub const MAX_SET_NAME_BYTES: usize = 1 << 10;
pub const MAX_GAP_DETAIL_BYTES: usize = 4 << 10;

/// Names of commands are shorter; what is longer is not a command, and is noted by its beginning.
pub const MAX_COMMAND_NAME_BYTES: usize = 120;
