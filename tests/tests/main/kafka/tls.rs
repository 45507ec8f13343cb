//! Tests brokers that speak only TLS.

use std::path::Path;

use bson::{Document, doc};
use hindsight_tests::SetOptions;
use hindsight_tests::hindsight::run;
use hindsight_tests::replica_set::last_timestamp;

use super::services::Stage;
use super::waiting::{says, spawn};
use super::*;
use crate::capture_checks::wait_durable;

struct Certificate {
    pem: String,
    key: String,
}

fn certificate_of(name: &str) -> Result<Certificate> {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()])?;
    Ok(Certificate { pem: made.cert.pem(), key: made.signing_key.serialize_pem() })
}

/// A broker's certificate is checked against the authorities that the settings name, and what is
/// captured over TLS is the source's oplog.
#[tokio::test(flavor = "multi_thread")]
async fn brokers_are_reached_over_tls_and_only_those_that_are_trusted() -> Result<()> {
    let certificate = certificate_of("127.0.0.1")?;
    let brokers = KafkaClusterOptions::brokers(1).tls(&certificate.pem, &certificate.key);
    let stage = Stage::with(brokers, SetOptions::members(1)).await?;
    let (trusted, other) = (stage.path("trusted.pem"), stage.path("other.pem"));
    std::fs::write(&trusted, &certificate.pem)?;
    std::fs::write(&other, certificate_of("127.0.0.1")?.pem)?;

    let by = |file: &Path| format!("ssl.ca.location={}", file.display());
    let (by_other, by_trusted) = (by(&other), by(&trusted));
    let tls = ["--kafka-config", "security.protocol=ssl", "--kafka-config", &by_trusted];
    let untrusted = ["--kafka-config", "security.protocol=ssl", "--kafka-config", &by_other];
    refused(&stage, &untrusted, "certificate verify failed").await?;
    // When a client sends plain text to a TLS port, the broker closes the connection and says
    // nothing else. A broker that goes down looks the same, so the process waits for the broker and
    // reports this.
    let plain = stage.args("tailer", &["--uri", &stage.set.uri()]);
    let mut waiting = spawn(&stage, "plain", &plain)?;
    says(&mut waiting, "want TLS or a password").await?;
    anyhow::ensure!(waiting.stop().await?.success(), "{}", waiting.stderr());

    let uri = stage.set.uri();
    let args = stage.args("tailer", &[&["--uri", &uri], &tls[..]].concat());
    let mut tailer = stage.start("tailer", &args).await?;
    let client = stage.set.client().await?;
    let things = client.database("tls").collection::<Document>("things");
    // The first insert shows that capture has begun; what comes before that is only in the base.
    for ids in [0..1, 1..1_001] {
        things.insert_many(ids.map(|id| doc! {"_id": id, "text": "x".repeat(500)})).await?;
        let last = last_timestamp(&client).await?;
        wait_durable(&stage.path("tailer"), last, Duration::from_secs(30)).await?;
    }
    anyhow::ensure!(tailer.stop().await?.success(), "{}", tailer.stderr());

    let copied = stage.path("copied");
    let to = format!("file://{}", copied.join("log").display());
    let from = stage.log();
    let copy = ["log", "copy", "--from", &from, "--to", &to, "--kafka-replicas", "1"];
    run(&[&copy[..], &tls[..]].concat()).await?.expect_success()?;
    let entries = crate::crash::compare_with_source(&client, &copied).await?;
    anyhow::ensure!(entries >= 1_000, "only {entries} entries");
    Ok(())
}

async fn refused(stage: &Stage, settings: &[&str], expected: &str) -> Result<()> {
    let (uri, data) = (stage.set.uri(), stage.path("refused").display().to_string());
    let more = ["--uri", &uri, "--data", &data, "--listen", "127.0.0.1:0"];
    let args = stage.args("tailer", &[&more[..], settings].concat());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let refused = run(&args).await?.expect_code(1)?;
    anyhow::ensure!(refused.stderr.contains(expected), "no {expected:?}: {}", refused.stderr);
    Ok(())
}
