//! The bytes of a data file. All integers are little-endian.
//!
//! ```text
//! file  := head frame*
//!
//! head  (32 bytes)
//!   0  8  magic "HSBASE01"
//!   8 16  UUID of the collection
//!  24  4  number of this part among the collection's files, from 0
//!  28  4  CRC32C of the 28 bytes before
//!
//! frame (16 bytes and what follows)
//!   0  4  count of documents, at least 1
//!   4  4  raw length: the documents, concatenated
//!   8  4  stored length: of what follows this head
//!  12  4  CRC32C of the 12 bytes before and of the stored bytes
//!  16  …  one zstd frame of the raw bytes
//! ```
//!
//! A frame holds whole documents and can be read alone. Its raw bytes are at most
//! [`TARGET_RAW_BYTES`], or one document. The manifest shows whether anything is missing between or
//! after the frames: it holds each file's length, counts and BLAKE3.

use hindsight_oplog::raw::Doc;

use crate::Uuid;

/// A frame is closed before it would grow past this many bytes, uncompressed. The limit is large
/// enough to compress well, and small enough to hold several at once.
pub const TARGET_RAW_BYTES: usize = 1 << 20;

/// The largest document that a server returns, in bytes: 16 MiB and its own allowance
/// (`BSONObjMaxInternalSize`).
pub const MAX_DOCUMENT_BYTES: usize = (16 << 20) + (16 << 10);

/// The largest frame in bytes, uncompressed. No frame is larger, so no length field makes a reader
/// allocate more.
pub const MAX_RAW_BYTES: usize = MAX_DOCUMENT_BYTES;

/// The largest frame in bytes, compressed. zstd's worst case adds 0.4 % and some bytes; this is
/// above it.
pub const MAX_STORED_BYTES: usize = MAX_RAW_BYTES + MAX_RAW_BYTES / 64 + 1024;

pub(crate) const FILE_HEAD_BYTES: usize = 32;
pub(crate) const FRAME_HEAD_BYTES: usize = 16;
const MAGIC: &[u8; 8] = b"HSBASE01";

pub(crate) fn file_head(uuid: &Uuid, part: u32) -> [u8; FILE_HEAD_BYTES] {
    let mut head = [0; FILE_HEAD_BYTES];
    head[..8].copy_from_slice(MAGIC);
    head[8..24].copy_from_slice(uuid);
    head[24..28].copy_from_slice(&part.to_le_bytes());
    let checksum = crc32c::crc32c(&head[..28]);
    head[28..].copy_from_slice(&checksum.to_le_bytes());
    head
}

/// Checks that a file's head names the collection and part that the file should belong to.
pub(crate) fn check_file_head(
    head: &[u8; FILE_HEAD_BYTES],
    uuid: &Uuid,
    part: u32,
) -> Result<(), &'static str> {
    if &head[..8] != MAGIC {
        return Err("it is not a data file of a base (wrong magic)");
    }
    if crc32c::crc32c(&head[..28]).to_le_bytes() != head[28..] {
        return Err("its head does not match its checksum");
    }
    if &head[8..24] != uuid || head[24..28] != part.to_le_bytes() {
        return Err("it belongs to another collection or is another part");
    }
    Ok(())
}

/// A frame's head, read and within the limits. Its checksum is checked together with the stored
/// bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameHead {
    pub(crate) documents: u32,
    pub(crate) raw_bytes: usize,
    pub(crate) stored_bytes: usize,
    checksum: u32,
    checked: [u8; 12],
}

impl FrameHead {
    pub(crate) fn read(bytes: &[u8; FRAME_HEAD_BYTES]) -> Result<Self, &'static str> {
        let field = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let mut checked = [0; 12];
        checked.copy_from_slice(&bytes[..12]);
        let head = FrameHead {
            documents: field(0),
            raw_bytes: field(4) as usize,
            stored_bytes: field(8) as usize,
            checksum: field(12),
            checked,
        };
        if head.raw_bytes > MAX_RAW_BYTES || head.stored_bytes > MAX_STORED_BYTES {
            return Err("a frame claims an impossible length");
        }
        Ok(head)
    }

    /// Checks and unpacks the bytes that follow this head.
    pub(crate) fn decode(
        &self,
        stored: &[u8],
        unpacker: &mut zstd::bulk::Decompressor<'_>,
    ) -> Result<Frame, &'static str> {
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&self.checked), stored);
        if stored.len() != self.stored_bytes || checksum != self.checksum {
            return Err("a frame does not match its checksum");
        }
        let raw = unpacker
            .decompress(stored, self.raw_bytes)
            .map_err(|_| "a frame cannot be decompressed")?;
        if raw.len() != self.raw_bytes {
            return Err("a frame decompresses to another length");
        }
        if count_documents(&raw)? != self.documents || self.documents == 0 {
            return Err("a frame holds another number of documents than it says");
        }
        Ok(Frame { raw, documents: self.documents })
    }
}

/// Packs the documents that lie one after another in `raw` into a frame, head included.
pub(crate) fn encode(
    raw: &[u8],
    documents: u32,
    packer: &mut zstd::bulk::Compressor<'_>,
) -> std::io::Result<Vec<u8>> {
    debug_assert!(raw.len() <= MAX_RAW_BYTES, "the writer closes frames in time");
    let mut frame = vec![0; FRAME_HEAD_BYTES + zstd::zstd_safe::compress_bound(raw.len())];
    let stored_bytes = packer.compress_to_buffer(raw, &mut frame[FRAME_HEAD_BYTES..])?;
    frame.truncate(FRAME_HEAD_BYTES + stored_bytes);
    for (at, field) in [(0, documents as usize), (4, raw.len()), (8, stored_bytes)] {
        let field = u32::try_from(field).expect("a frame is far smaller than 4 GiB");
        frame[at..at + 4].copy_from_slice(&field.to_le_bytes());
    }
    let (head, stored) = frame.split_at(FRAME_HEAD_BYTES);
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&head[..12]), stored);
    frame[12..16].copy_from_slice(&checksum.to_le_bytes());
    Ok(frame)
}

fn count_documents(mut raw: &[u8]) -> Result<u32, &'static str> {
    let mut documents = 0;
    while !raw.is_empty() {
        let split = Doc::split_first(raw);
        (_, raw) = split.map_err(|_| "a frame does not hold whole documents")?;
        documents += 1;
    }
    Ok(documents)
}

/// Some documents of one collection, checked.
#[derive(Debug, Clone)]
pub struct Frame {
    raw: Vec<u8>,
    documents: u32,
}

impl Frame {
    /// Returns the documents one after another, each as the server returned it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.raw
    }

    /// Returns the number of documents, which is at least one.
    pub fn document_count(&self) -> u32 {
        self.documents
    }

    /// Returns each document, as the server returned it.
    pub fn documents(&self) -> impl Iterator<Item = Doc<'_>> {
        let mut rest = &self.raw[..];
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (doc, after) = Doc::split_first(rest).expect("checked when the frame was decoded");
            rest = after;
            Some(doc)
        })
    }
}
