//! Any kind of damage is noticed when a segment is opened.

use bytes::Bytes;

use super::*;

fn small_segment() -> Vec<u8> {
    let mut input = seal_input(&inserts(3), Codec::Zstd, FrameLimits::default());
    input.oldest_unresolved = Some(optime(1));
    seal(input).unwrap().to_bytes().to_vec()
}

fn error_of(bytes: &[u8]) -> Option<Error> {
    SegmentView::open(Bytes::copy_from_slice(bytes)).err()
}

#[test]
fn every_flipped_bit_is_noticed() {
    for codec in [Codec::None, Codec::Zstd] {
        let whole = sealed(&inserts(3), codec).to_bytes().to_vec();
        assert_eq!(error_of(&whole), None);
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = error_of(&flipped);
            assert!(
                matches!(error, Some(Error::Corrupt { .. })),
                "byte {} bit {}: {error:?}",
                bit / 8,
                bit % 8
            );
        }
    }
}

#[test]
fn every_flipped_bit_of_header_and_seal_is_noticed_without_the_frames() {
    let whole = small_segment();
    let length = whole.len() as u64;
    let info = SegmentInfo::from_ends(&whole, &whole, length).unwrap();
    let tail = tail_bytes(&whole[whole.len() - TRAILER_BYTES..]).unwrap();
    let header = info.header_bytes as usize;
    for byte in (0..header).chain(whole.len() - tail..whole.len()) {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[byte] ^= 1 << bit;
            let (head, tail) = (&flipped[..header], &flipped[whole.len() - tail..]);
            let outcome = SegmentInfo::from_ends(head, tail, length);
            assert!(matches!(outcome, Err(Error::Corrupt { .. })), "byte {byte} bit {bit}");
        }
    }
}

#[test]
fn every_truncation_and_every_extension_is_noticed() {
    let whole = small_segment();
    for length in 0..whole.len() {
        assert!(matches!(error_of(&whole[..length]), Some(Error::Corrupt { .. })), "{length}");
        assert!(matches!(error_of(&whole[length + 1..]), Some(Error::Corrupt { .. })), "{length}");
    }
    for extra in [&[0][..], &[0; 16], &whole] {
        assert!(error_of(&[&whole, extra].concat()).is_some());
        assert!(error_of(&[extra, &whole].concat()).is_some());
    }
}

/// Opens a segment whose frames `arrange` has rearranged, and returns the error.
fn rearranged(arrange: impl FnOnce(&mut Vec<Bytes>)) -> Option<Error> {
    let segment = sealed(&inserts(300), Codec::None);
    let mut pieces: Vec<Bytes> = segment.pieces().cloned().collect();
    let seal = pieces.pop().unwrap();
    let mut frames = pieces.split_off(1);
    arrange(&mut frames);
    error_of(&[pieces.concat(), frames.concat(), seal.to_vec()].concat())
}

#[test]
fn swapped_missing_duplicated_and_foreign_frames_are_noticed() {
    assert_eq!(rearranged(|_| {}), None);
    assert!(rearranged(|frames| frames.swap(0, 1)).is_some());
    assert!(rearranged(|frames| drop(frames.remove(1))).is_some());
    assert!(rearranged(|frames| frames.clear()).is_some());
    assert!(rearranged(|frames| frames.insert(1, frames[0].clone())).is_some());
    assert!(rearranged(|frames| frames[1] = frames[0].clone()).is_some());
    let other = bulky(optime(1), 3_000);
    let other = sealed(&[other], Codec::None).pieces().nth(1).unwrap().clone();
    assert!(rearranged(|frames| frames[0] = other).is_some());
}

#[test]
fn parts_of_two_segments_do_not_make_one() {
    let input = seal_input(&inserts(3), Codec::None, FrameLimits::default());
    let one = seal(input.clone()).unwrap();
    let two = seal(SealInput { epoch: WriterEpoch(2), ..input }).unwrap();
    let [one, two] = [one, two].map(|it| it.pieces().cloned().collect::<Vec<_>>());
    assert_eq!(error_of(&[&two[0][..], &one[1], &two[2]].concat()), None, "the same frames");
    assert!(error_of(&[&one[0][..], &two[1], &two[2]].concat()).is_some());
    assert!(error_of(&[&one[0][..], &one[1], &two[2]].concat()).is_some());
}

/// Checksums find accidents. Someone who changes bytes on purpose also makes the checksums match.
#[test]
fn changes_with_matching_checksums_are_noticed_by_the_digests() {
    let whole = sealed(&inserts(3), Codec::None).to_bytes().to_vec();
    let header = u16::from_le_bytes([whole[10], whole[11]]) as usize;
    let trailer = whole.len() - TRAILER_BYTES;
    let seal = whole.len() - tail_bytes(&whole).unwrap();

    let mut payload = whole.clone();
    payload[header + 200] ^= 1;
    let frame = &payload[header..seal];
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&frame[..56]), &frame[60..]);
    payload[header + 56..header + 60].copy_from_slice(&checksum.to_le_bytes());
    let message = error_of(&payload).unwrap().to_string();
    assert!(message.contains("its digest is not the one in the seal"), "{message}");

    let mut facts = whole.clone();
    facts[seal + 96] ^= 1;
    let checksum = crc32c::crc32c(&facts[seal..trailer]);
    facts[trailer + 4..trailer + 8].copy_from_slice(&checksum.to_le_bytes());
    let message = error_of(&facts).unwrap().to_string();
    assert!(message.contains("its digest does not match header and seal"), "{message}");

    let mut names = whole.clone();
    names[header - 5] ^= 1;
    let checksum = crc32c::crc32c(&names[..header - 4]);
    names[header - 4..header].copy_from_slice(&checksum.to_le_bytes());
    let message = error_of(&names).unwrap().to_string();
    assert!(message.contains("its digest does not match header and seal"), "{message}");
}

#[test]
fn a_newer_version_is_told_from_damage() {
    let mut newer = small_segment();
    newer[8] = 3;
    assert!(matches!(error_of(&newer), Some(Error::Corrupt { .. })), "version without checksum");
    let header = u16::from_le_bytes([newer[10], newer[11]]) as usize;
    let checksum = crc32c::crc32c(&newer[..header - 4]);
    newer[header - 4..header].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(error_of(&newer), Some(Error::Unsupported { found: 3, known: 2 }));
}

#[test]
fn messages_name_the_place_and_the_trouble() {
    let whole = small_segment();
    let mut flipped = whole.clone();
    let header = u16::from_le_bytes([whole[10], whole[11]]) as usize;
    flipped[header + 70] ^= 1;
    let message = error_of(&flipped).unwrap().to_string();
    assert_eq!(message, "segment is damaged: frame 0: its checksum does not match its bytes");
}
