//! Topics that are fit to hold a log, and topics that are not.

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
