//! Tests that a full disk pauses capture and loses nothing, and that capture continues by itself
//! once there is space.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bson::{Document, doc};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions};

use crate::crash::compare_with_source;

pub(crate) const PAGE: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(60);

/// A small separate file system, which is removed when dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(crate) fn mount(at: &Path, megabytes: u32) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        let mut mount = Command::new("mount");
        let size = format!("size={megabytes}m");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at);
        let output = mount.output().context("cannot run mount")?;
        ensure!(
            output.status.success(),
            "a tmpfs cannot be mounted ({}). This test needs root and the right to mount",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(Self(at.to_owned()))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Fills the disk, except for `pages_left` pages.
    pub(crate) fn fill(&self, pages_left: usize) -> Result<()> {
        let mut file = File::create(self.ballast())?;
        let mut bytes: u64 = 0;
        while file.write_all(&[0; PAGE]).is_ok() {
            bytes += PAGE as u64;
        }
        let left = (pages_left * PAGE) as u64;
        ensure!(bytes > left, "the disk was full before");
        Ok(OpenOptions::new().write(true).open(self.ballast())?.set_len(bytes - left)?)
    }

    pub(crate) fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.ballast())?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_pauses_and_loses_nothing() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    let things = client.database("full").collection::<Document>("things");
    things.insert_one(doc! {"_id": -1}).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let disk = SmallDisk::mount(&data, 96)?;
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait"]).await?.expect_success()?;
    ensure!(up.page("/readyz").await?.0 == 200, "not ready before the disk is full");

    // The last pages may hold a segment but not what is derived from it.
    for pages_left in [0, 1, 2, 3, 5, 8, 64] {
        let context = || format!("{pages_left} pages left:\n{}", up.stderr());
        disk.fill(pages_left)?;
        write(&things, pages_left).await?;
        wait_until_told(&data).await.with_context(context)?;
        let (code, text) = up.page("/readyz").await?;
        ensure!(code == 503 && text.contains("No space left"), "/readyz says {code} {text}");
        disk.free()?;
        let waited = run_json(&data, &["wait", "--timeout", "60s"]).await?;
        waited.expect_success().with_context(context)?;
        let (code, text) = up.page("/readyz").await?;
        ensure!(code == 200, "there is space, and /readyz says {code} {text}");
    }
    let status = up.stop().await?;
    ensure!(status.success(), "up ended with {status}:\n{}", up.stderr());
    run_json(&data, &["verify", "--deep"]).await?.expect_success()?;
    let compared = compare_with_source(&client, &data).await?;
    println!("{compared} entries equal byte for byte");
    ensure!(compared > 200, "only {compared} entries");
    let last = run_json(&data, &["get", "full.things", "64000"]).await?;
    last.expect_success().map(drop)
}

/// Tests writes for which the log has room but the history does not: small updates of a large
/// document in a capped collection, whose versions are stored whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_history_without_space_waits_while_capture_goes_on() -> Result<()> {
    const UPDATES: i32 = 1_500;
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    client.database("full").create_collection("things").capped(true).size(1 << 20).await?;
    let things = client.database("full").collection::<Document>("things");
    things.insert_one(doc! {"_id": 0, "n": 0, "noise": noise(100_000)}).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let disk = SmallDisk::mount(&data, 512)?;
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait"]).await?.expect_success()?;

    disk.fill((24 << 20) / PAGE)?;
    for _ in 0..UPDATES {
        things.update_one(doc! {"_id": 0}, doc! {"$inc": {"n": 1}}).await?;
    }
    wait_until_told(&data).await.with_context(|| up.stderr())?;
    let (code, text) = up.page("/readyz").await?;
    ensure!(code == 200, "capture has the space it needs, and /readyz says {code} {text}");
    disk.free()?;
    let waited = run_json(&data, &["wait", "--timeout", "60s"]).await?;
    waited.expect_success().with_context(|| up.stderr())?;
    let get = run_json(&data, &["get", "full.things", "0"]).await?.expect_success()?;
    let document = get.json()?;
    let seen = document["n"]["$numberInt"].as_str().and_then(|n| n.parse().ok());
    ensure!(seen == Some(UPDATES), "not {UPDATES} updates: {}", document["n"]);
    let status = up.stop().await?;
    ensure!(status.success(), "up ended with {status}:\n{}", up.stderr());
    run_json(&data, &["verify", "--deep"]).await?.expect_success()?;
    compare_with_source(&client, &data).await.map(drop)
}

fn noise(length: usize) -> bson::Binary {
    let bytes = (0..length).map(|_| rand::random()).collect();
    bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes }
}

/// Writes about a megabyte that does not compress.
async fn write(things: &mongodb::Collection<Document>, stage: usize) -> Result<()> {
    for i in 0..40 {
        let id = i32::try_from(stage * 1000 + i)?;
        things.insert_one(doc! {"_id": id, "noise": noise(25_000)}).await?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn wait_until_told(data: &Path) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = run_json(data, &["status"]).await?.expect_success()?.json()?;
        let errors = status["errors"].as_array().context("no errors")?;
        let says = |error: &serde_json::Value| {
            error.as_str().is_some_and(|text| text.contains("No space left"))
        };
        if errors.iter().any(says) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("nothing says that the disk is full: {status}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
