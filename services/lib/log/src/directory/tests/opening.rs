//! What is found in a directory when it is opened.

use super::*;

/// Opens the log for writing and for reading. Both must fail with the same message.
async fn open_error(bench: &Bench) -> LogError {
    let read = DirectoryLog::open_reader(bench.path(), DirectoryOptions::default()).await;
    let write = bench.open_with(DirectoryOptions::default()).await;
    let (read, write) = (read.err().unwrap(), write.err().unwrap());
    assert_eq!(read.to_string(), write.to_string());
    write
}

fn assert_damage(error: &LogError, file: &Path, expected: impl Fn(&Damage) -> bool) {
    let LogError::Corrupt { damage, .. } = error else { panic!("{error}") };
    assert!(expected(damage), "{error}");
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
}

#[tokio::test]
async fn missing_files_are_told() {
    for missing in [0, 1, 2] {
        let (bench, _) = Bench::filled(4).await;
        let files = bench.segment_files();
        fs::remove_file(&files[missing]).unwrap();
        let error = open_error(&bench).await;
        let sequence = Sequence(missing as u64 + 1);
        assert_damage(
            &error,
            &files[missing + 1],
            |damage| matches!(damage, Damage::MissingBefore(it) if *it == sequence),
        );
    }
}

#[tokio::test]
async fn a_log_known_to_be_longer_has_lost_segments() {
    let (bench, _) = Bench::filled(3).await;
    let log = bench.log().await;
    let known = KnownEnd::from(&log.end().await.unwrap().unwrap().chain_end());
    drop(log);
    let options = DirectoryOptions { known: Some(known), ..DirectoryOptions::default() };
    assert!(bench.open_with(options.clone()).await.is_ok());

    let other = KnownEnd { digest: SegmentDigest([9; 32]), ..known };
    let wrong = DirectoryOptions { known: Some(other), ..DirectoryOptions::default() };
    let error = bench.open_with(wrong).await.err().unwrap();
    assert_damage(&error, &bench.segment_files()[2], |it| matches!(it, Damage::NotAsKnown));

    fs::remove_file(&bench.segment_files()[2]).unwrap();
    let error = bench.open_with(options).await.err().unwrap();
    assert_damage(&error, &bench.segment_files()[1], |it| {
        matches!(it, Damage::MissingAfter(Sequence(3)))
    });
    assert!(bench.open_with(DirectoryOptions::default()).await.is_ok(), "nobody could know");
}

#[tokio::test]
async fn what_is_known_is_not_verified_again_until_it_is_read() {
    let (bench, mut maker) = Bench::filled(2).await;
    let log = bench.log().await;
    let known = Some(KnownEnd::from(&log.end().await.unwrap().unwrap().chain_end()));
    log.append(maker.make(1)).await.unwrap();
    drop(log);
    bench.flip_bit(Sequence(1), 999).await;
    assert!(bench.open_with(DirectoryOptions::default()).await.is_err());
    let options = DirectoryOptions { known, ..DirectoryOptions::default() };
    let log = bench.open_with(options).await.unwrap();
    assert_eq!(log.end().await.unwrap().unwrap().sequence(), Sequence(3));
    assert!(matches!(log.read(Sequence(1)).await, Err(LogError::Corrupt { .. })));
    assert!(matches!(log.infos(Sequence(1), 3).await, Err(LogError::Corrupt { .. })));
    assert_eq!(log.infos(Sequence(3), 3).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_second_file_of_a_segment_is_told() {
    let (bench, _) = Bench::filled(3).await;
    let files = bench.segment_files();
    let copy = bench.path().join("000000000002-1700000000_6-1700000000_99.seg");
    fs::copy(&files[1], &copy).unwrap();
    let error = open_error(&bench).await;
    assert_damage(&error, &copy, |it| matches!(it, Damage::Duplicate(Sequence(2))));
}

#[tokio::test]
async fn a_segment_under_another_name_is_told() {
    let (bench, _) = Bench::filled(3).await;
    let files = bench.segment_files();
    let [one, two] = [&files[0], &files[1]].map(|it| fs::read(it).unwrap());
    fs::write(&files[0], two).unwrap();
    fs::write(&files[1], one).unwrap();
    let error = open_error(&bench).await;
    assert_damage(&error, &files[0], |it| matches!(it, Damage::Misnamed { .. }));

    let copy = bench.path().join("000000000004-1700000000_1-1700000000_5.seg");
    let (bench, _) = Bench::filled(3).await;
    let copy = bench.path().join(copy.file_name().unwrap());
    fs::copy(&bench.segment_files()[0], &copy).unwrap();
    let error = open_error(&bench).await;
    assert_damage(&error, &copy, |it| matches!(it, Damage::Misnamed { .. }));
}

#[tokio::test]
async fn a_segment_of_another_chain_is_told() {
    let (bench, _) = Bench::filled(3).await;
    let mut stranger = SegmentMaker::default();
    stranger.source.set_name = "rs9".to_owned();
    stranger.make(5);
    let files = bench.segment_files();
    fs::write(&files[1], stranger.make(5).to_bytes()).unwrap();
    let error = open_error(&bench).await;
    assert_damage(&error, &files[1], |it| matches!(it, Damage::Chain(_)));
    assert!(error.to_string().contains("rs9"), "{error}");
}

#[tokio::test]
async fn a_file_that_only_calls_itself_a_segment_is_told_and_others_are_left_alone() {
    let (bench, _) = Bench::filled(2).await;
    for name in ["notes.txt", ".DS_Store", "lost+found", "old.seg.bak"] {
        fs::write(bench.path().join(name), "mine").unwrap();
    }
    assert_eq!(bench.log().await.infos(Sequence(1), 9).await.unwrap().len(), 2);
    assert!(bench.path().join("notes.txt").exists());
    let strange = bench.path().join("copy of 000000000002-1_1-1_2.seg");
    fs::write(&strange, "mine").unwrap();
    assert_damage(&open_error(&bench).await, &strange, |it| matches!(it, Damage::Name));
}

#[tokio::test]
async fn the_log_of_another_replica_set_is_told() {
    let (bench, _) = Bench::filled(1).await;
    let mut expected = sample_source();
    let options =
        |it: &SourceIdentity| DirectoryOptions { expected: Some(it.clone()), known: None };
    assert!(bench.open_with(options(&expected)).await.is_ok());
    expected.replica_set_id[11] ^= 1;
    let error = bench.open_with(options(&expected)).await.err().unwrap();
    assert!(matches!(error, LogError::Foreign { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains(&expected.to_string()), "{message}");
    assert!(message.contains("use another data directory"), "{message}");
}

#[tokio::test]
async fn one_writer_and_any_number_of_readers() {
    let (bench, mut maker) = Bench::filled(1).await;
    let writer = bench.log().await;
    let error = bench.open_with(DirectoryOptions::default()).await.err().unwrap();
    let LogError::InUse { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(*holder, format!("process {}", std::process::id()));

    let open = || DirectoryLog::open_reader(bench.path(), DirectoryOptions::default());
    let (reader, other) = (open().await.unwrap(), open().await.unwrap());
    let error = reader.append(maker.clone().make(1)).await.unwrap_err();
    assert!(matches!(error, LogError::ReadOnly { .. }), "{error}");
    for _ in 0..3 {
        let segment = maker.make(5);
        writer.append(segment.clone()).await.unwrap();
        let sequence = segment.info().sequence();
        assert_eq!(reader.read(sequence).await.unwrap().info(), segment.info());
        assert_eq!(reader.end().await.unwrap().unwrap().digest, segment.digest());
        assert_eq!(other.infos(sequence, 9).await.unwrap(), [Arc::clone(segment.info())]);
    }
    drop(writer);
    bench.log().await.append(maker.make(1)).await.unwrap();
}

#[tokio::test]
async fn a_reader_notices_segments_that_vanish() {
    let (bench, _) = Bench::filled(3).await;
    let reader =
        DirectoryLog::open_reader(bench.path(), DirectoryOptions::default()).await.unwrap();
    fs::remove_file(&bench.segment_files()[2]).unwrap();
    let error = reader.end().await.unwrap_err();
    assert_damage(&error, &bench.segment_files()[1], |it| {
        matches!(it, Damage::MissingAfter(Sequence(3)))
    });
}

#[tokio::test]
async fn a_directory_that_is_not_there() {
    let bench = Bench::new();
    let path = bench.path().join("some/log");
    let outcome = DirectoryLog::open_reader(&path, DirectoryOptions::default()).await;
    assert!(matches!(outcome.err(), Some(LogError::NotFound { .. })));
    let log = DirectoryLog::open_writer(&path, DirectoryOptions::default()).await.unwrap();
    log.append(SegmentMaker::default().make(1)).await.unwrap();
    assert!(path.is_dir());

    let file = bench.path().join("file");
    fs::write(&file, "").unwrap();
    let outcome = DirectoryLog::open_writer(&file, DirectoryOptions::default()).await;
    assert!(outcome.err().unwrap().to_string().contains(&file.display().to_string()));
}

#[tokio::test]
async fn long_seals_are_read_whole() {
    let bench = Bench::new();
    let log = bench.log().await;
    let mut maker = SegmentMaker::default();
    let segment = maker.make(30_000);
    let seal = segment.pieces().last().unwrap().len();
    assert!(seal > 100_000, "{seal}");
    log.append(segment.clone()).await.unwrap();
    log.append(maker.make(1)).await.unwrap();
    drop(log);
    let log = bench.log().await;
    assert_eq!(log.infos(Sequence(1), 1).await.unwrap(), [Arc::clone(segment.info())]);
    assert_eq!(log.read(Sequence(1)).await.unwrap().info(), segment.info());
}
