//! Compresses and expands the payloads of frames.

use std::cell::RefCell;

use zstd::bulk::Compressor;

use crate::error::{Error, Place};
use crate::identity::Codec;

/// How hard to try to make a frame small. The effort changes the stored bytes, but not how they are
/// read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// zstd level 1. Higher levels take much longer and save only a few percent of size.
    #[default]
    Normal,
    /// zstd level -1: about 2.5 times as fast and 1.4 times as large, for a backlog that waits for
    /// the CPU.
    Fast,
}

impl Effort {
    fn zstd_level(self) -> i32 {
        match self {
            Effort::Normal => 1,
            Effort::Fast => -1,
        }
    }
}

thread_local! {
    /// The compressor's tables are large. Making them anew for every frame takes a tenth of the
    /// compression's time.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

/// Appends the payload for `raw` to `out`, and returns the codec that the payload is stored with.
pub(super) fn append(codec: Codec, effort: Effort, raw: &[u8], out: &mut Vec<u8>) -> Codec {
    let compressed = match codec {
        Codec::None => None,
        Codec::Lz4 => Some(lz4_flex::block::compress(raw)),
        // Compression fails only when memory is short. The entries are stored uncompressed then.
        Codec::Zstd => zstd_compress(raw, effort.zstd_level()).ok(),
    };
    match compressed {
        Some(compressed) if compressed.len() < raw.len() => {
            out.extend_from_slice(&compressed);
            codec
        }
        _ => {
            out.extend_from_slice(raw);
            Codec::None
        }
    }
}

fn zstd_compress(raw: &[u8], level: i32) -> std::io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => kept.insert(Compressor::new(level)?),
        };
        compressor.set_compression_level(level)?;
        compressor.compress(raw)
    })
}

/// Returns the entries' bytes, exactly `raw_len` of them. The caller has checked `raw_len` against
/// the limit. No more memory than that is taken, whatever the payload says.
pub(super) fn expand(
    codec: Codec,
    payload: &[u8],
    raw_len: usize,
    place: Place,
) -> Result<Vec<u8>, Error> {
    let raw = match codec {
        Codec::None => Some(payload.to_vec()),
        Codec::Lz4 => {
            let mut raw = vec![0; raw_len];
            let written = lz4_flex::block::decompress_into(payload, &mut raw);
            (written.ok() == Some(raw_len)).then_some(raw)
        }
        Codec::Zstd => zstd::bulk::Decompressor::new().ok().and_then(|mut decompressor| {
            let mut raw = Vec::with_capacity(raw_len);
            decompressor.decompress_to_buffer(payload, &mut raw).ok()?;
            Some(raw)
        }),
    };
    raw.filter(|raw| raw.len() == raw_len)
        .ok_or(Error::corrupt(place, "its payload does not expand to the length it declares"))
}
