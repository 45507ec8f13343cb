//! Tests bases that go away and come back, under a history that runs and under a history that
//! starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bson::{Document, doc};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(45);
const MANIFEST: &str = "manifest.json";

/// A data directory with a base and documents after it, with a place where the base can be put
/// aside.
struct Held {
    directory: tempfile::TempDir,
    base: PathBuf,
}

impl Held {
    async fn make() -> Result<Self> {
        let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
        set.wait_for_primary(Duration::from_secs(60)).await?;
        let directory = tempfile::tempdir()?;
        let data = directory.path().join("data");
        let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
        let things = set.client().await?.database("shop").collection::<Document>("things");
        things.insert_many((0..100).map(|i| doc! {"_id": i})).await?;
        run_json(&data, &["wait"]).await?.expect_success()?;
        let ended = up.stop().await?;
        ensure!(ended.success(), "up ended with {ended}");
        let mut bases = fs::read_dir(data.join("base"))?;
        let base = bases.next().context("no base was copied")??.path();
        // This file keeps the directory from being empty, because an empty directory may not be
        // mounted.
        fs::write(data.join("base").join("README"), "bases of rs\n")?;
        Ok(Self { directory, base })
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn aside(&self) -> PathBuf {
        self.directory.path().join("aside")
    }

    fn take_away(&self) -> Result<()> {
        Ok(fs::rename(&self.base, self.aside())?)
    }

    /// Puts back all files of the base except its manifest, as in the middle of a copy.
    fn put_back_all_but_the_manifest(&self) -> Result<()> {
        fs::create_dir(&self.base)?;
        for file in fs::read_dir(self.aside())? {
            let name = file?.file_name();
            if name != MANIFEST {
                fs::copy(self.aside().join(&name), self.base.join(&name))?;
            }
        }
        Ok(())
    }
}

async fn windows(data: &Path) -> Result<Value> {
    let answer = run_json(data, &["windows"]).await?.expect_success()?.json()?;
    Ok(answer["windows"].clone())
}

async fn wait_for_windows(data: &Path, wanted: &Value) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = windows(data).await?;
        if now == *wanted {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the windows are not {wanted} after {PATIENCE:?}: {now}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn wait_for_readyz(process: &HindsightProcess, code: u16, words: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (now, text) = process.page("/readyz").await?;
        if now == code && text.contains(words) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "/readyz says {now} {text}, not {code} {words}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_goes_away_takes_its_window_along_and_brings_it_back() -> Result<()> {
    let held = Held::make().await?;
    let data = held.data();
    let mut replayer = HindsightProcess::start(&data, &["replayer"]).await?;
    let whole = windows(&data).await?;
    ensure!(whole.as_array().is_some_and(|windows| windows.len() == 1), "one window: {whole}");

    held.take_away()?;
    wait_for_windows(&data, &json!([])).await.with_context(|| replayer.stderr())?;
    fs::rename(held.aside(), &held.base)?;
    wait_for_windows(&data, &whole).await.with_context(|| replayer.stderr())?;
    ensure!(replayer.stop().await?.success(), "{}", replayer.stderr());

    // A history whose base is missing at the start stops and says so. It continues once the whole
    // base is back.
    held.take_away()?;
    let mut replayer = HindsightProcess::start(&data, &["replayer"]).await?;
    wait_for_readyz(&replayer, 503, "Put it back").await?;
    held.put_back_all_but_the_manifest()?;
    // The process looks at the files meanwhile, and they are not a base yet.
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(windows(&data).await? == json!([]), "half a base has a window");
    fs::copy(held.aside().join(MANIFEST), held.base.join(MANIFEST))?;
    wait_for_windows(&data, &whole).await.with_context(|| replayer.stderr())?;
    wait_for_readyz(&replayer, 200, "ok").await?;
    run_json(&data, &["get", "shop.things", "7"]).await?.expect_success()?;
    ensure!(replayer.stop().await?.success(), "{}", replayer.stderr());
    Ok(())
}
