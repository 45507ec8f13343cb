//! A removal that ends at any of its steps, and what it leaves in the directory.

use super::*;

/// The steps of removing the segments before 4 of a log that begins with 2.
const STEPS: [Step; 6] = [
    Step::WriteBeginning,
    Step::SyncBeginning,
    Step::RenameBeginning,
    Step::SyncDirectory,
    Step::RemoveFile(Sequence(2)),
    Step::RemoveFile(Sequence(3)),
];

/// Returns a closed log of segments 2 to 5.
async fn trimmed() -> (Bench, SegmentMaker) {
    let (bench, maker) = Bench::filled(5).await;
    bench.log().await.remove_before(Sequence(2)).await.unwrap();
    (bench, maker)
}

async fn sequences(log: &DirectoryLog) -> Vec<u64> {
    let infos = log.infos(Sequence::FIRST, 9).await.unwrap();
    infos.iter().map(|info| info.sequence().0).collect()
}

async fn reader(bench: &Bench) -> Result<DirectoryLog, LogError> {
    DirectoryLog::open_reader(bench.path(), DirectoryOptions::default()).await
}

#[tokio::test]
async fn a_removal_takes_its_steps_in_order_and_leaves_one_file_more() {
    let (bench, _) = trimmed().await;
    let log = bench.log().await;
    let seen = bench.note_steps();
    log.remove_before(Sequence(4)).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), STEPS);
    let names: Vec<_> = bench.file_names().into_iter().collect();
    assert_eq!(names[2..], ["BEGINNING", "LOCK"]);
    assert!(names[0].starts_with("000000000004-") && names[1].starts_with("000000000005-"));
    seen.lock().unwrap().clear();
    log.remove_before(Sequence(4)).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [], "there is nothing to remove");
}

#[tokio::test]
async fn after_a_crash_at_any_step_the_log_begins_at_one_of_the_two() {
    for last_gasp in STEPS {
        let (bench, mut maker) = trimmed().await;
        let log = bench.log().await;
        let mut dead = false;
        bench.decide(move |step| {
            dead |= step == last_gasp;
            if dead { Err(io::Error::other("dead")) } else { Ok(()) }
        });
        let error = log.remove_before(Sequence(4)).await.unwrap_err();
        assert!(error.is_retryable(), "{last_gasp:?}: {error}");
        drop(log);
        bench.all_works();

        let named = STEPS.iter().position(|it| *it == last_gasp).unwrap() > 2;
        let held: &[u64] = if named { &[4, 5] } else { &[2, 3, 4, 5] };
        assert_eq!(sequences(&reader(&bench).await.unwrap()).await, held, "{last_gasp:?}");
        let log = bench.log().await;
        assert_eq!(sequences(&log).await, held, "{last_gasp:?}");
        assert_eq!(bench.segment_files().len(), held.len(), "{last_gasp:?}: the rest is removed");
        assert!(bench.file_names().iter().all(|it| !it.ends_with(".tmp")), "{last_gasp:?}");
        log.append(maker.make(5)).await.unwrap();
        log.remove_before(Sequence(6)).await.unwrap();
        drop(log);
        assert_eq!(sequences(&bench.log().await).await, [6], "{last_gasp:?}");
    }
}

/// A disk that fails for a while stops a removal, and nothing else.
#[tokio::test]
async fn a_removal_that_failed_is_repeated() {
    for fails in STEPS {
        let (bench, mut maker) = trimmed().await;
        let log = bench.log().await;
        bench.decide(
            move |step| {
                if step == fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
            },
        );
        for _ in 0..2 {
            let error = log.remove_before(Sequence(4)).await.unwrap_err();
            assert!(error.is_retryable(), "{fails:?}: {error}");
            assert!(error.to_string().contains(fails.action()), "{fails:?}: {error}");
        }
        let held = sequences(&log).await;
        assert!(held == [2, 3, 4, 5] || held == [4, 5], "{fails:?}: {held:?}");
        bench.all_works();
        log.append(maker.make(5)).await.unwrap();
        log.remove_before(Sequence(4)).await.unwrap();
        assert_eq!(sequences(&log).await, [4, 5, 6], "{fails:?}");
        assert_eq!(bench.segment_files().len(), 3, "{fails:?}");
    }
}

/// Segments that are gone are a beginning only where the log says so.
#[tokio::test]
async fn a_missing_file_after_the_beginning_is_damage() {
    let (bench, _) = trimmed().await;
    let files = bench.segment_files();
    for missing in [0, 1] {
        let kept = fs::read(&files[missing]).unwrap();
        fs::remove_file(&files[missing]).unwrap();
        for error in [reader(&bench).await.err().unwrap(), open_error(&bench).await] {
            let LogError::Corrupt { damage, .. } = &error else { panic!("{error}") };
            assert_eq!(*damage, Damage::MissingBefore(Sequence(missing as u64 + 2)));
        }
        fs::write(&files[missing], kept).unwrap();
    }
    assert_eq!(sequences(&bench.log().await).await, [2, 3, 4, 5]);
    for file in &files {
        fs::remove_file(file).unwrap();
    }
    let error = open_error(&bench).await;
    let LogError::Corrupt { damage, .. } = &error else { panic!("{error}") };
    assert_eq!(*damage, Damage::MissingAfter(Sequence(2)), "the last segment is never removed");
}

async fn open_error(bench: &Bench) -> LogError {
    bench.open_with(DirectoryOptions::default()).await.err().unwrap()
}

#[tokio::test]
async fn a_beginning_that_is_damaged_or_newer_is_refused_by_name() {
    let (bench, _) = trimmed().await;
    let path = bench.path().join("BEGINNING");
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[30] ^= 1;
    for bytes in [&flipped[..], &whole[..40], &[]] {
        fs::write(&path, bytes).unwrap();
        for error in [reader(&bench).await.err().unwrap(), open_error(&bench).await] {
            assert!(matches!(error, LogError::Corrupt { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains(&path.display().to_string()), "{text}");
            assert!(text.contains("does not say where the log begins"), "{text}");
            assert!(text.contains("put it back from a copy"), "{text}");
        }
    }
    let mut newer = whole[..whole.len() - 4].to_vec();
    newer[8] = 9;
    newer.extend_from_slice(&crc32c::crc32c(&newer).to_le_bytes());
    fs::write(&path, newer).unwrap();
    let error = open_error(&bench).await;
    assert!(matches!(error, LogError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("use a newer hindsight"), "{error}");
    assert_eq!(bench.segment_files().len(), 4, "nothing was removed");

    // The beginning of another log: the first segment does not follow what it names.
    let stranger = Bench::new();
    let log = stranger.log().await;
    let mut elsewhere = SegmentMaker::default();
    for _ in 0..2 {
        log.append(elsewhere.make(7)).await.unwrap();
    }
    log.remove_before(Sequence(2)).await.unwrap();
    fs::copy(stranger.path().join("BEGINNING"), &path).unwrap();
    let error = open_error(&bench).await;
    let LogError::Corrupt { damage: Damage::Chain(_), .. } = &error else { panic!("{error}") };
}

#[tokio::test]
async fn what_was_known_before_the_beginning_is_no_loss() {
    let (bench, mut maker) = Bench::filled(5).await;
    let log = bench.log().await;
    let infos = log.infos(Sequence::FIRST, 9).await.unwrap();
    log.remove_before(Sequence(4)).await.unwrap();
    drop(log);
    let open = async |sequence: u64, digest: SegmentDigest| {
        let known = Some(KnownEnd { sequence: Sequence(sequence), digest });
        let options = DirectoryOptions { known, ..DirectoryOptions::default() };
        bench.open_with(options).await.map(drop)
    };
    for info in &infos {
        open(info.sequence().0, info.digest).await.unwrap();
    }
    let other = SegmentDigest([9; 32]);
    for sequence in [3, 4, 5] {
        let error = open(sequence, other).await.unwrap_err();
        let LogError::Corrupt { damage, .. } = &error else { panic!("{error}") };
        assert_eq!(*damage, Damage::NotAsKnown, "{sequence}");
    }
    open(2, other).await.unwrap();
    let error = open(6, maker.make(1).digest()).await.unwrap_err();
    let LogError::Corrupt { damage, .. } = &error else { panic!("{error}") };
    assert_eq!(*damage, Damage::MissingAfter(Sequence(6)));
    // What was known and removed vouches for nothing: all that is left is verified.
    bench.flip_bit(Sequence(5), 999).await;
    assert!(open(2, infos[1].digest).await.is_err());
    assert!(open(3, infos[2].digest).await.is_err());
}

#[tokio::test]
async fn readers_remove_nothing() {
    let (bench, _) = Bench::filled(3).await;
    let reader = reader(&bench).await.unwrap();
    let error = reader.remove_before(Sequence(2)).await.unwrap_err();
    assert!(matches!(error, LogError::ReadOnly { .. }), "{error}");
    assert_eq!(bench.segment_files().len(), 3);
    let error = reader.remove_before(Sequence(1)).await.unwrap_err();
    assert!(matches!(error, LogError::ReadOnly { .. }), "{error}");
}

/// Whoever removes the segment before a damaged one could not tell later that it was damaged.
#[tokio::test]
async fn a_log_does_not_begin_with_a_segment_that_does_not_follow() {
    let (bench, _) = Bench::filled(4).await;
    let log = bench.log().await;
    bench.flip_bit(Sequence(3), 999).await;
    for sequence in [3, 4] {
        let error = log.remove_before(Sequence(sequence)).await.unwrap_err();
        assert!(matches!(error, LogError::Corrupt { .. }), "{error}");
    }
    assert_eq!(bench.segment_files().len(), 4);
    log.remove_before(Sequence(2)).await.unwrap();
    assert_eq!(bench.segment_files().len(), 3);
}
