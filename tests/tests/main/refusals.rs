//! Tests bad input: a clear error says what to do, and the exit code is right.

use std::time::Duration;

use anyhow::{Result, ensure};
use bson::{Document, doc};
use hindsight_tests::hindsight::{run, run_json};
use hindsight_tests::{HindsightProcess, Mongod, MongodOptions, ReplicaSet, RunOutput, SetOptions};

async fn up_refuses(uri: &str) -> Result<RunOutput> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let data = data.to_str().expect("a UTF-8 path");
    run(&["up", "--uri", uri, "--data", data, "--listen", "127.0.0.1:0"]).await
}

fn says(output: &RunOutput, words: &[&str]) -> Result<()> {
    for word in words {
        ensure!(output.stderr.contains(word), "{word:?} is missing in: {}", output.stderr);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standalone_is_refused() -> Result<()> {
    let standalone = Mongod::standalone(&MongodOptions::default()).await?;
    let output = up_refuses(&standalone.uri()).await?.expect_code(1)?;
    says(&output, &["standalone", "--replSet", "rs.initiate()"])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_host_is_named() -> Result<()> {
    let output = up_refuses("mongodb://127.0.0.1:1/?replicaSet=rs0").await?.expect_code(1)?;
    says(&output, &["127.0.0.1:1", "can be reached", "firewall"])
}

#[tokio::test]
async fn a_password_that_is_not_encoded_is_refused_and_never_shown() -> Result<()> {
    for uri in ["mongodb://root:s3cret?t@127.0.0.1:1/", "mongodb://root:s3cret%é@127.0.0.1:1/"] {
        let output = up_refuses(uri).await?.expect_code(2)?;
        says(&output, &["--uri", "percent-encoded"])?;
        ensure!(!output.stderr.contains("s3cret"), "the password is shown: {}", output.stderr);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_and_never_shown() -> Result<()> {
    let mut set =
        ReplicaSet::start(SetOptions::members(1).mongod(MongodOptions::with_auth)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let address = set.server(0).address();
    let uri = format!("mongodb://root:wr0ng-s3cret@{address}/?authSource=admin");
    let output = up_refuses(&uri).await?.expect_code(1)?;
    says(&output, &["credentials"])?;
    ensure!(!output.stderr.contains("wr0ng-s3cret"), "the password is shown: {}", output.stderr);

    // This user may read one database, but not the oplog.
    let client = set.client().await?;
    let create =
        doc! {"createUser": "clerk", "pwd": "pw", "roles": [{"role": "readWrite", "db": "shop"}]};
    client.database("admin").run_command(create).await?;
    let uri = format!("mongodb://clerk:pw@{address}/?authSource=admin");
    let output = up_refuses(&uri).await?.expect_code(1)?;
    says(&output, &["not authorized", "clusterMonitor"])
}

#[tokio::test(flavor = "multi_thread")]
async fn times_targets_and_directories_are_checked() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    client.database("shop").collection::<Document>("orders").insert_one(doc! {"_id": 1}).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait"]).await?.expect_success()?;

    for (args, code, word) in [
        (&["get", "shop.orders", "1", "--at", "1000000000,1"][..], 3, "outside"),
        (&["get", "shop.orders", "1", "--at", "yesterday"], 2, "is not a time"),
        (&["get", "shop.orders", "2"], 3, "no document"),
        (&["get", "shop.nothing", "1"], 3, "does not exist"),
        (&["get", "orders", "1"], 2, "namespace"),
        (&["find", "--limit", "many"], 2, "--limit"),
        (&["scan", "shop.nothing"], 3, "does not exist"),
    ] {
        let output = run_json(&data, args).await?.expect_code(code)?;
        says(&output, &[word])?;
    }
    let occupied = Mongod::standalone(&MongodOptions::default()).await?;
    let target = occupied.client().await?;
    target.database("other").collection::<Document>("things").insert_one(doc! {"_id": 1}).await?;
    let args = ["restore", "--until", "latest", "--to", &occupied.uri()];
    let output = run_json(&data, &args).await?.expect_code(5)?;
    says(
        &output,
        &["not empty", "other.things", "Nothing was written", "hint: add --allow-non-empty"],
    )?;
    up.stop().await?;

    // The same directory is used for another replica set.
    let mut other = ReplicaSet::start(SetOptions::members(1)).await?;
    other.wait_for_primary(Duration::from_secs(60)).await?;
    let path = data.to_str().expect("a UTF-8 path");
    let output =
        run(&["up", "--uri", &other.uri(), "--data", path, "--listen", "127.0.0.1:0"]).await?;
    says(&output.expect_code(1)?, &["belongs to replica set", "another data directory", "--data"])
}

#[tokio::test]
async fn flags_and_files_are_checked() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("hindsight.toml");
    let path = file.to_str().expect("a UTF-8 path");
    for (text, word) in
        [("colour = 1", "unknown key"), ("codec = [", "hindsight.toml"), ("codec = 'gzip'", "gzip")]
    {
        std::fs::write(&file, text)?;
        let output = run(&["config", "check", "--uri", "mongodb://h/", "--config", path]).await?;
        says(&output.expect_code(2)?, &[word])?;
    }
    for text in ["uri = \"mongodb://me:s3cret@h/", "uri = mongodb://me:s3cret@h/"] {
        std::fs::write(&file, text)?;
        let output = run(&["config", "check", "--config", path]).await?.expect_code(2)?;
        says(&output, &["hindsight.toml", "line 1"])?;
        ensure!(!output.stderr.contains("s3cret"), "the password is shown: {}", output.stderr);
    }
    std::fs::write(&file, "uri = \"mongodb://me:s3cret@h/\"")?;
    let output = run(&["up", "--help", "--config", path]).await?.expect_success()?;
    ensure!(!output.stdout.contains("s3cret"), "the password is shown: {}", output.stdout);
    std::fs::write(&file, "codec = 'lz4'\nsegment-age-ms = 100")?;
    let output =
        run(&["config", "check", "--uri", "mongodb://me:s3cret@h/", "--config", path]).await?;
    let output = output.expect_success()?;
    ensure!(output.stdout.contains("codec = lz4  (file)"), "{}", output.stdout);
    ensure!(!output.stdout.contains("s3cret"), "the password is shown: {}", output.stdout);
    let empty = directory.path().to_str().expect("a UTF-8 path");
    let output = run(&["windows", "--data", empty]).await?.expect_code(1)?;
    says(&output, &["holds no Hindsight data", "hindsight up"])?;
    for args in [&["up"][..], &["restore", "--to", "mongodb://h/"], &["nonsense"]] {
        run(args).await?.expect_code(2)?;
    }
    Ok(())
}
