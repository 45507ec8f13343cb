//! Tests settings that come from the brokers' file, and settings that take no effect.

use hindsight_log::{Risks, SharedLog};

use super::*;

/// On Kafka 4.1, the `min.insync.replicas` of the brokers' file becomes the setting of the whole
/// cluster, which cannot be taken back. A topic's own setting always takes precedence.
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_effect_is_what_counts_and_each_remedy_works() -> Result<()> {
    let brokers = KafkaClusterOptions::brokers(1)
        .property("log.retention.hours", "24")
        .property("log.retention.bytes", "1073741824")
        .property("log.cleanup.policy", "compact")
        .property("unclean.leader.election.enable", "true")
        .property("compression.type", "gzip")
        .property("message.max.bytes", "20000")
        .property("min.insync.replicas", "2");
    let cluster = KafkaCluster::start(brokers).await?;
    let options = options(&cluster, 1);
    let topic = options.topic.as_str();
    cluster.create_topic(topic, 1).await?;
    let unfit = KafkaLog::open_writer(options.clone()).await.map(drop);
    let Err(LogError::Misconfigured { problems, .. }) = unfit else { panic!("{unfit:?}") };
    // Two in sync out of one replica count as one in sync.
    assert_eq!(problems.len(), 6, "{problems:#?}");
    for problem in &problems {
        let (_, setting) =
            problem.text.rsplit_once("--add-config ").context("it names a remedy")?;
        let (name, value) = setting.split_once('=').context("a name and a value")?;
        cluster.alter_topic(topic, name, value).await?;
    }
    let log = KafkaLog::open_writer(options.clone()).await?;
    let mut maker = SegmentMaker::default();
    log.append(maker.make(3)).await?;
    assert_eq!(log.risks().await, Risks::default());

    // Without a policy, nothing is deleted, whatever the retention is. The brokers take three in
    // sync for one.
    let changes =
        [("cleanup.policy", ""), ("retention.ms", "3600000"), ("min.insync.replicas", "3")];
    for (name, value) in changes {
        cluster.alter_topic(topic, name, value).await?;
    }
    log.append(maker.make(3)).await?;
    assert_eq!(log.risks().await, Risks::default());
    KafkaLog::open_writer(options.clone()).await?.append(maker.make(3)).await?;

    cluster.alter_topic(topic, "cleanup.policy", "delete").await?;
    let found = log.risks().await.found;
    assert!(matches!(&found[..], [risk] if risk.text.starts_with("retention.ms is")), "{found:#?}");
    Ok(())
}
