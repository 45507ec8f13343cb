//! Tests services that are started in any order, and brokers that do not answer: the process waits
//! for them, and says so meanwhile.

use std::time::Instant;

use bson::{Document, doc};
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{HindsightProcess, SetOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::services::{Stage, wait_for, wait_for_base};
use super::*;
use crate::capture_checks::{status, wait_durable};

const PATIENCE: Duration = Duration::from_secs(60);
/// How long an append may wait before `status` says so, with room for a busy machine.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

pub(super) fn spawn(stage: &Stage, name: &str, args: &[String]) -> Result<HindsightProcess> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    HindsightProcess::spawn(&stage.path(name), &args)
}

/// Waits until `/readyz` of a process that is not ready yet says `word`.
pub(super) async fn says(process: &mut HindsightProcess, word: &str) -> Result<()> {
    let started = Instant::now();
    let mut last = String::new();
    while started.elapsed() < PATIENCE {
        if let Some(exit) = process.try_exit()? {
            anyhow::bail!("it ended ({exit}): {}", process.stderr());
        }
        if let Some(address) = address_in(&process.stderr()) {
            last = readyz(&address).await.unwrap_or_default();
            if last.contains(word) {
                anyhow::ensure!(last.starts_with("HTTP/1.1 503"), "{last}");
                return Ok(());
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("/readyz never said {word:?}: {last}\n{}", process.stderr())
}

/// Returns the address on which a waiting process listens.
fn address_in(messages: &str) -> Option<String> {
    let line = messages.lines().rfind(|line| line.contains("/readyz tells why"))?;
    let (_, rest) = line.split_once("http://")?;
    Some(rest.chars().take_while(|c| !matches!(c, '"' | ' ' | '\u{1b}')).collect())
}

async fn readyz(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn services_wait_for_what_they_are_started_before() -> Result<()> {
    let mut stage = Stage::new(1, SetOptions::members(1)).await?;
    // Neither the topic nor the directory of bases exists yet.
    let mut replayer = spawn(&stage, "replayer", &stage.args("replayer", &[]))?;
    says(&mut replayer, "a tailer creates it when it starts").await?;
    let mut tailer = stage.tailer("tailer").await?;
    replayer.wait_ready(PATIENCE).await?;
    wait_for_base(&stage).await?;
    let client = stage.set.client().await?;
    let things = client.database("waiting").collection::<Document>("things");
    things.insert_one(doc! {"_id": 1}).await?;
    wait_for(&stage.path("replayer"), last_timestamp(&client).await?).await?;
    anyhow::ensure!(tailer.stop().await?.success(), "{}", tailer.stderr());
    anyhow::ensure!(replayer.stop().await?.success(), "{}", replayer.stderr());

    stage.cluster.kill(0)?;
    let tailing = stage.args("tailer", &["--uri", &stage.set.uri()]);
    let mut tailer = spawn(&stage, "tailer", &tailing)?;
    let mut replayer = spawn(&stage, "replayer", &stage.args("replayer", &[]))?;
    for process in [&mut tailer, &mut replayer] {
        says(process, "kafka topic").await?;
    }
    // A process that is told to stop while it waits stops.
    let mut another = spawn(&stage, "another", &stage.args("replayer", &[]))?;
    says(&mut another, "kafka topic").await?;
    anyhow::ensure!(another.stop().await?.success(), "{}", another.stderr());
    stage.cluster.restart(0).await?;
    for process in [&mut tailer, &mut replayer] {
        process.wait_ready(PATIENCE).await?;
    }
    things.insert_one(doc! {"_id": 2}).await?;
    wait_for(&stage.path("replayer"), last_timestamp(&client).await?).await?;
    anyhow::ensure!(tailer.stop().await?.success(), "{}", tailer.stderr());
    anyhow::ensure!(replayer.stop().await?.success(), "{}", replayer.stderr());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_waits_is_told_at_once() -> Result<()> {
    let mut stage = Stage::new(1, SetOptions::members(1)).await?;
    let mut tailer = stage.tailer("tailer").await?;
    let mut replayer = stage.replayer("replayer").await?;
    for process in [&mut tailer, &mut replayer] {
        process.wait_ready(PATIENCE).await?;
    }
    wait_for_base(&stage).await?;
    let client = stage.set.client().await?;
    let things = client.database("waiting").collection::<Document>("things");
    things.insert_one(doc! {"_id": 0}).await?;
    wait_for(&stage.path("replayer"), last_timestamp(&client).await?).await?;
    for process in [&tailer, &replayer] {
        let errors = status(process.data()).await?["errors"].to_string();
        anyhow::ensure!(!errors.contains("has taken"), "{errors}");
    }
    stage.cluster.kill(0)?;
    let down = Instant::now();
    things.insert_one(doc! {"_id": 1}).await?;
    for process in [&tailer, &replayer] {
        loop {
            let errors = status(process.data()).await?["errors"].to_string();
            if errors.contains("has taken") {
                break;
            }
            anyhow::ensure!(down.elapsed() < TOLD_WITHIN, "not told: {errors}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    println!("told {:?} after the broker was killed", down.elapsed());
    stage.cluster.restart(0).await?;
    let last = last_timestamp(&client).await?;
    wait_durable(&stage.path("tailer"), last, PATIENCE).await?;
    let back = Instant::now();
    loop {
        let errors = status(tailer.data()).await?["errors"].to_string();
        if !errors.contains("has taken") {
            break;
        }
        anyhow::ensure!(back.elapsed() < PATIENCE, "still told: {errors}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::ensure!(tailer.stop().await?.success(), "{}", tailer.stderr());
    anyhow::ensure!(replayer.stop().await?.success(), "{}", replayer.stderr());
    Ok(())
}
