//! Payloads in and out of their compressed form.

use crate::error::{Error, Place};
use crate::identity::Codec;

/// Level 1 keeps up with capture on one core; higher levels do not, for a few percent of size.
const ZSTD_LEVEL: i32 = 1;

/// Appends the payload for `raw` to `out`; gives the codec it ended up with.
pub(super) fn append(codec: Codec, raw: &[u8], out: &mut Vec<u8>) -> Codec {
    let compressed = match codec {
        Codec::None => None,
        Codec::Lz4 => Some(lz4_flex::block::compress(raw)),
        // It fails for want of memory only; the entries are stored all the same.
        Codec::Zstd => zstd::bulk::compress(raw, ZSTD_LEVEL).ok(),
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

/// The entries' bytes, exactly `raw_len` of them, which the caller has checked against the limit. No more
/// memory than that is taken, whatever the payload says.
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
