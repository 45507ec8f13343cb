//! Packing that ends at any of its steps, and what goes on meanwhile.

use super::*;

/// The steps of packing the segments 1 and 2.
const STEPS: [Step; 9] = [
    Step::CreatePack,
    Step::PackSegment(Sequence(1)),
    Step::PackSegment(Sequence(2)),
    Step::WriteTable,
    Step::SyncPack,
    Step::RenamePack,
    Step::SyncDirectory,
    Step::RemoveFile(Sequence(1)),
    Step::RemoveFile(Sequence(2)),
];

/// Returns a closed log, and its segments.
async fn filled(count: usize) -> (Bench, SegmentMaker, Vec<SealedSegment>) {
    let (bench, maker) = Bench::filled(count).await;
    let mut same = SegmentMaker::default();
    let segments = (0..count).map(|_| same.make(5)).collect();
    (bench, maker, segments)
}

async fn reader(bench: &Bench) -> DirectoryLog {
    DirectoryLog::open_reader(bench.path(), DirectoryOptions::default()).await.unwrap()
}

async fn assert_holds(log: &DirectoryLog, segments: &[SealedSegment]) {
    let end = log.end().await.unwrap();
    assert_eq!(end.as_ref(), segments.last().map(SealedSegment::info));
    let infos = log.infos(Sequence::FIRST, usize::MAX).await.unwrap();
    assert!(infos.iter().eq(segments.iter().map(SealedSegment::info)));
    for segment in segments {
        let view = log.read(segment.info().sequence()).await.unwrap();
        assert_eq!(SealedSegment::of(&view).unwrap().to_bytes(), segment.to_bytes());
    }
}

async fn pack(log: &DirectoryLog) -> Result<Option<Packed>, LogError> {
    log.pack(SMALL, CancellationToken::new()).await
}

#[tokio::test]
async fn packing_takes_its_steps_in_order_and_leaves_one_file() {
    let (bench, _, segments) = filled(3).await;
    let log = bench.log().await;
    let seen = bench.note_steps();
    let packed = pack(&log).await.unwrap().unwrap();
    assert_eq!(*seen.lock().unwrap(), STEPS);
    let bytes = segments[..2].iter().map(|it| it.info().segment_bytes).sum();
    let (first, last) = (Sequence(1), Sequence(2));
    assert_eq!(packed, Packed { first, last, files: 2, bytes });
    let names: Vec<_> = bench.file_names().into_iter().collect();
    assert_eq!(names[0], "000000000001-000000000002-1700000000_1-1700000000_10.pack");
    assert!(names[1].starts_with("000000000003-") && names[1].ends_with(".seg"), "{names:?}");
    assert_eq!(names[2..], ["LOCK"]);
    assert_eq!(pack(&log).await.unwrap(), None);
    assert_holds(&log, &segments).await;
}

#[tokio::test]
async fn after_a_crash_at_any_step_every_segment_is_there_once() {
    for last_gasp in STEPS {
        let (bench, mut maker, mut segments) = filled(3).await;
        let log = bench.log().await;
        let before = reader(&bench).await;
        let mut dead = false;
        bench.decide(move |step| {
            dead |= step == last_gasp;
            if dead { Err(io::Error::other("dead")) } else { Ok(()) }
        });
        let error = pack(&log).await.unwrap_err();
        assert!(error.is_retryable(), "{last_gasp:?}: {error}");
        drop(log);
        bench.all_works();

        for reader in [before, reader(&bench).await] {
            assert_holds(&reader, &segments).await;
        }
        let log = bench.log().await;
        assert_holds(&log, &segments).await;
        assert!(bench.file_names().iter().all(|it| !it.ends_with(".tmp")), "{last_gasp:?}");
        let is_named = STEPS.iter().position(|it| *it == last_gasp).unwrap() > 5;
        let files = (bench.packs().len(), bench.segment_files().len());
        assert_eq!(files, if is_named { (1, 1) } else { (0, 3) }, "{last_gasp:?}");
        segments.push(maker.make(5));
        log.append(segments[3].clone()).await.unwrap();
        pack_all(&log, SMALL).await;
        drop(log);
        assert_holds(&bench.log().await, &segments).await;
    }
}

/// A pack whose name was not durable may be there or not after a power failure, and a file may be
/// cut anywhere under its temporary name.
#[tokio::test]
async fn an_unfinished_pack_is_never_taken_for_one() {
    let (bench, _, segments) = filled(3).await;
    let whole = pack_of(&segments[..2]);
    for length in (0..=whole.len()).step_by(31) {
        let temporary = bench.path().join("000000000001.pack.tmp");
        fs::write(&temporary, &whole[..length]).unwrap();
        assert_holds(&reader(&bench).await, &segments).await;
        assert_holds(&bench.log().await, &segments).await;
        assert!(!temporary.exists());
    }
}

#[tokio::test]
async fn packing_that_failed_is_repeated() {
    for fails in STEPS {
        let (bench, mut maker, mut segments) = filled(3).await;
        let log = bench.log().await;
        let other = reader(&bench).await;
        bench.decide(
            move |step| {
                if step == fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
            },
        );
        for _ in 0..2 {
            let error = pack(&log).await.unwrap_err();
            assert!(error.is_retryable(), "{fails:?}: {error}");
            assert!(error.to_string().contains(fails.action()), "{fails:?}: {error}");
            assert_holds(&other, &segments).await;
            assert!(bench.file_names().iter().all(|it| !it.ends_with(".tmp")), "{fails:?}");
        }
        bench.all_works();
        // A later pack may begin or end elsewhere.
        segments.push(maker.make(5));
        log.append(segments[3].clone()).await.unwrap();
        log.remove_before(Sequence(2)).await.unwrap();
        pack_all(&log, SMALL).await;
        for log in [&log, &other, &reader(&bench).await] {
            assert_holds(log, &segments[1..]).await;
        }
        drop(log);
        assert_holds(&bench.log().await, &segments[1..]).await;
    }
}

#[tokio::test]
async fn a_damaged_segment_is_told_and_not_packed() {
    for (at, permille) in [(1, 500), (2, 0), (2, 500), (2, 999)] {
        let (bench, _, segments) = filled(3).await;
        let log = bench.log().await;
        bench.flip_bit(Sequence(at), permille).await;
        let before = bench.file_names();
        let error = pack(&log).await.unwrap_err();
        let LogError::Corrupt { place, .. } = &error else { panic!("{error}") };
        assert_eq!(*place, bench.path_of(Sequence(at)).display().to_string());
        assert_eq!(bench.file_names(), before);
        // It was put back.
        fs::write(place, segments[at as usize - 1].to_bytes()).unwrap();
        pack(&log).await.unwrap().unwrap();
        assert_holds(&log, &segments).await;
    }
}

#[tokio::test]
async fn a_segment_of_another_chain_is_told_and_not_packed() {
    let (bench, mut maker, _) = filled(1).await;
    let mut other = maker.clone();
    other.epoch = hindsight_segment::WriterEpoch(7);
    let log = bench.log().await;
    for _ in 0..3 {
        log.append(maker.make(5)).await.unwrap();
    }
    bench.replace(Sequence(2), other.make(5)).await;
    let before = bench.file_names();
    let error = pack(&log).await.unwrap_err();
    assert!(matches!(error, LogError::Corrupt { damage: Damage::Chain(_), .. }), "{error}");
    assert_eq!(bench.file_names(), before);
}

/// Whoever put another segment beside a pack must decide which of the two is right.
#[tokio::test]
async fn a_file_that_a_pack_contradicts_is_told_and_stays() {
    let (bench, _, segments) = filled(3).await;
    let single = bench.segment_files().remove(1);
    pack(&bench.log().await).await.unwrap().unwrap();
    let mut bytes = segments[1].to_bytes().to_vec();
    bytes[200] ^= 1;
    for wrong in [&bytes[..], &bytes[..100]] {
        fs::write(&single, wrong).unwrap();
        assert_holds(&reader(&bench).await, &segments).await;
        let error = bench.open_with(DirectoryOptions::default()).await.err().unwrap();
        let LogError::Corrupt { damage, place } = &error else { panic!("{error}") };
        assert_eq!(*damage, Damage::Duplicate(Sequence(2)));
        assert_eq!(*place, single.display().to_string());
        assert!(single.exists());
    }
    fs::write(&single, segments[1].to_bytes()).unwrap();
    bench.flip_bit(Sequence(2), 500).await;
    let error = bench.open_with(DirectoryOptions::default()).await.err().unwrap();
    let LogError::Corrupt { place, .. } = &error else { panic!("{error}") };
    assert!(place.ends_with(".pack, segment 2"), "{place}");
    bench.flip_bit(Sequence(2), 500).await;
    assert_holds(&bench.log().await, &segments).await;
    assert!(!single.exists());
}

#[tokio::test]
async fn readers_pack_nothing() {
    let (bench, _, _) = filled(3).await;
    let error = pack(&reader(&bench).await).await.unwrap_err();
    assert!(matches!(error, LogError::ReadOnly { .. }), "{error}");
    assert_eq!(bench.segment_files().len(), 3);
}

#[tokio::test]
async fn packing_stops_when_asked() {
    let (bench, _, segments) = filled(3).await;
    let log = bench.log().await;
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(log.pack(SMALL, stop).await.unwrap(), None);
    assert_eq!(bench.file_names().len(), 4, "nothing is left");
    assert_holds(&log, &segments).await;
}

/// Runs `meanwhile` while a segment is about to be copied into a pack.
async fn while_packing<T>(
    bench: &Bench,
    log: &DirectoryLog,
    meanwhile: impl AsyncFnOnce() -> T,
) -> (Result<Option<Packed>, LogError>, T) {
    let (reached, go_on) = bench.hold_before(Step::PackSegment(Sequence(2)));
    let packing = tokio::spawn({
        let log = log.clone();
        async move { pack(&log).await }
    });
    tokio::task::spawn_blocking(move || reached.recv().unwrap()).await.unwrap();
    let outcome = meanwhile().await;
    go_on.send(()).unwrap();
    (packing.await.unwrap(), outcome)
}

#[tokio::test]
async fn appends_and_reads_do_not_wait_for_a_pack() {
    let (bench, mut maker, mut segments) = filled(3).await;
    let log = bench.log().await;
    let meanwhile = async || {
        segments.push(maker.make(5));
        log.append(segments[3].clone()).await.unwrap();
        assert_holds(&log, &segments).await;
        assert_holds(&reader(&bench).await, &segments).await;
    };
    let (packed, ()) = while_packing(&bench, &log, meanwhile).await;
    assert_eq!(packed.unwrap().unwrap().last, Sequence(2));
    assert_holds(&log, &segments).await;
    assert_eq!(bench.packs().len(), 1);
}

#[tokio::test]
async fn segments_may_be_removed_while_they_are_packed() {
    for begins in 2..=4_u64 {
        let (bench, mut maker, mut segments) = filled(5).await;
        let log = bench.log().await;
        let other = reader(&bench).await;
        let meanwhile = async || log.remove_before(Sequence(begins)).await.unwrap();
        let (packed, ()) = while_packing(&bench, &log, meanwhile).await;
        packed.unwrap();
        let held = begins as usize - 1;
        for log in [&log, &other] {
            assert_holds(log, &segments[held..]).await;
        }
        segments.push(maker.make(5));
        log.append(segments[5].clone()).await.unwrap();
        pack_all(&log, SMALL).await;
        assert_holds(&other, &segments[held..]).await;
        drop(log);
        assert_holds(&bench.log().await, &segments[held..]).await;
        assert!(bench.file_names().iter().all(|it| !it.ends_with(".tmp")));
    }
}

/// All segments are removed after they were copied, and before their pack has its name.
#[tokio::test]
async fn a_pack_of_removed_segments_is_removed() {
    for begins in [2, 3, 4, 5_u64] {
        let (bench, _, segments) = filled(5).await;
        let log = bench.log().await;
        let (reached, go_on) = bench.hold_before(Step::RenamePack);
        let packing = tokio::spawn({
            let log = log.clone();
            async move { pack(&log).await }
        });
        tokio::task::spawn_blocking(move || reached.recv().unwrap()).await.unwrap();
        log.remove_before(Sequence(begins)).await.unwrap();
        go_on.send(()).unwrap();
        packing.await.unwrap().unwrap();
        let held = &segments[begins as usize - 1..];
        for log in [&log, &reader(&bench).await] {
            assert_holds(log, held).await;
        }
        let expected = if begins < 5 { (1, 1) } else { (0, 1) };
        assert_eq!((bench.packs().len(), bench.segment_files().len()), expected, "{begins}");
        drop(log);
        assert_holds(&bench.log().await, held).await;
    }
}

/// A reader looks for a segment where it was; it is in a pack now, in another pack, or alone again.
#[tokio::test]
async fn readers_find_segments_where_they_are_now() {
    let (bench, _, segments) = filled(6).await;
    let open = async || [reader(&bench).await, reader(&bench).await, reader(&bench).await];
    let check = async |[reads, lists, frames]: [DirectoryLog; 3]| {
        for segment in &segments {
            let info = segment.info();
            assert_eq!(reads.read(info.sequence()).await.unwrap().info(), info);
            frames.read_frame(info, 0).await.unwrap();
        }
        assert_holds(&lists, &segments).await;
    };
    let log = bench.log().await;
    let limits = PackLimits { segments: 2, ..SMALL };
    let (early, since) = (open().await, open().await);
    assert_eq!(pack_all(&log, limits).await.len(), 2);
    check(early).await;
    let early = open().await;
    assert_eq!(pack_all(&log, SMALL).await.len(), 1);
    check(early).await;
    check(since).await;

    let early = open().await;
    drop(log);
    let pack = bench.path_of(Sequence(1));
    for segment in &segments[..4] {
        let name = LogFile::Segment(super::super::names::SegmentName::of(segment.info()));
        fs::write(bench.path().join(name.to_string()), segment.to_bytes()).unwrap();
    }
    fs::remove_file(pack).unwrap();
    check(early).await;
}

/// A listing is read again only when the files in it are not there any more.
#[tokio::test]
async fn a_directory_is_listed_again_when_files_were_packed_meanwhile() {
    let (bench, _, segments) = filled(3).await;
    let singles = bench.segment_files();
    let attempts = std::cell::Cell::new(0);
    let open_first = |listing: &Listing| {
        attempts.set(attempts.get() + 1);
        if attempts.get() == 1 {
            let name = "000000000001-000000000002-1700000000_1-1700000000_10.pack";
            fs::write(bench.path().join(name), pack_of(&segments[..2])).unwrap();
            singles[..2].iter().for_each(|it| fs::remove_file(it).unwrap());
        }
        OpenFile::open(bench.path(), listing.files[0]).map(drop)
    };
    Listing::with(bench.path(), open_first).unwrap();
    assert_eq!(attempts.get(), 2);
    let fails = |_: &Listing| {
        attempts.set(attempts.get() + 1);
        Err::<(), _>(LogError::no_segment("it", Sequence(9)))
    };
    assert!(Listing::with(bench.path(), fails).is_err());
    assert_eq!(attempts.get(), 3, "nothing has changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_in_other_processes_are_not_disturbed() {
    let (bench, mut maker, mut segments) = filled(1).await;
    let log = bench.log().await;
    for _ in 0..60 {
        segments.push(maker.make(3));
    }
    let done = CancellationToken::new();
    let readers = (0..3).map(|kind| {
        let (path, done, segments) = (bench.path().to_owned(), done.clone(), segments.clone());
        tokio::spawn(async move {
            let open = || DirectoryLog::open_reader(&path, DirectoryOptions::default());
            let mut reader = open().await.unwrap();
            let mut rounds = 0;
            while !done.is_cancelled() {
                if kind == 2 {
                    reader = open().await.unwrap();
                }
                let end = reader.end().await.unwrap().unwrap().sequence().0 as usize;
                let infos = reader.infos(Sequence(1), end).await.unwrap();
                assert!(infos.iter().eq(segments[..end].iter().map(SealedSegment::info)));
                for info in infos.iter().skip(rounds % 5).step_by(5) {
                    assert_eq!(reader.read(info.sequence()).await.unwrap().info(), info);
                    reader.read_frame(info, 0).await.unwrap();
                }
                rounds += 1;
            }
            rounds
        })
    });
    let readers: Vec<_> = readers.collect();
    for segment in &segments[1..] {
        log.append(segment.clone()).await.unwrap();
        pack_all(&log, SMALL).await;
    }
    done.cancel();
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    assert_holds(&log, &segments).await;
}
