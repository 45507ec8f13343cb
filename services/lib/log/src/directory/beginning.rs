//! The file that says where a log begins after its oldest segments were removed.
//! `docs/SEGMENT_FORMAT.md` draws it.
//!
//! The file is durable before the first segment is removed. So a crash leaves segments that the log
//! no longer holds, and never a log that lacks segments.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use hindsight_oplog::{OpTime, Timestamp};
use hindsight_segment::{ChainEnd, SegmentDigest, Sequence, SourceIdentity, WriterEpoch};

use super::fields::{Fields, Wrong, checked, seal};
use super::files::{BeforeStep, Step};
use crate::error::{Damage, LogError};

pub(super) const FILE: &str = "BEGINNING";
pub(super) const TEMPORARY_FILE: &str = "BEGINNING.tmp";

const MAGIC: [u8; 8] = *b"HSBEGINS";
const VERSION: u16 = 1;
/// The length of everything but the set's name, in bytes, the checksum included.
const FIXED_BYTES: usize = 92;
/// More bytes than a file can have: its length is in 16 bits.
const MAX_BYTES: u64 = 1 << 16;

pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

/// Returns the last segment that was removed. None when nothing was ever removed.
pub(super) fn read(directory: &Path) -> Result<Option<ChainEnd>, LogError> {
    let path = path(directory);
    let bytes = match File::open(&path) {
        Ok(file) => {
            let mut bytes = Vec::new();
            file.take(MAX_BYTES).read_to_end(&mut bytes).map(|_| bytes)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => Err(error),
    };
    let bytes = bytes.map_err(|error| LogError::unavailable(path.display(), "read it", error))?;
    decode(&bytes).map(Some).map_err(|wrong| wrong.in_file(&path, VERSION, Damage::Beginning))
}

/// Writes the file, and makes it complete and durable under its temporary name.
pub(super) fn write_temporary(
    directory: &Path,
    last_removed: &ChainEnd,
    before: &BeforeStep,
) -> Result<(), (Step, io::Error)> {
    let bytes = encode(last_removed);
    let write = || {
        before(Step::WriteBeginning)?;
        let mut file = File::create(directory.join(TEMPORARY_FILE))?;
        file.write_all(&bytes)?;
        Ok(file)
    };
    let file = write().map_err(|error| (Step::WriteBeginning, error))?;
    before(Step::SyncBeginning)
        .and_then(|()| file.sync_all())
        .map_err(|error| (Step::SyncBeginning, error))
}

/// Gives the file its name. The name is not durable yet.
pub(super) fn rename(directory: &Path, before: &BeforeStep) -> Result<(), (Step, io::Error)> {
    before(Step::RenameBeginning)
        .and_then(|()| fs::rename(directory.join(TEMPORARY_FILE), path(directory)))
        .map_err(|error| (Step::RenameBeginning, error))
}

fn encode(last_removed: &ChainEnd) -> Vec<u8> {
    let ChainEnd { source, epoch, sequence, digest, last } = last_removed;
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    let length = u16::try_from(FIXED_BYTES + source.set_name.len());
    let length = length.expect("a header holds the set's name, and is shorter");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&source.replica_set_id);
    bytes.extend_from_slice(&sequence.next().0.to_le_bytes());
    bytes.extend_from_slice(&digest.0);
    bytes.extend_from_slice(&epoch.0.to_le_bytes());
    bytes.extend_from_slice(&last.ts.as_u64().to_le_bytes());
    bytes.extend_from_slice(&last.term.to_le_bytes());
    bytes.extend_from_slice(source.set_name.as_bytes());
    seal(bytes)
}

/// The checksum is compared before the version is looked at: a flipped bit is damage, and not a
/// newer version.
fn decode(bytes: &[u8]) -> Result<ChainEnd, Wrong> {
    let mut fields = Fields(checked(bytes)?);
    if fields.take()? != MAGIC {
        return Err(Wrong::Damaged("its magic is not there"));
    }
    let version = fields.u16()?;
    if usize::from(fields.u16()?) != bytes.len() {
        return Err(Wrong::Damaged("its length is not the one that it names"));
    }
    match version {
        VERSION => {}
        0 => return Err(Wrong::Damaged("its version is 0")),
        newer => return Err(Wrong::Newer(newer)),
    }
    let replica_set_id = fields.take()?;
    let begins = fields.u64()?;
    let digest = SegmentDigest(fields.take()?);
    let epoch = WriterEpoch(fields.u64()?);
    let ts = Timestamp::from_u64(fields.u64()?);
    let last = OpTime { ts, term: i64::from_le_bytes(fields.take()?) };
    let set_name = String::from_utf8(fields.0.to_vec())
        .map_err(|_| Wrong::Damaged("the set's name is not UTF-8"))?;
    if begins <= Sequence::FIRST.0 {
        return Err(Wrong::Damaged("no segment comes before the one that it names"));
    }
    let source = SourceIdentity { replica_set_id, set_name };
    Ok(ChainEnd { source, epoch, sequence: Sequence(begins - 1), digest, last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::SegmentMaker;

    fn sample() -> ChainEnd {
        let mut maker = SegmentMaker { epoch: WriterEpoch(3), ..SegmentMaker::default() };
        maker.make(5).info().chain_end()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = encode(&sample());
        assert_eq!(bytes.len(), FIXED_BYTES + "rs0".len());
        assert_eq!(decode(&bytes), Ok(sample()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_damage() {
        let whole = encode(&sample());
        for at in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(matches!(decode(&bytes), Err(Wrong::Damaged(_))), "bit {at}");
        }
        for length in 0..whole.len() {
            assert!(matches!(decode(&whole[..length]), Err(Wrong::Damaged(_))), "{length} bytes");
        }
        let longer = [&whole[..], &[0]].concat();
        assert!(matches!(decode(&longer), Err(Wrong::Damaged(_))));
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let sealed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = encode(&sample());
            bytes.truncate(bytes.len() - 4);
            change(&mut bytes);
            let checksum = crc32c::crc32c(&bytes);
            bytes.extend_from_slice(&checksum.to_le_bytes());
            decode(&bytes)
        };
        assert_eq!(sealed(&|it| it[8] = 2), Err(Wrong::Newer(2)));
        assert!(matches!(sealed(&|it| it[8] = 0), Err(Wrong::Damaged(_))));
        let begins_with = |sequence: u8| sealed(&|it| it[24] = sequence);
        assert!(matches!(begins_with(1), Err(Wrong::Damaged(_))), "that is every log");
        assert_eq!(begins_with(2), Ok(sample()));
    }
}
