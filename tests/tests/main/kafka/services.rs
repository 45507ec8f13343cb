//! Tests `tailer` and `replayer` as separate processes, joined only by the topic and the directory
//! of bases.

use std::path::{Path, PathBuf};

use bson::{Document, Timestamp, doc};
use hindsight_log::SharedLog;
use hindsight_tests::dbhash::{self, Snapshot};
use hindsight_tests::hindsight::{run, run_json};
use hindsight_tests::independent_reader;
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::workload::{self, WorkloadOptions};
use hindsight_tests::{HindsightProcess, ReplicaSet, RunOutput, SetOptions};

use super::*;
use crate::capture_checks::{restores_exactly, spelled};
use crate::crash::compare_with_source;

/// Brokers, a topic, a source, and a place for the files of services.
pub(super) struct Stage {
    pub(super) cluster: KafkaCluster,
    pub(super) set: ReplicaSet,
    pub(super) options: KafkaOptions,
    directory: tempfile::TempDir,
}

impl Stage {
    pub(super) async fn new(brokers: usize, set: SetOptions) -> Result<Self> {
        Self::with(KafkaClusterOptions::brokers(brokers), set).await
    }

    pub(super) async fn with(brokers: KafkaClusterOptions, set: SetOptions) -> Result<Self> {
        let replicas = brokers.brokers as u16;
        let cluster = KafkaCluster::start(brokers).await?;
        let mut set = ReplicaSet::start(set).await?;
        set.wait_for_primary(Duration::from_secs(60)).await?;
        let options = options(&cluster, replicas);
        Ok(Self { cluster, set, options, directory: tempfile::tempdir()? })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn log(&self) -> String {
        format!("kafka://{}/{}", self.options.bootstrap, self.options.topic)
    }

    /// Returns the arguments of every service on this stage.
    pub(super) fn args(&self, command: &str, more: &[&str]) -> Vec<String> {
        let (log, bases) = (self.log(), self.path("bases").display().to_string());
        let replicas = self.options.replicas.to_string();
        let all = [command, "--log", &log, "--bases", &bases, "--kafka-replicas", &replicas];
        all.iter().chain(more).map(|it| (*it).to_owned()).collect()
    }

    pub(super) async fn start(&self, name: &str, args: &[String]) -> Result<HindsightProcess> {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        HindsightProcess::start(&self.path(name), &args).await
    }

    pub(super) async fn tailer(&self, name: &str) -> Result<HindsightProcess> {
        self.start(name, &self.args("tailer", &["--uri", &self.set.uri()])).await
    }

    pub(super) async fn replayer(&self, name: &str) -> Result<HindsightProcess> {
        self.start(name, &self.args("replayer", &[])).await
    }

    /// Runs `hindsight log copy`.
    pub(super) async fn copy(&self, from: &str, to: &str) -> Result<RunOutput> {
        self.copy_with(from, to, &[]).await
    }

    async fn copy_with(&self, from: &str, to: &str, more: &[&str]) -> Result<RunOutput> {
        let replicas = self.options.replicas.to_string();
        let args = ["log", "copy", "--from", from, "--to", to, "--kafka-replicas", &replicas];
        run(&[&args[..], more].concat()).await
    }

    /// Copies the topic to files, and checks that every entry equals that of the source's oplog.
    /// Returns how many entries there are.
    pub(super) async fn topic_equals_source(&self, name: &str) -> Result<usize> {
        let data = self.path(name);
        let log = format!("file://{}", data.join("log").display());
        self.copy(&self.log(), &log).await?.expect_success()?;
        compare_with_source(&self.set.client().await?, &data).await
    }
}

/// Waits until the replayer has everything that the source took up to `at`.
pub(super) async fn wait_for(data: &Path, at: Timestamp) -> Result<()> {
    let wait = ["wait", "--for", &spelled(at), "--timeout", "120s"];
    run_json(data, &wait).await?.expect_success().map(drop)
}

async fn random_work(stage: &Stage, operations: usize) -> Result<(Timestamp, Snapshot)> {
    let client = stage.set.client().await?;
    let options = WorkloadOptions::new(20_261_121, operations);
    let mut end = None;
    workload::run(&client, &options, async |_| {
        let snapshot = dbhash::snapshot(&client).await?;
        end = Some((last_timestamp(&client).await?, snapshot));
        Ok(())
    })
    .await?;
    end.context("the end is a quiet point")
}

#[tokio::test(flavor = "multi_thread")]
async fn tailer_and_replayer_are_joined_by_the_topic_alone() -> Result<()> {
    let stage = Stage::new(1, SetOptions::members(1)).await?;
    let mut tailer = stage.tailer("tailer").await?;
    let mut replayer = stage.replayer("replayer").await?;
    let (at, snapshot) = random_work(&stage, 2_000).await?;
    let data = stage.path("replayer");
    wait_for(&data, at).await?;
    restores_exactly(&data, at, &snapshot).await.context("from the replayer")?;
    // A service that keeps no history says which service does.
    let refused = run_json(&stage.path("tailer"), &["get", "w0.a", "1"]).await?.expect_code(6)?;
    anyhow::ensure!(refused.stderr.contains("ask a replayer"), "{}", refused.stderr);
    let unknown = run_json(&data, &["wait"]).await?.expect_code(2)?;
    anyhow::ensure!(unknown.stderr.contains("--for"), "{}", unknown.stderr);
    run_json(&stage.path("tailer"), &["wait"]).await?.expect_success()?;

    // Everything derived is built again from the topic and the bases.
    anyhow::ensure!(replayer.stop().await?.success(), "{}", replayer.stderr());
    std::fs::remove_dir_all(data.join("index"))?;
    std::fs::remove_dir_all(data.join("history"))?;
    let mut replayer = stage.replayer("replayer").await?;
    wait_for(&data, at).await?;
    restores_exactly(&data, at, &snapshot).await.context("from a replayer that began again")?;
    anyhow::ensure!(replayer.stop().await?.success(), "{}", replayer.stderr());
    anyhow::ensure!(tailer.stop().await?.success(), "{}", tailer.stderr());

    // Without a running process, commands read the topic itself.
    let data = data.display().to_string();
    let offline = stage.args("verify", &["--deep", "--data", &data]);
    let offline: Vec<&str> = offline.iter().map(String::as_str).collect();
    let verified = run(&offline).await?.expect_success()?;
    anyhow::ensure!(verified.stdout.contains("1 bases"), "{}", verified.stdout);
    let nowhere = run(&["windows", "--data", &data]).await?.expect_code(1)?;
    anyhow::ensure!(nowhere.stderr.contains("--log"), "{}", nowhere.stderr);

    copies_are_the_same(&stage).await?;
    others_read_the_same(&stage).await
}

/// Checks that programs that share no code with ours read the same entries.
async fn others_read_the_same(stage: &Stage) -> Result<()> {
    let server = format!("mongodb://{}/", stage.set.server(0).address());
    let KafkaOptions { bootstrap, topic, .. } = &stage.options;
    let said = independent_reader::compare(bootstrap, topic, &server).await?;
    let reader = KafkaLog::open_reader(stage.options.clone()).await?;
    let infos = reader.infos(Sequence::FIRST, usize::MAX).await?;
    let (first, last) = infos.first().zip(infos.last()).context("the log has segments")?;
    let entries: u64 = infos.iter().map(|info| info.seal.entries).sum();
    let json = |at: hindsight_oplog::Timestamp| serde_json::json!({"t": at.seconds(), "i": at.increment()});
    anyhow::ensure!(said["entries"] == entries, "{entries} entries, and others see {said}");
    anyhow::ensure!(said["segments"] == infos.len(), "{} segments: {said}", infos.len());
    anyhow::ensure!(said["first"] == json(first.first().ts), "{}: {said}", first.first());
    anyhow::ensure!(said["last"] == json(last.last().ts), "{}: {said}", last.last());
    anyhow::ensure!(said["digest"] == last.digest.to_string(), "{}: {said}", last.digest);
    Ok(())
}

/// Copies the topic to files, and the files to another topic: segments do not change, and a copy
/// continues where it stopped.
async fn copies_are_the_same(stage: &Stage) -> Result<()> {
    let compared = stage.topic_equals_source("copied").await?;
    println!("{compared} entries of the topic equal the source");
    let files = format!("file://{}", stage.path("copied").join("log").display());
    let again = stage.copy(&stage.log(), &files).await?.expect_success()?;
    anyhow::ensure!(again.stdout.contains("copied 0 segments"), "{}", again.stdout);
    let other = options(&stage.cluster, 1);
    let url = format!("kafka://{}/{}", other.bootstrap, other.topic);
    stage.copy(&files, &url).await?.expect_success()?;
    let end = KafkaLog::open_reader(stage.options.clone()).await?.end().await?;
    let copied = KafkaLog::open_reader(other).await?.end().await?;
    anyhow::ensure!(copied.is_some() && copied == end, "{copied:?} is not {end:?}");
    Ok(())
}

/// Tests `up` on a topic: everything is in one process, which recovers by itself after a kill.
#[tokio::test(flavor = "multi_thread")]
async fn up_works_on_a_topic() -> Result<()> {
    let stage = Stage::new(1, SetOptions::members(1)).await?;
    let args = stage.args("up", &["--uri", &stage.set.uri()]);
    let mut up = stage.start("data", &args).await?;
    let (at, snapshot) = random_work(&stage, 500).await?;
    wait_for(&stage.path("data"), at).await?;
    up.kill()?;
    let started = std::time::Instant::now();
    let mut up = stage.start("data", &args).await?;
    let (_, later) = random_work(&stage, 500).await?;
    run_json(&stage.path("data"), &["wait"]).await?.expect_success()?;
    println!("captured again after {:?}", started.elapsed());
    restores_exactly(&stage.path("data"), at, &snapshot).await?;
    let now = last_timestamp(&stage.set.client().await?).await?;
    restores_exactly(&stage.path("data"), now, &later).await?;
    anyhow::ensure!(up.stop().await?.success(), "{}", up.stderr());
    stage.topic_equals_source("copied").await.map(drop)
}

/// Waits until the log announces a base, so that everything written from now on lies in its window.
pub(super) async fn wait_for_base(stage: &Stage) -> Result<()> {
    let started = std::time::Instant::now();
    let reader = KafkaLog::open_reader(stage.options.clone()).await?;
    while reader.announced().await?.is_empty() {
        anyhow::ensure!(started.elapsed() < Duration::from_secs(60), "no base is announced");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// When the replica set is lost, a copy of its log and its bases are enough, even a copy by way of
/// files.
#[tokio::test(flavor = "multi_thread")]
async fn a_copied_topic_knows_its_bases() -> Result<()> {
    let mut stage = Stage::new(1, SetOptions::members(1)).await?;
    let mut tailer = stage.tailer("tailer").await?;
    wait_for_base(&stage).await?;
    let client = stage.set.client().await?;
    client.database("kept").collection::<Document>("things").insert_one(doc! {"_id": 7}).await?;
    let (at, snapshot) = random_work(&stage, 500).await?;
    crate::capture_checks::wait_durable(&stage.path("tailer"), at, Duration::from_secs(30)).await?;
    anyhow::ensure!(tailer.stop().await?.success(), "{}", tailer.stderr());

    let bases = stage.path("bases").display().to_string();
    let files = format!("file://{}", stage.path("files").display());
    let topic = |name: &str| format!("kafka://{}/{name}", stage.options.bootstrap);
    let (other, third) = (topic("hindsight.other"), topic("hindsight.third"));
    for announced in ["1 bases announced", "0 bases announced"] {
        let copied = stage.copy(&stage.log(), &other).await?.expect_success()?;
        anyhow::ensure!(copied.stdout.contains(announced), "{}", copied.stdout);
    }
    stage.copy(&stage.log(), &files).await?.expect_success()?;
    let silent = stage.copy(&files, &third).await?.expect_success()?;
    anyhow::ensure!(silent.stderr.contains("--bases"), "{}", silent.stderr);
    let named = stage.copy_with(&files, &third, &["--bases", &bases]).await?.expect_success()?;
    anyhow::ensure!(named.stdout.contains("1 bases announced"), "{}", named.stdout);

    stage.set.kill_member(0)?;
    for (name, log) in [("other", &other), ("third", &third)] {
        let args = ["replayer", "--log", log, "--bases", &bases, "--kafka-replicas", "1"];
        let args = args.map(str::to_owned);
        let mut replayer = stage.start(name, &args).await?;
        let data = stage.path(name);
        wait_for(&data, at).await?;
        let scan = ["scan", "kept.things", "--at", &spelled(at)];
        let scanned = run_json(&data, &scan).await?.expect_success()?;
        anyhow::ensure!(scanned.stdout.contains("\"7\""), "{}", scanned.stdout);
        restores_exactly(&data, at, &snapshot).await.context(name)?;
        anyhow::ensure!(replayer.stop().await?.success(), "{}", replayer.stderr());
    }
    Ok(())
}
