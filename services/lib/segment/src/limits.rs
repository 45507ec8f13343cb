//! The most that a segment may hold. A reader refuses to allocate more, whatever a length field
//! says.

/// The longest entry, in bytes. The server's own limit is 16 MiB + 16 KiB
/// (`BSONObjMaxInternalSize`). This limit is about twice that, because refusing an entry would stop
/// capture permanently.
pub const MAX_ENTRY_BYTES: usize = 32 << 20;

/// The longest frame in bytes, uncompressed. An entry that is longer than the frame limit makes a
/// frame of its own.
pub const MAX_FRAME_RAW_BYTES: usize = MAX_ENTRY_BYTES;

/// The smallest frame limit that a caller can set, in bytes. With a smaller one, the frame table
/// would outgrow the frames.
pub const MIN_FRAME_LIMIT_BYTES: usize = 4 << 10;

/// The longest segment in bytes, uncompressed. This bounds every other number of a segment: an
/// operation takes at least 32 bytes, so counts fit into 32 bits.
pub const MAX_SEGMENT_RAW_BYTES: u64 = 128 << 20;

/// The longest seal, in bytes. For each operation, the seal holds at most two names and 90 bytes
/// that are not in the operation's entry.
pub const MAX_SEAL_BYTES: usize = 512 << 20;

/// The most bytes that sightings of the catalog may take in one seal before they are compressed.
pub const MAX_SIGHTINGS_RAW_BYTES: usize = 32 << 20;
/// The most bytes that sightings of the catalog may take in one seal after they are compressed.
pub const MAX_SIGHTINGS_BYTES: usize = 16 << 20;

/// The longest header, in bytes.
pub const MAX_HEADER_BYTES: usize = 8 << 10;
/// The longest name of a replica set, in bytes.
pub const MAX_SET_NAME_BYTES: usize = 1 << 10;
/// The longest detail of a gap notice, in bytes. A longer text is cut.
pub const MAX_GAP_DETAIL_BYTES: usize = 4 << 10;

/// The longest command name that is noted, in bytes. The names of commands are shorter. A longer
/// name is not that of a command, and only its beginning is noted.
pub const MAX_COMMAND_NAME_BYTES: usize = 120;
