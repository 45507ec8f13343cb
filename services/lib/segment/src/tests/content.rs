//! Entries come out as they went in, and the facts in header and seal are true.

use super::*;
use crate::limits::{MAX_ENTRY_BYTES, MAX_SEGMENT_RAW_BYTES};

const CODECS: [Codec; 3] = [Codec::None, Codec::Lz4, Codec::Zstd];

#[test]
fn entries_come_back_byte_for_byte() {
    let mut entries = inserts(200);
    entries.push(bulky(optime(201), 10_000));
    entries.push(insert(optime(202), 202));
    for codec in CODECS {
        let segment = sealed(&entries, codec);
        assert!(segment.info().seal.frames.len() > 5, "several frames");
        let bytes = segment.to_bytes();
        let mut written = Vec::new();
        segment.write_to(&mut written).unwrap();
        assert_eq!(written, bytes);
        let view = SegmentView::open(bytes).unwrap();
        assert_eq!(view.info(), segment.info());
        assert_eq!(entries_of(&view), entries, "{codec}");
        assert_eq!(view.info().header.codec, codec);
    }
}

#[test]
fn compression_pays_and_never_costs() {
    let raw: u64 = inserts(2000).iter().map(|it| it.len() as u64).sum();
    for codec in [Codec::Lz4, Codec::Zstd] {
        let info = facts(&sealed(&inserts(2000), codec));
        assert!(info.seal.stored_bytes < raw / 2, "{codec}: {} of {raw}", info.seal.stored_bytes);
    }
    let noise = [bulky(optime(1), 100_000)];
    let stored = |codec| sealed(&noise, codec).info().seal.stored_bytes;
    assert_eq!(stored(Codec::Zstd), stored(Codec::None));
    assert_eq!(stored(Codec::Lz4), stored(Codec::None));
}

#[test]
fn less_effort_changes_the_size_and_not_the_entries() {
    let entries = inserts(200);
    let sizes = [Effort::Normal, Effort::Fast].map(|effort| {
        let mut open = OpenSegment::new(FrameLimits::default());
        for bytes in &entries {
            assert!(open.push(&Entry::parse(bytes).unwrap()).unwrap().is_none());
        }
        let (frame, _) = open.finish().expect("a segment with entries");
        let stored = frame.encode(Codec::Zstd, effort);
        let read = Frame::verify(0, stored.info(), stored.bytes().clone()).unwrap();
        let decoded = read.decode().unwrap();
        assert!(decoded.entries().eq(entries.iter().map(Vec::as_slice)), "{effort:?}");
        stored.bytes().len()
    });
    assert!(sizes[0] < sizes[1], "{sizes:?}");
}

#[test]
fn an_entry_above_the_frame_limit_makes_its_own_frame() {
    let largest_of_a_server = 16 * 1024 * 1024 + 16 * 1024;
    let huge = bulky(optime(2), largest_of_a_server - 200);
    let entries = [insert(optime(1), 1), huge, insert(optime(3), 3)];
    let segment = seal(seal_input(&entries, Codec::Zstd, FrameLimits::default())).unwrap();
    let frames = &segment.info().seal.frames;
    assert_eq!(frames.iter().map(|it| it.entries).collect::<Vec<_>>(), [1, 1, 1]);
    let view = SegmentView::open(segment.to_bytes()).unwrap();
    assert_eq!(entries_of(&view), entries);
}

#[test]
fn frames_fill_up_to_the_limit() {
    let entries = inserts(300);
    let segment = sealed(&entries, Codec::Zstd);
    let seal = &segment.info().seal;
    let (last, full) = seal.frames.split_last().unwrap();
    assert!(full.iter().all(|it| it.raw_len <= 4096 && it.raw_len > 4096 - 200));
    assert!(last.raw_len <= 4096);
    assert_eq!(seal.frames.iter().map(|it| u64::from(it.entries)).sum::<u64>(), 300);
    assert_eq!(seal.raw_bytes, entries.iter().map(|it| it.len() as u64).sum::<u64>());
}

#[test]
fn the_seal_tells_positions_and_totals() {
    let mut input = seal_input(&inserts(50), Codec::Zstd, FrameLimits::default());
    input.majority = optime(77);
    input.oldest_unresolved = Some(optime(7));
    input.oldest_prepared = Some(optime(8).ts);
    input.reason = CutReason::Age;
    let info = facts(&seal(input).unwrap());
    assert_eq!((info.first(), info.last()), (optime(1), optime(50)));
    assert_eq!(info.seal.first_wall_ms, Some(wall(optime(1).ts)));
    assert_eq!(info.seal.last_wall_ms, Some(wall(optime(50).ts)));
    assert_eq!(info.seal.majority, optime(77));
    assert_eq!(info.seal.oldest_unresolved, Some(optime(7)));
    assert_eq!(info.seal.oldest_prepared, Some(optime(8).ts));
    assert_eq!(info.seal.entries, 50);
    assert_eq!(info.seal.reason, CutReason::Age);
    let ranges: Vec<_> = info.frame_ranges().collect();
    assert_eq!(ranges[0].start, u64::from(info.header_bytes));
    assert_eq!(ranges[0].end - ranges[0].start, u64::from(info.seal.frames[0].stored_len));
}

#[test]
fn operations_are_counted_per_namespace_also_inside_apply_ops() {
    let entries = [
        insert(optime(1), 1),
        entry(optime(2), "n", "", |o| {
            o.string(b"msg", "periodic noop");
        }),
        entry(optime(3), "c", "admin.$cmd", |o| {
            o.open(kind::ARRAY, b"applyOps");
            for (index, op) in ["i", "i", "u", "d", "zz"].into_iter().enumerate() {
                o.open(kind::DOCUMENT, index.to_string().as_bytes());
                o.string(b"op", op).string(b"ns", "shop.stock").open(kind::DOCUMENT, b"o");
                o.int32(b"_id", index as i32).close().close();
            }
            o.close();
        }),
        entry(optime(4), "c", "shop.$cmd", |o| {
            o.string(b"drop", "orders");
        }),
        entry(optime(5), "c", "admin.$cmd", |o| {
            o.string(b"renameCollection", "shop.stock").string(b"to", "old.stock");
        }),
        entry(optime(6), "c", "admin.$cmd", |o| {
            o.int32(b"commitTransaction", 1);
        }),
        entry(optime(7), "c", "shop.$cmd", |o| {
            o.int32(b"dropDatabase", 1);
        }),
        entry(optime(8), "c", "shop.$cmd", |o| {
            o.string(b"renameCollection", "shop.tmp.agg_out.1").string(b"to", "shop.totals");
            o.value(kind::BINARY, b"dropTarget", &[&b"\x10\0\0\0\x04"[..], &[7; 16]].concat());
        }),
    ];
    let info = facts(&sealed(&entries, Codec::None));
    let counts = |namespace: &str| {
        let line = info.seal.namespaces.iter().find(|it| it.namespace == namespace);
        line.map(|it| it.counts).unwrap_or_default()
    };
    let orders = OpCounts { inserts: 1, commands: 1, ..OpCounts::default() };
    assert_eq!(counts("shop.orders"), orders);
    assert_eq!(counts(""), OpCounts { noops: 1, ..OpCounts::default() });
    let stock = OpCounts { inserts: 2, updates: 1, deletes: 1, commands: 1, others: 1, ..orders };
    assert_eq!(counts("shop.stock"), stock);
    assert_eq!(counts("admin.$cmd"), OpCounts { commands: 1, ..OpCounts::default() });
    assert_eq!(counts("shop.$cmd"), OpCounts { commands: 1, ..OpCounts::default() });
    // The drop within a rename is noted, but is not a separate operation.
    assert_eq!(counts("shop.tmp.agg_out.1"), OpCounts { commands: 1, ..OpCounts::default() });
    assert_eq!(counts("shop.totals"), OpCounts::default());

    let note = |at, name: &str, namespace: &str, to: Option<&str>| CommandNote {
        optime: optime(at),
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        renamed_to: to.map(str::to_owned),
    };
    let expected = [
        note(4, "drop", "shop.orders", None),
        note(5, "renameCollection", "shop.stock", Some("old.stock")),
        note(7, "dropDatabase", "shop.$cmd", None),
        note(8, "drop", "shop.totals", None),
        note(8, "renameCollection", "shop.tmp.agg_out.1", Some("shop.totals")),
    ];
    assert_eq!(info.seal.commands, expected);
}

#[test]
fn frames_filter_by_the_documents_they_touch() {
    let info = facts(&sealed(&inserts(2_000), Codec::Zstd));
    assert!(info.seal.frames.len() > 20);
    let hash_of = |id: i32| {
        let mut doc = DocWriter::new();
        doc.int32(b"_id", id);
        let bytes = doc.finish();
        let doc = hindsight_oplog::raw::Doc::new(&bytes).unwrap();
        hindsight_oplog::id_key::hash64(doc.first().unwrap().unwrap())
    };
    for id in 1..=2_000 {
        let hash = hash_of(id);
        let holder = info.seal.frames.iter().find(|it| it.spans(optime(id as u32).ts)).unwrap();
        assert!(holder.filter.may_contain(hash), "document {id}");
    }
    let probes = 1_000 * info.seal.frames.len();
    let wrong = (5_000..6_000)
        .flat_map(|id| info.seal.frames.iter().map(move |it| it.filter.may_contain(hash_of(id))))
        .filter(|&hit| hit)
        .count();
    assert!(wrong * 100 < probes * 3, "{wrong} of {probes}");
}

#[test]
fn a_frame_without_documents_has_no_keys_and_one_that_hides_them_any() {
    let noop = entry(optime(1), "n", "", |_| {});
    let frames = |entries: &[Vec<u8>]| sealed(entries, Codec::None).info().seal.frames.clone();
    assert_eq!(frames(&[noop])[0].filter, KeyFilter::NoKeys);
    let unopenable = entry(optime(1), "c", "admin.$cmd", |o| {
        o.int32(b"applyOps", 1);
    });
    let info = facts(&sealed(std::slice::from_ref(&unopenable), Codec::None));
    assert_eq!(info.seal.frames[0].filter, KeyFilter::Unknown);
    assert_eq!(info.seal.namespaces[0].counts.others, 1);
    assert_eq!(frames(&[unopenable, insert(optime(2), 2)])[0].filter, KeyFilter::Unknown);
}

#[test]
fn what_must_not_become_a_segment_is_refused() {
    assert!(OpenSegment::new(FrameLimits::default()).finish().is_none(), "no entries, no segment");
    let refused = |change: fn(&mut SealInput)| {
        let mut input = seal_input(&inserts(300), Codec::None, FrameLimits::new(4096));
        change(&mut input);
        let outcome = seal(input);
        assert!(matches!(outcome, Err(Error::Refused(_))), "{outcome:?}");
    };
    refused(|input| input.frames.clear());
    refused(|input| input.frames.swap(0, 1));
    refused(|input| drop(input.frames.pop()));
    refused(|input| drop(input.frames.remove(1)));
    refused(|input| input.frames.push(input.frames[0].clone()));
    refused(|input| input.majority = optime(299));
    refused(|input| input.oldest_unresolved = Some(optime(301)));
    refused(|input| input.oldest_prepared = Some(optime(301).ts));
    refused(|input| input.source.set_name = "x".repeat(2_000));
    refused(|input| input.summary.entries += 1);
    refused(|input| input.summary.raw_bytes -= 1);
    refused(|input| input.summary.first = optime(2));
}

#[test]
fn an_entry_out_of_order_or_too_long_is_refused_and_changes_nothing() {
    let mut open = OpenSegment::new(FrameLimits::default());
    let mut push = |bytes: &[u8]| open.push(&Entry::parse(bytes).unwrap()).map(drop);
    push(&insert(optime(5), 1)).unwrap();
    assert!(push(&insert(optime(5), 1)).is_err(), "the same entry again");
    assert!(push(&insert(optime(4), 1)).is_err(), "an earlier entry");
    let older_term = OpTime::new(1_700_000_000, 9, 2);
    assert!(push(&insert(older_term, 1)).is_err(), "an entry of an older term");
    assert!(push(&bulky(optime(10), MAX_ENTRY_BYTES)).is_err(), "an endless entry");
    push(&insert(optime(6), 1)).unwrap();
    assert_eq!(open.entry_count(), 2);
    assert_eq!(open.last(), Some(optime(6)));
    assert_eq!(open.raw_bytes(), 2 * insert(optime(5), 1).len() as u64);
}

#[test]
fn a_segment_ends_before_it_outgrows_its_limit() {
    let mut open = OpenSegment::new(FrameLimits::default());
    let refused_at = (1..).find(|&number| {
        let bytes = bulky(optime(number), 16 << 20);
        open.push(&Entry::parse(&bytes).unwrap()).is_err()
    });
    assert_eq!(refused_at, Some(8));
    assert!(open.raw_bytes() <= MAX_SEGMENT_RAW_BYTES);
}

#[test]
fn ids_of_equal_value_are_one_key() {
    let at = |number| optime(number);
    let entries = [entry(at(1), "i", "shop.orders", |o| {
        o.int64(b"_id", 42);
    })];
    let info = facts(&sealed(&entries, Codec::None));
    let mut other_spellings = DocWriter::new();
    other_spellings.int32(b"", 42).value(kind::DOUBLE, b"", &42f64.to_le_bytes()).int32(b"", 43);
    let bytes = other_spellings.finish();
    let hits: Vec<bool> = hindsight_oplog::raw::Doc::new(&bytes)
        .unwrap()
        .elements()
        .map(|id| hindsight_oplog::id_key::hash64(id.unwrap()))
        .map(|hash| info.seal.frames[0].filter.may_contain(hash))
        .collect();
    assert_eq!(hits, [true, true, false]);
}

/// The fields that `docs/SEGMENT_FORMAT.md` names lie at the offsets that it names.
#[test]
fn fields_lie_where_the_format_says() {
    let mut input = seal_input(&inserts(3), Codec::None, FrameLimits::default());
    input.sequence = Sequence(7);
    input.epoch = WriterEpoch(5);
    input.oldest_unresolved = Some(optime(2));
    input.oldest_prepared = Some(optime(3).ts);
    let segment = seal(input).unwrap();
    let pieces: Vec<&[u8]> = segment.pieces().map(|piece| &piece[..]).collect();
    let [header, frame, seal] = pieces[..] else { panic!("three pieces") };
    let u16_at =
        |bytes: &[u8], at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
    let u32_at =
        |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at =
        |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());

    assert_eq!((&header[..8], u16_at(header, 8)), (&b"HSSEGMNT"[..], 1));
    assert_eq!(u16_at(header, 10) as usize, header.len());
    assert_eq!((header[12], header[13], u16_at(header, 14)), (0, 0, 3));
    assert_eq!(&header[16..28], b"replicaset01");
    assert_eq!((u64_at(header, 28), u64_at(header, 36)), (5, 7));
    assert_eq!(&header[76..79], b"rs0");

    let raw = inserts(3).concat();
    assert_eq!((&frame[..4], u32_at(frame, 4), frame[8]), (&b"HSFR"[..], 0, 0));
    assert_eq!([12, 16, 20].map(|at| u32_at(frame, at) as usize), [raw.len(), raw.len(), 3]);
    assert_eq!([24, 40].map(|at| u64_at(frame, at)), [1, 3].map(|it| optime(it).ts.as_u64()));
    assert_eq!(frame[60..], raw);

    assert_eq!(&seal[..8], b"HSSEAL\0\0");
    assert_eq!(
        [8, 24, 40, 80, 96].map(|at| u64_at(seal, at)),
        [1, 3, 3, 2, 3].map(|it| optime(it).ts.as_u64())
    );
    assert_eq!((seal[56], seal[57], u32_at(seal, 60)), (15, 1, 1));
    assert_eq!([104, 112, 120].map(|at| u64_at(seal, at) as usize), [3, raw.len(), frame.len()]);
    assert_eq!((u32_at(seal, 128), u32_at(seal, 132)), (1, 0));
    assert_eq!((u32_at(seal, 136), &seal[140..151]), (11, &b"shop.orders"[..]));
    let trailer = seal.len() - TRAILER_BYTES;
    assert_eq!(seal[trailer - 32..trailer], segment.digest().0);
    assert_eq!(u32_at(seal, trailer) as usize, trailer);
    assert_eq!(&seal[trailer + 8..], b"HSSEGEND");
}

/// Logs live for years. A change of this digest is a change of the format, and needs a new version
/// number.
#[test]
fn the_format_has_not_changed() {
    let segment = sealed(&inserts(100), Codec::None);
    assert_eq!(
        segment.digest().to_string(),
        "95037bac043bed00dede3eb1dd9e57c8cdfff5f87bc94df3b950b0722c5dbd89"
    );
}

#[test]
fn sightings_of_the_catalog_make_it_another_version_and_nothing_else_does() {
    let entries = inserts(100);
    let plain = sealed(&entries, Codec::None);
    assert!(plain.info().seal.sightings.is_none());
    assert_eq!(plain.to_bytes()[8], 1);
    let mut input = seal_input(&entries, Codec::None, FrameLimits::new(4096));
    let sighting = sighting();
    let (sightings, count) = Sightings::of(std::slice::from_ref(&sighting)).unwrap();
    assert_eq!(count, 1);
    input.summary.sightings = Some(sightings);
    let segment = seal(input).unwrap();
    let bytes = segment.to_bytes();
    assert_eq!(bytes[8], 2);
    let view = SegmentView::open(bytes.clone()).unwrap();
    assert_eq!(entries_of(&view), entries);
    let found = view.info().seal.sightings.as_ref().expect("sightings").decode().unwrap();
    assert_eq!(found, [sighting]);
    // A copy of a log holds the same bytes.
    assert_eq!(SealedSegment::of(&view).unwrap().to_bytes(), bytes);
}

#[test]
fn header_and_seal_agree_about_sightings() {
    let mut input = seal_input(&inserts(3), Codec::None, FrameLimits::new(4096));
    input.summary.sightings = Sightings::of(&[sighting()]).map(|(sightings, _)| sightings);
    for (segment, version) in [(seal(input).unwrap(), 1), (sealed(&inserts(3), Codec::None), 2)] {
        let mut bytes = segment.to_bytes().to_vec();
        bytes[8] = version;
        super::hostile::repair(&mut bytes);
        let error = SegmentView::open(bytes.into()).expect_err("a contradiction").to_string();
        assert!(error.contains("disagree about sightings"), "{error}");
    }
}
