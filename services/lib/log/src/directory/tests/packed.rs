//! A log whose older segments are packed is the same log.

use super::*;

/// A log that packs after each append.
struct PackedLog(DirectoryLog);

#[async_trait]
impl SegmentLog for PackedLog {
    async fn append(&self, segment: SealedSegment) -> Result<(), LogError> {
        self.0.append(segment).await?;
        pack_all(&self.0, SMALL).await;
        Ok(())
    }

    async fn read(&self, sequence: Sequence) -> Result<SegmentView, LogError> {
        self.0.read(sequence).await
    }

    async fn read_frame(&self, info: &Arc<SegmentInfo>, ordinal: u32) -> Result<Frame, LogError> {
        self.0.read_frame(info, ordinal).await
    }

    async fn infos(&self, from: Sequence, limit: usize) -> Result<Vec<Arc<SegmentInfo>>, LogError> {
        self.0.infos(from, limit).await
    }

    async fn end(&self) -> Result<Option<Arc<SegmentInfo>>, LogError> {
        self.0.end().await
    }

    async fn begin(&self) -> Result<Option<Beginning>, LogError> {
        self.0.begin().await
    }

    async fn remove_before(&self, sequence: Sequence) -> Result<(), LogError> {
        self.0.remove_before(sequence).await
    }
}

struct PackedBench(Bench);

#[async_trait]
impl Subject for PackedBench {
    async fn open(&self) -> Result<Box<dyn SegmentLog>, LogError> {
        let log = self.0.open_with(DirectoryOptions::default()).await?;
        Ok(Box::new(PackedLog(log)))
    }

    async fn open_reader(&self) -> Result<Box<dyn SegmentLog>, LogError> {
        self.0.open_reader().await
    }

    async fn fail_next_append(&self, fault: ScriptedFault) {
        self.0.fail_next_append(fault).await;
    }

    async fn flip_bit(&self, sequence: Sequence, permille: u64) {
        self.0.flip_bit(sequence, permille).await;
    }

    async fn replace(&self, sequence: Sequence, other: SealedSegment) {
        self.0.replace(sequence, other).await;
    }
}

#[tokio::test]
async fn a_packed_log_conforms() {
    conformance::run(|| PackedBench(Bench::new())).await;
}

async fn reader(bench: &Bench) -> DirectoryLog {
    DirectoryLog::open_reader(bench.path(), DirectoryOptions::default()).await.unwrap()
}

/// Returns a closed log of ten segments: packs of 1 to 4 and of 5 to 8, 9 in a small pack with 10,
/// and 11 in a file of its own. Also returns the segments.
async fn packed() -> (Bench, SegmentMaker, Vec<SealedSegment>) {
    let bench = Bench::new();
    let mut maker = SegmentMaker::default();
    let log = bench.log().await;
    let mut segments = Vec::new();
    for _ in 0..11 {
        segments.push(maker.make(5));
        log.append(segments.last().unwrap().clone()).await.unwrap();
        pack_all(&log, SMALL).await;
    }
    let ends: Vec<_> = Listing::read(bench.path()).unwrap().files;
    assert_eq!(ends.iter().map(|it| it.ends().0).collect::<Vec<_>>(), [4, 8, 10, 11]);
    (bench, maker, segments)
}

/// Asserts that the log holds these segments, and that they can be read in every way.
async fn assert_holds(log: &DirectoryLog, segments: &[SealedSegment]) {
    let first = segments[0].info().sequence();
    let infos = log.infos(Sequence::FIRST, usize::MAX).await.unwrap();
    assert!(infos.iter().eq(segments.iter().map(SealedSegment::info)));
    for (at, segment) in segments.iter().enumerate() {
        let sequence = segment.info().sequence();
        let view = log.read(sequence).await.unwrap();
        assert_eq!(SealedSegment::of(&view).unwrap().to_bytes(), segment.to_bytes());
        log.read_frame(segment.info(), 0).await.unwrap();
        let page = log.infos(sequence, 3).await.unwrap();
        assert!(page.iter().eq(segments[at..].iter().take(3).map(SealedSegment::info)));
    }
    for sequence in 1..first.0 {
        let outcome = log.read(Sequence(sequence)).await.map(drop);
        assert!(matches!(outcome, Err(LogError::Removed { .. })), "{sequence}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_pack_holds_the_bytes_of_its_segments_one_after_the_other() {
    let (bench, _, segments) = packed().await;
    let pack = fs::read(bench.path_of(Sequence(5))).unwrap();
    assert_eq!(pack, pack_of(&segments[4..8]));
    let concatenated: Vec<u8> = segments[4..8].iter().flat_map(SealedSegment::to_bytes).collect();
    assert!(pack.starts_with(&concatenated));
    assert_holds(&bench.log().await, &segments).await;
    assert_holds(&reader(&bench).await, &segments).await;
}

/// Opening reads no more than two segments of a pack, and reading finds what it did not see.
#[tokio::test]
async fn every_flipped_byte_of_a_pack_is_told_by_file_and_segment() {
    let (bench, _, segments) = packed().await;
    let log = bench.log().await;
    let path = bench.path_of(Sequence(6));
    let whole = fs::read(&path).unwrap();
    let table = segments[4..8].iter().map(|it| it.to_bytes().len()).sum::<usize>();
    for at in (0..whole.len()).step_by(3) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let mut damaged = Vec::new();
        for sequence in 1..=11 {
            match log.read(Sequence(sequence)).await {
                Ok(view) => assert_eq!(view.info(), segments[sequence as usize - 1].info()),
                Err(LogError::Corrupt { place, .. }) => damaged.push((sequence, place)),
                Err(error) => panic!("byte {at}: {error}"),
            }
        }
        assert!(!damaged.is_empty(), "byte {at}");
        for (sequence, place) in &damaged {
            assert!(place.starts_with(&path.display().to_string()), "byte {at}: {place}");
            if at < table {
                assert!(place.ends_with(&format!(", segment {sequence}")), "byte {at}: {place}");
            }
        }
        assert!(damaged.len() == 1 || at >= table, "byte {at}: {damaged:?}");
        let outcome = log.infos(Sequence(1), 11).await;
        let is_frame = at < table && outcome.is_ok();
        assert!(is_frame || matches!(outcome, Err(LogError::Corrupt { .. })), "byte {at}");
    }
    for length in [0, 1, 35, 36, 100, table, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let outcome = log.read(Sequence(6)).await.map(drop);
        assert!(matches!(outcome, Err(LogError::Corrupt { .. })), "{length} bytes: {outcome:?}");
    }
}

/// The table vouches for the segments, too.
#[tokio::test]
async fn a_segment_that_the_table_does_not_name_is_told() {
    let (bench, _, segments) = packed().await;
    let mut forger = SegmentMaker::default();
    let forged: Vec<_> = (1..=6)
        .map(|at| {
            forger.epoch = hindsight_segment::WriterEpoch(if at == 6 { 7 } else { 1 });
            forger.make(5).to_bytes()
        })
        .collect();
    let path = bench.path_of(Sequence(6));
    let mut bytes = fs::read(&path).unwrap();
    let begin = segments[4].to_bytes().len();
    let end = begin + segments[5].to_bytes().len();
    bytes[begin..end].copy_from_slice(&forged[5]);
    fs::write(&path, bytes).unwrap();
    let log = bench.log().await;
    for outcome in
        [log.read(Sequence(6)).await.map(drop), log.infos(Sequence(6), 1).await.map(drop)]
    {
        let Err(LogError::Corrupt { damage, .. }) = &outcome else { panic!("{outcome:?}") };
        assert_eq!(*damage, Damage::NotAsKnown);
    }
}

#[tokio::test]
async fn a_pack_of_a_newer_version_is_told_from_damage() {
    let (bench, _, _) = packed().await;
    let log = bench.log().await;
    let path = bench.path_of(Sequence(6));
    let mut bytes = fs::read(&path).unwrap();
    let footer = bytes.len() - 36;
    bytes[footer + 20] = 9;
    let checksum = crc32c::crc32c(&bytes[footer..footer + 24]);
    bytes[footer + 24..footer + 28].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let error = log.read(Sequence(6)).await.unwrap_err();
    assert!(matches!(error, LogError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("use a newer hindsight"), "{error}");
}

#[tokio::test]
async fn segments_are_removed_inside_packs_and_across_them() {
    let (bench, mut maker, mut segments) = packed().await;
    let log = bench.log().await;
    let other = reader(&bench).await;
    for (begins, packs) in [(3, 3), (4, 3), (5, 2), (7, 2), (10, 1), (11, 0)] {
        log.remove_before(Sequence(begins)).await.unwrap();
        let held = &segments[begins as usize - 1..];
        assert_holds(&log, held).await;
        assert_holds(&other, held).await;
        assert_holds(&reader(&bench).await, held).await;
        assert_eq!(bench.packs().len(), packs, "before {begins}");
    }
    drop(log);
    let log = bench.log().await;
    for _ in 0..4 {
        segments.push(maker.make(5));
        log.append(segments.last().unwrap().clone()).await.unwrap();
    }
    assert!(!pack_all(&log, SMALL).await.is_empty());
    assert_holds(&log, &segments[10..]).await;
    assert_holds(&other, &segments[10..]).await;
}

/// A pack in which the log begins is not copied again, and goes when the log begins after it.
#[tokio::test]
async fn a_pack_in_which_the_log_begins_stays_until_all_of_it_is_removed() {
    let (bench, mut maker, mut segments) = packed().await;
    let log = bench.log().await;
    log.remove_before(Sequence(10)).await.unwrap();
    drop(log);
    let log = bench.log().await;
    for _ in 0..6 {
        segments.push(maker.make(5));
        log.append(segments.last().unwrap().clone()).await.unwrap();
        pack_all(&log, SMALL).await;
        assert_holds(&log, &segments[9..]).await;
    }
    assert!(bench.packs()[0].starts_with("000000000009-000000000010-"), "{:?}", bench.packs());
    log.remove_before(Sequence(11)).await.unwrap();
    assert!(bench.packs()[0].starts_with("000000000011-"), "{:?}", bench.packs());
    assert_holds(&log, &segments[10..]).await;
}

#[tokio::test]
async fn what_is_known_may_lie_in_a_pack() {
    let (bench, _, segments) = packed().await;
    let open = async |sequence: u64, digest: SegmentDigest| {
        let known = Some(KnownEnd { sequence: Sequence(sequence), digest });
        let options = DirectoryOptions { known, ..DirectoryOptions::default() };
        DirectoryLog::open_reader(bench.path(), options).await.map(drop)
    };
    for segment in &segments {
        open(segment.info().sequence().0, segment.digest()).await.unwrap();
    }
    let error = open(6, SegmentDigest([9; 32])).await.unwrap_err();
    let LogError::Corrupt { damage, place } = &error else { panic!("{error}") };
    assert_eq!(*damage, Damage::NotAsKnown);
    assert!(place.ends_with(".pack, segment 6"), "{place}");
    assert!(matches!(open(12, segments[0].digest()).await, Err(LogError::Corrupt { .. })));
}

#[tokio::test]
async fn packs_that_are_missing_misnamed_or_overlap_are_told() {
    let (bench, _, segments) = packed().await;
    let damage_of = async || {
        let options = DirectoryOptions::default;
        let read = DirectoryLog::open_reader(bench.path(), options()).await.err().unwrap();
        let write = bench.open_with(options()).await.err().unwrap();
        assert_eq!(read.to_string(), write.to_string());
        let LogError::Corrupt { damage, .. } = write else { panic!("{write}") };
        damage
    };
    let name = bench.file_of(Sequence(5)).to_string();
    let first = bench.path_of(Sequence(1));
    let (path, aside) = (bench.path().join(&name), bench.path().join("aside"));
    fs::rename(&path, &aside).unwrap();
    assert_eq!(damage_of().await, Damage::MissingBefore(Sequence(5)));

    let overlaps = bench.path().join(name.replace("0005-", "0004-"));
    fs::write(&overlaps, pack_of(&segments[3..8])).unwrap();
    assert_eq!(damage_of().await, Damage::Duplicate(Sequence(4)));
    fs::remove_file(&overlaps).unwrap();

    // Another pack under the name.
    fs::copy(&first, &path).unwrap();
    assert!(matches!(damage_of().await, Damage::Pack(_)));
    let later = name.replace("-1700000000_21-", "-1700000000_22-");
    assert_ne!(later, name);
    fs::remove_file(&path).unwrap();
    fs::copy(&aside, bench.path().join(&later)).unwrap();
    assert!(matches!(damage_of().await, Damage::Misnamed { .. }));
    fs::remove_file(bench.path().join(&later)).unwrap();

    let mut stranger = SegmentMaker::default();
    stranger.source.set_name = "rs9".to_owned();
    let strange: Vec<_> = (0..8).map(|_| stranger.make(5)).collect();
    fs::write(&path, pack_of(&strange[4..])).unwrap();
    assert!(matches!(damage_of().await, Damage::Chain(_)));

    // The segments of a pack can be put back one by one.
    fs::remove_file(&path).unwrap();
    for segment in &segments[4..8] {
        let name = LogFile::Segment(super::super::names::SegmentName::of(segment.info()));
        fs::write(bench.path().join(name.to_string()), segment.to_bytes()).unwrap();
    }
    let log = bench.log().await;
    assert_holds(&log, &segments).await;
    assert_eq!(pack_all(&log, SMALL).await.len(), 1);
    assert_eq!(fs::read(&path).unwrap(), fs::read(&aside).unwrap());
}
