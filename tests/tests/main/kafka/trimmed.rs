//! Tests topics whose oldest records are gone, because segments were removed or because brokers cut
//! the topic.

use hindsight_log::{BaseDigest, BaseNotice, Instance, SharedLog};
use hindsight_tests::hindsight::run;

use super::*;

fn base(number: u8) -> BaseNotice {
    BaseNotice { name: format!("base-{number}"), digest: BaseDigest([number; 32]) }
}

/// Brokers cut a topic anywhere: in the middle of a segment, and behind the only claim.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_read_from_its_first_whole_segment_on_wherever_it_was_cut() -> Result<()> {
    let cluster = one_broker().await?;
    let options = options(&cluster, 1);
    let log = KafkaLog::open_writer(options.clone()).await?;
    let mut maker = SegmentMaker::default();
    let mut segments = Vec::new();
    for _ in 0..3 {
        segments.push(maker.make(100));
        log.append(segments[segments.len() - 1].clone()).await?;
        log.beat().await?;
    }
    let open_since = KafkaLog::open_reader(options.clone()).await?;
    open_since.end().await?;
    // The claim, and then the records of each segment and a beat.
    let mut starts = vec![1];
    for segment in &segments {
        let frames = segment.info().seal.frames.len() as i64;
        starts.push(starts[starts.len() - 1] + frames + 2);
    }
    for offset in [1, 2, starts[1] - 1, starts[1], starts[1] + 1, starts[2]] {
        cluster.delete_records(&options.topic, offset).await?;
        let gone = starts.iter().take_while(|&&start| start < offset).count();
        let begins = Sequence(gone as u64 + 1);
        let held = || segments[gone..].iter().map(SealedSegment::info);
        let fresh = KafkaLog::open_reader(options.clone()).await?;
        for reader in [&fresh, &open_since] {
            reader.end().await?;
            let infos = reader.infos(Sequence::FIRST, 9).await?;
            anyhow::ensure!(infos.iter().eq(held()), "from {offset} on: {}", infos.len());
            let beginning = reader.begin().await?.context("it holds segments")?;
            assert_eq!((beginning.sequence, beginning.before), (begins, None));
            assert_eq!(beginning.predecessor, segments[gone].info().header.predecessor);
            for segment in &segments[..gone] {
                let outcome = reader.read(segment.info().sequence()).await.map(drop);
                let is_told =
                    matches!(&outcome, Err(LogError::Removed { begins: it, .. }) if *it == begins);
                assert!(is_told, "from {offset} on: {outcome:?}");
            }
            let told = if gone == 0 { "the records before" } else { "the segments before" };
            let risks = reader.risks().await;
            assert!(risks.found.iter().any(|risk| risk.text.starts_with(told)), "{risks:?}");
        }
        assert_eq!(fresh.observe().await?.epoch, open_since.observe().await?.epoch);
    }
    segments.push(maker.make(3));
    log.append(segments[3].clone()).await?;
    assert_eq!(open_since.end().await?.as_ref(), Some(segments[3].info()));

    // Of the last segment, one record is gone: nothing could be appended to what is left.
    cluster.delete_records(&options.topic, starts[3] + 1).await?;
    for outcome in [
        KafkaLog::open_reader(options.clone()).await.map(drop),
        KafkaLog::open_writer(options.clone()).await.map(drop),
    ] {
        assert!(matches!(outcome, Err(LogError::Corrupt { .. })), "{outcome:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trimmed_topic_is_taken_over_and_keeps_its_bases() -> Result<()> {
    let cluster = one_broker().await?;
    let options = options(&cluster, 1);
    let mut maker = SegmentMaker::default();
    let older = KafkaLog::open_writer(options.clone()).await?;
    older.announce(base(1)).await?;
    for _ in 0..4 {
        older.append(maker.make(30)).await?;
    }
    older.remove_before(Sequence(3)).await?;
    let reader = KafkaLog::open_reader(options.clone()).await?;
    let leader = reader.observe().await?;
    assert_eq!((leader.epoch.0, leader.instance), (1, Instance::UNKNOWN));
    assert_eq!(reader.announced().await?, [base(1)]);

    let newer = KafkaLog::open_writer(options.clone()).await?;
    assert_eq!(newer.epoch().map(|it| it.0), Some(2));
    for outcome in [
        older.append(maker.clone().make(4)).await,
        older.remove_before(Sequence(4)).await,
        older.announce(base(2)).await,
    ] {
        assert!(matches!(outcome, Err(LogError::Fenced { .. })), "{outcome:?}");
    }
    for _ in 0..2 {
        newer.append(maker.make(4)).await?;
    }
    // Both claims are gone now.
    newer.remove_before(Sequence(6)).await?;
    let outcome = reader.remove_before(Sequence(6)).await;
    assert!(matches!(outcome, Err(LogError::ReadOnly { .. })), "{outcome:?}");
    let fresh = KafkaLog::open_reader(options).await?;
    for log in [&newer, &reader, &fresh] {
        assert_eq!(log.begin().await?.context("it holds a segment")?.sequence, Sequence(6));
        assert_eq!(log.end().await?, newer.end().await?);
        assert_eq!(log.announced().await?, [base(1)]);
        assert_eq!(log.observe().await?.epoch.0, 2);
    }
    Ok(())
}

/// Landmarks lead into a topic that was trimmed behind them, and not into what is gone.
#[tokio::test(flavor = "multi_thread")]
async fn landmarks_of_a_trimmed_topic_are_believed_as_far_as_it_reaches() -> Result<()> {
    let cluster = one_broker().await?;
    let directory = tempfile::tempdir()?;
    let plain = options(&cluster, 1);
    let path = directory.path().join("landmarks");
    let noted = KafkaOptions { landmarks: Some(path), ..plain.clone() };
    let mut maker = SegmentMaker::default();
    for round in 0..2 {
        let log = KafkaLog::open_writer(noted.clone()).await?;
        log.announce(base(round)).await?;
        for _ in 0..3 {
            log.append(maker.make(30)).await?;
            cluster.produce(&plain.topic, "noise").await?;
        }
        log.resign().await?;
    }
    let log = KafkaLog::open_writer(noted.clone()).await?;
    log.append(maker.make(3)).await?;
    for (before, noise) in [(3, 4), (7, 0)] {
        log.remove_before(Sequence(before)).await?;
        log.append(maker.make(3)).await?;
        let fresh = KafkaLog::open_reader(plain.clone()).await?;
        let recalled = KafkaLog::open_reader(noted.clone()).await?;
        assert_eq!(
            (fresh.ignored().foreign, recalled.ignored().foreign),
            (noise, 0),
            "what was read"
        );
        assert_eq!(fresh.end().await?, recalled.end().await?);
        assert_eq!(fresh.begin().await?, recalled.begin().await?);
        assert_eq!(fresh.observe().await?.epoch, recalled.observe().await?.epoch);
        let bases = |mut all: Vec<BaseNotice>| {
            all.sort_by(|one, other| one.name.cmp(&other.name));
            all
        };
        assert_eq!(bases(fresh.announced().await?), [base(0), base(1)]);
        assert_eq!(bases(recalled.announced().await?), [base(0), base(1)]);
    }
    Ok(())
}

/// A copy begins with segment 1 or continues a copy; it never has a hole.
#[tokio::test(flavor = "multi_thread")]
async fn a_trimmed_topic_is_copied_to_where_the_removed_segments_are() -> Result<()> {
    let cluster = one_broker().await?;
    let directory = tempfile::tempdir()?;
    let options = options(&cluster, 1);
    let log = KafkaLog::open_writer(options.clone()).await?;
    let mut maker = SegmentMaker::default();
    for _ in 0..3 {
        log.append(maker.make(5)).await?;
    }
    let url = format!("kafka://{}/{}", options.bootstrap, options.topic);
    let copy = async |name: &str| {
        let to = format!("file://{}", directory.path().join(name).display());
        run(&["log", "copy", "--from", &url, "--to", &to, "--kafka-replicas", "1"]).await
    };
    copy("begun").await?.expect_success()?;
    for _ in 0..2 {
        log.append(maker.make(5)).await?;
    }
    log.remove_before(Sequence(4)).await?;
    let copied = copy("begun").await?.expect_success()?;
    anyhow::ensure!(copied.stdout.contains("copied 2 segments"), "{}", copied.stdout);
    anyhow::ensure!(copied.stdout.contains("3 were already there"), "{}", copied.stdout);
    let refused = copy("new").await?.expect_code(1)?;
    for words in ["begins with segment 4", "is empty", "goes at least to segment 3"] {
        anyhow::ensure!(refused.stderr.contains(words), "{words:?}: {}", refused.stderr);
    }
    log.append(maker.make(5)).await?;
    log.append(maker.make(5)).await?;
    log.remove_before(Sequence(7)).await?;
    let refused = copy("begun").await?.expect_code(1)?;
    anyhow::ensure!(refused.stderr.contains("ends with segment 5"), "{}", refused.stderr);
    Ok(())
}
