//! Topics that are fit to hold a log, and topics that are not.

use hindsight_log::{BaseDigest, BaseNotice, SharedLog};

use super::*;

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
    // It is there now, and is found fit.
    let again = KafkaLog::open_writer(options.clone()).await?;
    assert_eq!(again.epoch().map(|it| it.0), Some(2));
    assert!(again.end().await?.is_some());

    options.replicas = 3;
    let error = KafkaLog::open_writer(options).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("it has 1 replicas of 3"), "{error}");
    assert!(error.contains("--add-config min.insync.replicas=2"), "{error}");
    Ok(())
}

/// What a fresh reader finds by reading everything, one with landmarks finds without.
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
    // It goes on from there.
    let log = KafkaLog::open_writer(noted.clone()).await?;
    log.append(maker.make(3)).await?;
    assert_eq!(fresh.end().await?, log.end().await?);

    // The same file with a topic that it is not of: as long, and another one.
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
