//! Tests topics that change for the worse, lose what they had, or were never fit: the problem is
//! seen and reported before it matters.

use std::time::Instant;

use bson::{Document, doc};
use hindsight_log::SharedLog;
use hindsight_tests::hindsight::run;
use hindsight_tests::{HindsightProcess, SetOptions};

use super::services::Stage;
use super::*;
use crate::capture_checks::status;

async fn wait_for_error(process: &HindsightProcess, word: &str) -> Result<()> {
    let started = Instant::now();
    loop {
        let errors = status(process.data()).await?["errors"].to_string();
        if errors.contains(word) {
            return Ok(());
        }
        anyhow::ensure!(started.elapsed() < Duration::from_secs(40), "no {word:?} in {errors}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn metric(process: &HindsightProcess, name: &str) -> Result<f64> {
    let (_, metrics) = process.page("/metrics").await?;
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.with_context(|| format!("no metric {name}"))?.trim().parse()?)
}

async fn risk_metric(process: &HindsightProcess) -> Result<f64> {
    metric(process, "hindsight_retention_risk").await
}

/// Waits until everything was checked once, and checks that nothing is wrong.
async fn wait_until_safe(process: &HindsightProcess) -> Result<()> {
    let started = Instant::now();
    while metric(process, "hindsight_retention_unchecked").await? > 0.0 {
        anyhow::ensure!(started.elapsed() < Duration::from_secs(40), "something stays unchecked");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    anyhow::ensure!(risk_metric(process).await? == 0.0, "a fresh topic is at risk");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_begins_to_forget_is_reported() -> Result<()> {
    let stage = Stage::new(1, SetOptions::members(1)).await?;
    let mut tailer = stage.tailer("tailer").await?;
    let mut replayer = stage.replayer("replayer").await?;
    let client = stage.set.client().await?;
    let things = client.database("risk").collection::<Document>("things");
    for id in 0..20 {
        things.insert_one(doc! {"_id": id}).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for process in [&tailer, &replayer] {
        wait_until_safe(process).await?;
    }
    let topic = stage.options.topic.as_str();
    stage.cluster.alter_topic(topic, "retention.ms", "3600000").await?;
    for process in [&tailer, &replayer] {
        wait_for_error(process, "retention.ms").await?;
        anyhow::ensure!(risk_metric(process).await? >= 1.0, "the metric does not tell");
        let errors = status(process.data()).await?["errors"].to_string();
        anyhow::ensure!(errors.contains("kafka-configs.sh"), "no remedy: {errors}");
    }
    stage.cluster.alter_topic(topic, "retention.ms", "-1").await?;
    let started = Instant::now();
    while risk_metric(&tailer).await? > 0.0 {
        anyhow::ensure!(started.elapsed() < Duration::from_secs(40), "the risk stays");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    // Segments that vanish are noticed at once, not only at restore time, and so is a claim.
    stage.cluster.delete_records(topic, 1).await?;
    for process in [&tailer, &replayer] {
        wait_for_error(process, "the records before offset 1 are gone from the topic").await?;
        anyhow::ensure!(risk_metric(process).await? >= 1.0, "the metric does not tell");
    }
    stage.cluster.delete_records(topic, 6).await?;
    for process in [&tailer, &replayer] {
        wait_for_error(process, "the segments before").await?;
        anyhow::ensure!(risk_metric(process).await? >= 1.0, "the metric does not tell");
    }
    anyhow::ensure!(tailer.stop().await?.success(), "{}", tailer.stderr());
    anyhow::ensure!(replayer.stop().await?.success(), "{}", replayer.stderr());

    // What is left is read, and capture goes on from its end.
    let mut tailer = stage.tailer("tailer").await?;
    let mut replayer = stage.replayer("replayer").await?;
    things.insert_one(doc! {"_id": 100}).await?;
    let last = hindsight_tests::replica_set::last_timestamp(&client).await?;
    crate::capture_checks::wait_durable(&stage.path("tailer"), last, Duration::from_secs(30))
        .await?;
    for process in [&tailer, &replayer] {
        wait_for_error(process, "the segments before").await?;
    }
    anyhow::ensure!(tailer.stop().await?.success(), "{}", tailer.stderr());
    anyhow::ensure!(tailer.stderr().contains("the segments before"), "it is told at the start");
    anyhow::ensure!(replayer.stop().await?.success(), "{}", replayer.stderr());
    Ok(())
}

/// Each case is an immediate error that says what to do.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_refused_with_a_remedy() -> Result<()> {
    let stage = Stage::new(1, SetOptions::members(1)).await?;
    let directory = tempfile::tempdir()?;
    let refusal = async |log: &str, more: &[&str], code: i32, words: &[&str]| -> Result<()> {
        let data = tempfile::tempdir_in(directory.path())?;
        let data = data.path().display().to_string();
        let uri = stage.set.uri();
        let args =
            ["tailer", "--uri", &uri, "--log", log, "--data", &data, "--listen", "127.0.0.1:0"];
        let args: Vec<&str> = args.iter().chain(more).copied().collect();
        let refused = run(&args).await?.expect_code(code)?;
        anyhow::ensure!(!refused.stderr.contains("hunter2"), "shown: {}", refused.stderr);
        for word in words {
            anyhow::ensure!(
                refused.stderr.contains(word),
                "{word:?} is missing: {}",
                refused.stderr
            );
        }
        Ok(())
    };
    let one = ["--kafka-replicas", "1"];
    let broker = format!("kafka://{}", stage.options.bootstrap);
    refusal(&broker, &[], 1, &["fewer brokers than the 3", "--kafka-replicas"]).await?;
    refusal(&format!("{broker}/a/b"), &one, 2, &["names no valid topic"]).await?;
    refusal(&broker, &["--kafka-config", "no.such.setting=1"], 1, &["no.such.setting"]).await?;
    refusal(&broker, &["--kafka-config", "hunter2"], 2, &["number 1 is not NAME=VALUE"]).await?;
    // Values may be passwords, whether the name does not exist or does not take such a value.
    let misspelt = ["--kafka-config", "sasl.pasword=hunter2"];
    refusal(&broker, &misspelt, 1, &["has no setting \"sasl.pasword\""]).await?;
    let misplaced = ["--kafka-config", "security.protocol=hunter2"];
    refusal(&broker, &misplaced, 1, &["the value of its setting \"security.protocol\""]).await?;

    stage.cluster.create_topic("two", 2).await?;
    refusal(&format!("{broker}/two"), &one, 1, &["it has 2 partitions", "use another topic"])
        .await?;

    // The log of another replica set.
    let foreign = options(&stage.cluster, 1);
    let log = KafkaLog::open_writer(foreign.clone()).await?;
    log.append(SegmentMaker::default().make(3)).await?;
    let url = format!("{broker}/{}", foreign.topic);
    refusal(&url, &one, 1, &["belongs to replica set"]).await?;
    Ok(())
}

/// Records that are not ours are counted and passed over.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_records_are_counted_and_ignored() -> Result<()> {
    let stage = Stage::new(1, SetOptions::members(1)).await?;
    let mut tailer = stage.tailer("tailer").await?;
    let client = stage.set.client().await?;
    let things = client.database("foreign").collection::<Document>("things");
    for id in 0..3 {
        things.insert_one(doc! {"_id": id}).await?;
        stage.cluster.produce(&stage.options.topic, "noise\n".repeat(10).trim_end()).await?;
    }
    let last = hindsight_tests::replica_set::last_timestamp(&client).await?;
    crate::capture_checks::wait_durable(&stage.path("tailer"), last, Duration::from_secs(30))
        .await?;
    // The metrics are updated every 15 s.
    let line = "hindsight_log_ignored_records{reason=\"foreign\"} 30";
    let started = Instant::now();
    while !tailer.page("/metrics").await?.1.contains(line) {
        anyhow::ensure!(started.elapsed() < Duration::from_secs(40), "no {line}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    anyhow::ensure!(tailer.stop().await?.success(), "{}", tailer.stderr());
    stage.topic_equals_source("copied").await?;
    let reader = KafkaLog::open_reader(stage.options.clone()).await?;
    anyhow::ensure!(reader.ignored().foreign == 30, "{:?}", reader.ignored());
    Ok(())
}

/// Brokers that require a password get the right password; otherwise the error says that it is
/// wrong, without showing it.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_passed_on_and_never_shown() -> Result<()> {
    let brokers = KafkaClusterOptions::brokers(1).password("hindsight", "r1ght-s3cret");
    let stage = Stage::with(brokers, SetOptions::members(1)).await?;
    let config = stage.path("client.properties");
    let settings = |password: &str| {
        format!(
            "# how to reach the brokers\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n\
             sasl.username=hindsight\nsasl.password={password}\n"
        )
    };
    std::fs::write(&config, settings("wr0ng-s3cret"))?;
    let file = config.display().to_string();
    let uri = stage.set.uri();
    let args = stage.args("tailer", &["--uri", &uri, "--kafka-config-file", &file]);
    let data = stage.path("refused").display().to_string();
    let more = ["--data", &data, "--listen", "127.0.0.1:0", "--log-filter", "debug"];
    let refused = args.iter().map(String::as_str).chain(more).collect::<Vec<_>>();
    let refused = run(&refused).await?.expect_code(1)?;
    anyhow::ensure!(refused.stderr.contains("uthentication failed"), "{}", refused.stderr);
    anyhow::ensure!(!refused.stderr.contains("s3cret"), "a password is shown: {}", refused.stderr);

    std::fs::write(&config, settings("r1ght-s3cret"))?;
    let mut tailer = stage.start("tailer", &args).await?;
    let client = stage.set.client().await?;
    client.database("sasl").collection::<Document>("things").insert_one(doc! {"_id": 1}).await?;
    let last = hindsight_tests::replica_set::last_timestamp(&client).await?;
    crate::capture_checks::wait_durable(&stage.path("tailer"), last, Duration::from_secs(30))
        .await?;
    anyhow::ensure!(tailer.stop().await?.success(), "{}", tailer.stderr());
    Ok(())
}
