//! Hostile bytes: whatever they say, they cause no panic and take no memory beyond the limits.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

/// Opens the segment and decodes all its frames.
fn read_all(bytes: Vec<u8>) -> Result<(), Error> {
    let view = SegmentView::open(Bytes::from(bytes))?;
    for frame in view.frames() {
        let decoded = frame.decode()?;
        decoded.parsed().try_for_each(|entry| entry.map(drop))?;
    }
    if let Some(sightings) = &view.info().seal.sightings {
        sightings.decode()?;
    }
    Ok(())
}

/// Makes every checksum and digest match again, so that a change reaches the parsers behind them.
pub(super) fn repair(bytes: &mut [u8]) {
    let length = bytes.len();
    let header = (u16::from_le_bytes([bytes[10], bytes[11]]) as usize).clamp(16, length);
    let checksum = crc32c::crc32c(&bytes[..header - 4]).to_le_bytes();
    bytes[header - 4..header].copy_from_slice(&checksum);
    let trailer = length - TRAILER_BYTES;
    let stored = u32::from_le_bytes(bytes[trailer..trailer + 4].try_into().unwrap()) as usize;
    let seal = trailer.saturating_sub(stored).max(header);
    if trailer.saturating_sub(seal) < 32 {
        return;
    }
    let digest = crate::view::digest_of(&bytes[..header], &bytes[seal..trailer - 32]);
    bytes[trailer - 32..trailer].copy_from_slice(&digest.0);
    let checksum = crc32c::crc32c(&bytes[seal..trailer]).to_le_bytes();
    bytes[trailer + 4..trailer + 8].copy_from_slice(&checksum);
}

fn sample() -> Vec<u8> {
    let mut entries = inserts(60);
    entries.push(entry(optime(61), "c", "shop.$cmd", |o| {
        o.string(b"drop", "orders");
    }));
    let mut input = seal_input(&entries, Codec::Lz4, FrameLimits::new(4096));
    input.summary.sightings = Sightings::of(&[sighting()]).map(|(sightings, _)| sightings);
    seal(input).unwrap().to_bytes().to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn mutated_segments_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        repaired in any::<bool>(),
    ) {
        let mut bytes = sample();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if repaired {
            repair(&mut bytes);
        }
        let _ = read_all(bytes);
    }

    #[test]
    fn fields_with_extreme_values_never_panic(
        at in any::<prop::sample::Index>(),
        value in prop::sample::select(vec![0u32, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX]),
    ) {
        let mut bytes = sample();
        let at = at.index(bytes.len() - 4);
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        repair(&mut bytes);
        let _ = read_all(bytes);
    }

    #[test]
    fn noise_is_not_a_segment(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(read_all(bytes).is_err());
    }
}

/// Returns a frame with the given payload and with matching checksum and digest.
fn forged(codec: Codec, payload: &[u8], raw_len: u32) -> (FrameInfo, Bytes) {
    let entries = inserts(1);
    let honest = seal_input(&entries, Codec::None, FrameLimits::default()).frames.remove(0);
    let mut bytes = honest.bytes()[..60].to_vec();
    bytes.extend_from_slice(payload);
    bytes[8] = codec as u8;
    bytes[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes[16..20].copy_from_slice(&raw_len.to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..56]), payload);
    bytes[56..60].copy_from_slice(&checksum.to_le_bytes());
    let info = FrameInfo {
        stored_len: bytes.len() as u32,
        raw_len,
        digest: *blake3::hash(&bytes).as_bytes(),
        ..honest.info().clone()
    };
    (info, bytes.into())
}

/// A count is believed only as far as its bytes reach, because memory is allocated before the items
/// are read.
#[test]
fn counts_beyond_their_bytes_are_refused_before_memory_is_taken() {
    let whole = sample();
    let seal = whole.len() - tail_bytes(&whole).unwrap();
    for (at, table) in [(60, "frames"), (128, "namespaces"), (132, "commands")] {
        for count in [u32::MAX, 1 << 20] {
            let mut bytes = whole.clone();
            bytes[seal + at..seal + at + 4].copy_from_slice(&count.to_le_bytes());
            repair(&mut bytes);
            let message = read_all(bytes).unwrap_err().to_string();
            assert!(
                message.contains("a count is larger than its bytes allow"),
                "{table}: {message}"
            );
        }
    }
}

#[test]
fn a_payload_that_expands_to_more_than_it_declares_is_refused() {
    let zeros = vec![0u8; 8 << 20];
    let bombs = [
        (Codec::Zstd, zstd::bulk::compress(&zeros, 1).unwrap()),
        (Codec::Lz4, lz4_flex::block::compress(&zeros)),
        (Codec::None, zeros),
    ];
    for (codec, bomb) in bombs {
        for declared in [0, 1, 1_000, 9 << 20] {
            let (info, bytes) = forged(codec, &bomb, declared);
            let frame = Frame::verify(0, &info, bytes).unwrap();
            assert!(matches!(frame.decode(), Err(Error::Corrupt { .. })), "{codec} {declared}");
        }
    }
    let (info, bytes) = forged(Codec::Zstd, b"", u32::MAX);
    assert!(matches!(Frame::verify(0, &info, bytes), Err(Error::Corrupt { .. })), "4 GiB");
}

#[test]
fn a_payload_that_is_no_run_of_entries_is_refused() {
    let first = insert(optime(1), 1);
    let cases: [(&str, Vec<u8>); 6] = [
        ("another entry", insert(optime(2), 1)),
        ("one entry more", [first.clone(), insert(optime(2), 1)].concat()),
        ("the entry twice", [first.clone(), first.clone()].concat()),
        ("the entry cut", first[..first.len() - 1].to_vec()),
        ("no position", vec![5, 0, 0, 0, 0]),
        ("nothing", Vec::new()),
    ];
    for (case, payload) in cases {
        let (info, bytes) = forged(Codec::None, &payload, payload.len() as u32);
        let frame = Frame::verify(0, &info, bytes).unwrap();
        assert!(matches!(frame.decode(), Err(Error::Corrupt { .. })), "{case}");
    }
    let (info, bytes) = forged(Codec::None, &first, first.len() as u32 + 1);
    let longer = Frame::verify(0, &info, bytes).unwrap();
    assert!(matches!(longer.decode(), Err(Error::Corrupt { .. })), "shorter than declared");
    let (info, bytes) = forged(Codec::None, &first, first.len() as u32);
    assert_eq!(Frame::verify(0, &info, bytes).unwrap().decode().unwrap().raw()[..], first);
}

#[test]
fn entries_out_of_order_are_refused_though_their_frame_is_whole() {
    let frame_of = |numbers: [u32; 4], term_of_third: i64| {
        let mut frame = RawFrame::new(0, optime(numbers[0]), 0);
        for (index, number) in numbers.into_iter().enumerate() {
            let mut at = optime(number);
            at.term = if index == 2 { term_of_third } else { at.term };
            frame.add(&insert(at, 1), at);
        }
        let stored = frame.encode(Codec::None, Effort::Normal);
        Frame::verify(0, &stored.info, stored.bytes).unwrap().decode().map(drop)
    };
    assert_eq!(frame_of([1, 2, 3, 4], 3), Ok(()));
    for (numbers, term) in
        [([1, 3, 2, 4], 3), ([1, 2, 2, 4], 3), ([1, 2, 3, 4], 2), ([1, 2, 3, 4], 4)]
    {
        let outcome = frame_of(numbers, term);
        let told = "segment is damaged: frame 0: its entries are not in order";
        assert_eq!(outcome.map_err(|error| error.to_string()), Err(told.to_owned()));
    }
}

#[test]
fn a_frame_that_contradicts_its_line_of_the_table_is_refused() {
    let entries = inserts(2);
    let stored = seal_input(&entries, Codec::None, FrameLimits::default()).frames.remove(0);
    let verify = |ordinal, change: fn(&mut FrameInfo)| {
        let mut line = stored.info().clone();
        change(&mut line);
        Frame::verify(ordinal, &line, stored.bytes().clone()).map(drop)
    };
    assert_eq!(verify(0, |_| {}), Ok(()));
    assert!(verify(1, |_| {}).is_err());
    let changes: [fn(&mut FrameInfo); 5] = [
        |line| line.stored_len += 1,
        |line| line.raw_len += 1,
        |line| line.entries += 1,
        |line| line.first = optime(2),
        |line| line.last = optime(3),
    ];
    for change in changes {
        assert!(matches!(verify(0, change), Err(Error::Corrupt { .. })));
    }
}
