//! Tests topics that are fit to hold a log, and topics that are not.

use hindsight_log::{BaseDigest, BaseNotice, DirectoryLog, DirectoryOptions, SharedLog};
use hindsight_tests::HindsightProcess;
use hindsight_tests::hindsight::run;

use super::*;
use crate::capture_checks::status;

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_created_as_it_must_be_and_read_by_others() -> Result<()> {
    let cluster = one_broker().await?;
    let mut options = options(&cluster, 1);
    let absent = KafkaLog::open_reader(options.clone()).await.map(drop);
    assert!(matches!(absent, Err(LogError::NotFound { .. })), "{absent:?}");

    options.replicas = 3;
    let error = KafkaLog::open_writer(options.clone()).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("fewer brokers than the 3"), "{error}");

    options.replicas = 1;
    KafkaLog::open_writer(options.clone()).await?.append(SegmentMaker::default().make(3)).await?;
    // The topic exists now, and is found to be fit.
    let again = KafkaLog::open_writer(options.clone()).await?;
    assert_eq!(again.epoch().map(|it| it.0), Some(2));
    assert!(again.end().await?.is_some());

    options.replicas = 3;
    let error = KafkaLog::open_writer(options).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("it has 1 replicas of 3"), "{error}");
    assert!(error.contains("--add-config min.insync.replicas=2"), "{error}");
    Ok(())
}

/// A reader with landmarks finds, without reading everything, what a fresh reader finds by reading
/// everything.
#[tokio::test(flavor = "multi_thread")]
async fn landmarks_spare_reading_and_are_not_believed_blindly() -> Result<()> {
    let cluster = one_broker().await?;
    let directory = tempfile::tempdir()?;
    let plain = options(&cluster, 1);
    let path = directory.path().join("landmarks");
    let noted = KafkaOptions { landmarks: Some(path.clone()), ..plain.clone() };
    let mut maker = SegmentMaker::default();
    let mut segments = Vec::new();
    for round in 0..3u8 {
        let log = KafkaLog::open_writer(noted.clone()).await?;
        cluster.produce(&plain.topic, "noise").await?;
        let base = BaseNotice { name: format!("base-{round}"), digest: BaseDigest([round; 32]) };
        log.announce(base).await?;
        for _ in 0..5 {
            segments.push(maker.make(30));
            log.append(segments[segments.len() - 1].clone()).await?;
        }
        log.resign().await?;
    }
    let fresh = KafkaLog::open_reader(plain.clone()).await?;
    let recalled = KafkaLog::open_reader(noted.clone()).await?;
    assert_eq!((fresh.ignored().foreign, recalled.ignored().foreign), (3, 0), "what was read");
    let (leader, again) = (fresh.observe().await?, recalled.observe().await?);
    assert_eq!((leader.epoch, &leader.name, leader.has_resigned), (again.epoch, &again.name, true));
    assert!(again.has_resigned);
    assert_eq!(fresh.announced().await?, recalled.announced().await?);
    assert_eq!(fresh.announced().await?.len(), 3);
    for segment in &segments {
        let sequence = segment.info().sequence();
        assert_eq!(recalled.read(sequence).await?.info(), segment.info());
    }
    // Appending continues from there.
    let log = KafkaLog::open_writer(noted.clone()).await?;
    log.append(maker.make(3)).await?;
    assert_eq!(fresh.end().await?, log.end().await?);

    // The landmarks of one topic are used with another topic of the same length.
    let other = options(&cluster, 1);
    let text = std::fs::read_to_string(&path)?.replace(&plain.topic, &other.topic);
    let writer = KafkaLog::open_writer(other.clone()).await?;
    let mut maker = SegmentMaker::default();
    for _ in 0..20 {
        writer.append(maker.make(7)).await?;
    }
    std::fs::write(&path, text)?;
    let misled = KafkaOptions { landmarks: Some(path), ..other };
    let misled = KafkaLog::open_reader(misled).await?;
    assert_eq!(misled.end().await?, writer.end().await?);
    assert_eq!(misled.observe().await?.epoch.0, 1);
    assert_eq!(misled.announced().await?, []);
    Ok(())
}

/// A base that was announced after the last segment is read again each time the topic is opened,
/// but is noted only once.
#[tokio::test(flavor = "multi_thread")]
async fn a_base_is_announced_once_however_often_the_topic_is_opened() -> Result<()> {
    let cluster = one_broker().await?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("landmarks");
    let noted = KafkaOptions { landmarks: Some(path.clone()), ..options(&cluster, 1) };
    let mut maker = SegmentMaker::default();
    let base = BaseNotice { name: "base".to_owned(), digest: BaseDigest([7; 32]) };
    let log = KafkaLog::open_writer(noted.clone()).await?;
    log.append(maker.make(3)).await?;
    log.announce(base.clone()).await?;
    drop(log);
    for _ in 0..3 {
        drop(KafkaLog::open_reader(noted.clone()).await?);
    }
    let log = KafkaLog::open_writer(noted.clone()).await?;
    log.append(maker.make(3)).await?;
    drop(log);
    let recalled = KafkaLog::open_reader(noted).await?;
    assert_eq!(recalled.announced().await?, [base]);
    let lines = std::fs::read_to_string(&path)?;
    assert_eq!(lines.matches("\nbase ").count(), 1, "{lines}");
    Ok(())
}

/// Everything before a damaged place is read, copied and served. Nothing is appended, and no answer
/// claims that this is everything.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_damaged_topic_what_comes_before_is_of_use() -> Result<()> {
    let cluster = one_broker().await?;
    let subject = KafkaSubject { cluster: &cluster, options: options(&cluster, 1) };
    let options = subject.options.clone();
    let log = KafkaLog::open_writer(options.clone()).await?;
    let mut maker = SegmentMaker::default();
    let segments = [maker.make(50), maker.make(50), maker.make(50), maker.make(50)];
    for segment in &segments {
        log.append(segment.clone()).await?;
    }
    log.resign().await?;
    drop(log);
    subject.flip(Sequence(3), 500)?;

    let outcome = KafkaLog::open(options.clone()).await.map(drop);
    assert!(matches!(outcome, Err(LogError::Corrupt { .. })), "{outcome:?}");
    let reader = KafkaLog::open_reader(options.clone()).await?;
    let infos = reader.infos(Sequence::FIRST, 9).await?;
    assert!(infos.iter().eq(segments[..2].iter().map(SealedSegment::info)), "{infos:?}");
    assert_eq!(reader.read(Sequence(2)).await?.info(), segments[1].info());
    for outcome in [
        reader.read(Sequence(3)).await.map(drop),
        reader.read(Sequence(4)).await.map(drop),
        reader.infos(Sequence(3), 9).await.map(drop),
        reader.end().await.map(drop),
    ] {
        assert!(matches!(outcome, Err(LogError::Corrupt { .. })), "{outcome:?}");
    }
    let risks = reader.risks().await;
    assert!(risks.found.iter().any(|risk| risk.text.contains("copy what is intact")), "{risks:?}");

    let directory = tempfile::tempdir()?;
    let url = format!("kafka://{}/{}", options.bootstrap, options.topic);
    let files = directory.path().join("copied");
    let to = format!("file://{}", files.display());
    let copy = ["log", "copy", "--from", &url, "--to", &to, "--kafka-replicas", "1"];
    for words in ["copied 2 segments", "copied 0 segments"] {
        let copied = run(&copy).await?.expect_code(1)?;
        anyhow::ensure!(copied.stdout.contains(words), "{}", copied.stdout);
        anyhow::ensure!(copied.stderr.contains("damaged after segment 2"), "{}", copied.stderr);
    }
    let copied = DirectoryLog::open_reader(&files, DirectoryOptions::default()).await?;
    assert_eq!(copied.end().await?.as_ref(), Some(segments[1].info()));

    // Start the replayer twice: with an empty index, and with an index that has everything.
    let data = directory.path().join("replayer");
    let args = ["replayer", "--log", &url, "--kafka-replicas", "1"];
    for _ in 0..2 {
        let mut replayer = HindsightProcess::start(&data, &args).await?;
        let (ready, text) = replayer.page("/readyz").await?;
        anyhow::ensure!(ready == 200, "/readyz says {ready} {text}");
        wait_for_damage(&replayer, segments[1].info().last().ts.seconds()).await?;
        anyhow::ensure!(replayer.stop().await?.success(), "{}", replayer.stderr());
    }
    Ok(())
}

/// Waits until the damage is reported, and checks that the durable position is the one before it.
async fn wait_for_damage(replayer: &HindsightProcess, durable: u32) -> Result<()> {
    let started = std::time::Instant::now();
    loop {
        let status = status(replayer.data()).await?;
        if status["remedies"].to_string().contains("copy_log") {
            anyhow::ensure!(status["positions"]["durable"]["t"] == durable, "{status:#}");
            return Ok(());
        }
        anyhow::ensure!(started.elapsed() < Duration::from_secs(40), "it is not told: {status:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
