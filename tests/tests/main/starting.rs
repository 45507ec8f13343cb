//! Tests that commands wait for a service that is starting, and that a malformed argument is
//! reported before anything is touched.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hindsight_tests::hindsight::{run, run_json};
use hindsight_tests::process::Signal;
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions};

/// The service is delayed while it looks for its source.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_waits_for_a_service_that_is_starting() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    for first_time in [true, false] {
        set.pause_member(0)?;
        if !first_time {
            // The address of a process that was killed.
            std::fs::write(data.join("api"), "127.0.0.1:1")?;
            std::fs::remove_file(data.join("LOCK"))?;
        }
        let mut up = HindsightProcess::spawn_up(&set.uri(), &data, &[])?;
        let arguments = ["wait", "--timeout", "40s"];
        let waited = run_json(&data, &arguments);
        let resumed = async {
            while !data.join("LOCK").exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            // No process listens yet, and the command may not wait.
            let answers = run_json(&data, &["status"]).await?.expect_code(6)?;
            ensure!(answers.stderr.contains("is starting"), "{}", answers.stderr);
            let answers = run_json(&data, &["wait", "--timeout", "100ms"]).await?.expect_code(6)?;
            ensure!(answers.elapsed < Duration::from_secs(2), "{:?}", answers.elapsed);
            set.resume_member(0)
        };
        let (waited, resumed) = tokio::join!(waited, resumed);
        resumed?;
        waited?.expect_success()?;
        ensure!(up.stop().await?.success(), "{}", up.stderr());
    }
    let begun = Instant::now();
    let nobody = run_json(&data, &["wait", "--timeout", "40s"]).await?.expect_code(6)?;
    ensure!(nobody.stderr.contains("no process runs"), "{}", nobody.stderr);
    ensure!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    Ok(())
}

/// A service that hangs answers nothing, not even that the time is up.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_hangs_is_given_up() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    up.signal(Signal::Stop)?;
    let (waited, asked) =
        tokio::join!(run_json(&data, &["wait", "--timeout", "2s"]), run_json(&data, &["status"]));
    up.signal(Signal::Continue)?;
    let (waited, asked) = (waited?.expect_code(6)?, asked?.expect_code(6)?);
    ensure!(waited.stderr.contains("did not answer within 2s"), "{}", waited.stderr);
    ensure!(waited.elapsed < Duration::from_secs(15), "{:?}", waited.elapsed);
    ensure!(asked.elapsed < Duration::from_secs(60), "{:?}", asked.elapsed);
    ensure!(up.stop().await?.success(), "{}", up.stderr());
    Ok(())
}

#[tokio::test]
async fn what_is_malformed_is_a_usage_error_and_touches_nothing() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("file");
    std::fs::write(&file, "")?;
    let (file, new) = (file.display().to_string(), directory.path().join("new"));
    let data = new.display().to_string();
    let nobody = "mongodb://127.0.0.1:1/?replicaSet=rs0";
    for arguments in [
        &["up", "--uri", "postgres://x"][..],
        &["up", "--uri", "mongodb://"],
        &["up", "--uri", "mongodb://h:99999/"],
        &["up", "--uri", "mongodb://h/?readPreference=nearby"],
        &["config", "check", "--uri", "postgres://x"],
        &["tailer", "--uri", "postgres://x", "--log", "kafka://k:9092"],
        &["tailer", "--uri", nobody, "--log", "kafka://k"],
        &["tailer", "--uri", nobody, "--listen", "nowhere"],
        &["replayer", "--log", "s3://bucket"],
        &["replayer", "--log", "kafka://k:9092/x", "--listen", "0.0.0.0:1"],
        &["up", "--uri", nobody, "--log", "file://relative"],
        &["log", "copy", "--from", "file:///a", "--to", "nothing"],
        &["windows", "--server", "ftp://h"],
        &["wait", "--timeout", "soon"],
    ] {
        let all: Vec<&str> = arguments.iter().chain(&["--data", &data]).copied().collect();
        run(&all).await?.expect_code(2)?;
        ensure!(!Path::new(&data).exists(), "{arguments:?} has made a directory");
    }
    for arguments in [&["windows"][..], &["up", "--uri", nobody], &["wait", "--timeout", "1s"]] {
        let all: Vec<&str> = arguments.iter().chain(&["--data", &file]).copied().collect();
        let refused = run(&all).await?.expect_code(2)?;
        ensure!(refused.stderr.contains("is not a directory"), "{}", refused.stderr);
    }
    Ok(())
}

/// A service that is told to stop while it starts stops as a service that runs: without an error.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_starting_stops_when_it_is_told_to() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let directory = tempfile::tempdir()?;
    for (number, delay_ms) in [0, 1, 5, 20, 50, 100, 200, 400].into_iter().enumerate() {
        let data = directory.path().join(format!("data{number}"));
        let mut up = HindsightProcess::spawn_up(&set.uri(), &data, &[])?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while !data.join("LOCK").exists() {
            ensure!(Instant::now() < deadline, "it does not start: {}", up.stderr());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        let ended = up.stop().await?;
        ensure!(ended.success(), "after {delay_ms} ms: {ended}\n{}", up.stderr());
    }
    Ok(())
}
