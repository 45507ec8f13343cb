//! A steady load on a source whose history and log are kept for a while: disk use settles, windows
//! move, and every time inside them is restored as the source was.
//!
//! `HINDSIGHT_TEST_SOAK_MINUTES` says how long, 60 by default. History and log are kept for a sixth
//! of that.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::{Document, Timestamp, doc};
use hindsight_tests::dbhash::{self, Snapshot};
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions};
use rand::seq::IndexedRandom;

use crate::capture_checks::{restores_exactly, spelled};
use crate::horizon::{is_refused, is_sound, oldest};

/// Writes of one round: 120 documents inserted, 60 updated, the 120 oldest removed.
const ROUND: i64 = 300;
const ROUND_TIME: Duration = Duration::from_millis(60);
/// Documents that are there at any time.
const LIVE: i64 = 60_000;
const RESTORES: usize = 30;
/// By how much disk use may differ from its mean.
const LEVEL: f64 = 0.10;

struct Point {
    at: Timestamp,
    everything: Snapshot,
}

/// Writes [`ROUND`] operations every [`ROUND_TIME`].
struct Load {
    database: mongodb::Database,
    next: i64,
}

impl Load {
    async fn begin(client: &mongodb::Client) -> Result<Self> {
        let mut load = Load { database: client.database("kept"), next: 0 };
        while load.next < LIVE {
            load.insert(1000).await?;
        }
        Ok(load)
    }

    async fn insert(&mut self, count: i64) -> Result<()> {
        let document = |id: i64| {
            let noise: String = (0..8).map(|_| format!("{:016x}", rand::random::<u64>())).collect();
            doc! {"_id": id, "n": id % 1000, "state": "open", "noise": noise,
            "note": "as agreed ".repeat(12)}
        };
        let documents: Vec<Document> = (self.next..self.next + count).map(document).collect();
        self.next += count;
        self.run(doc! {"insert": "things", "documents": documents}).await
    }

    async fn round(&mut self) -> Result<()> {
        self.insert(120).await?;
        let update = |_| {
            let id = self.next - 1 - rand::random_range(0..LIVE - 1000);
            doc! {"q": {"_id": id}, "u": {"$inc": {"n": 1}, "$set": {"state": "shipped"}}}
        };
        let updates: Vec<Document> = (0..60).map(update).collect();
        self.run(doc! {"update": "things", "updates": updates}).await?;
        let oldest = self.next - LIVE;
        let deletes: Vec<Document> =
            (oldest - 120..oldest).map(|id| doc! {"q": {"_id": id}, "limit": 1}).collect();
        self.run(doc! {"delete": "things", "deletes": deletes}).await
    }

    async fn run(&self, command: Document) -> Result<()> {
        let answer = self.database.run_command(command).await?;
        ensure!(answer.get("writeErrors").is_none(), "{answer}");
        Ok(())
    }

    /// Writes for a while, at the steady rate.
    async fn go_on(&mut self, long: Duration) -> Result<()> {
        let (begun, mut rounds) = (Instant::now(), 0);
        while begun.elapsed() < long {
            self.round().await?;
            rounds += 1;
            tokio::time::sleep_until((begun + ROUND_TIME * rounds).into()).await;
        }
        let rate = i64::from(rounds) * ROUND * 1000 / begun.elapsed().as_millis() as i64;
        ensure!(rate >= 4_000, "the source takes only {rate} writes/s");
        Ok(())
    }
}

fn disk_bytes(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // Files come and go.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += match metadata.is_dir() {
            true => disk_bytes(&entry.path()).unwrap_or_default(),
            false => metadata.len(),
        };
    }
    Ok(bytes)
}

/// Checks that every amount is within [`LEVEL`] of their mean.
fn is_level(amounts: &[u64]) -> Result<()> {
    let mean = amounts.iter().sum::<u64>() as f64 / amounts.len() as f64;
    let far = |bytes: &&u64| (**bytes as f64 - mean).abs() > mean * LEVEL;
    let outside = amounts.iter().filter(far).count();
    println!("disk use: mean {mean:.0} bytes of {} looks, {outside} outside", amounts.len());
    ensure!(outside == 0, "disk use is not level: {amounts:?}");
    Ok(())
}

/// What the test holds, and what it has seen.
struct Soak {
    long: Duration,
    client: mongodb::Client,
    data: PathBuf,
    load: Load,
    begun: Instant,
    points: Vec<Point>,
    /// Disk use, once a moment in the second half.
    disk: Vec<u64>,
    restores: usize,
    first_window: Option<Timestamp>,
}

impl Soak {
    /// Writes for a moment, and notes what the source holds.
    async fn write(&mut self) -> Result<()> {
        self.load.go_on(self.long / 120).await?;
        let at = last_timestamp(&self.client).await?;
        self.points.push(Point { at, everything: dbhash::snapshot(&self.client).await? });
        Ok(())
    }

    /// Looks at disk and window, and restores if it is time to.
    async fn look(&mut self) -> Result<()> {
        self.disk.push(disk_bytes(&self.data)?);
        let oldest = oldest(&self.data).await?;
        let first = *self.first_window.get_or_insert(oldest);
        ensure!(oldest >= first, "the window moves back to {oldest}");
        let half = self.long / 2;
        let due = RESTORES as f64 * (self.begun.elapsed() - half).div_duration_f64(half);
        if self.restores as f64 <= due {
            self.restore(oldest).await?;
        }
        let kept = self.long.as_secs() as u32 / 4;
        self.points.retain(|point| point.at.time + kept > oldest.time);
        Ok(())
    }

    /// Restores a random time, while the source is written to.
    async fn restore(&mut self, oldest: Timestamp) -> Result<()> {
        // Not the newest, which may not be applied yet, nor the oldest, which may go meanwhile.
        let from = oldest.time + self.long.as_secs() as u32 / 60;
        let inside: Vec<&Point> = self.points.iter().filter(|it| it.at.time > from).collect();
        let point = inside[..inside.len() - 1].choose(&mut rand::rng()).context("a time inside")?;
        let restore = restores_exactly(&self.data, point.at, &point.everything);
        let (wrote, restored) = tokio::join!(self.load.go_on(Duration::from_secs(5)), restore);
        restored.with_context(|| format!("restore {}", self.restores))?;
        self.restores += 1;
        wrote
    }
}

fn minutes() -> u32 {
    let wanted = std::env::var("HINDSIGHT_TEST_SOAK_MINUTES").ok();
    wanted.and_then(|it| it.parse().ok()).unwrap_or(60)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes an hour: make soak"]
async fn disk_use_settles_windows_move_and_every_time_inside_is_exact() -> Result<()> {
    let minute = Duration::from_secs(60);
    let long = minute * minutes();
    let mut set = ReplicaSet::start(SetOptions::members(1).mongod(|it| it.oplog_mb(4096))).await?;
    set.wait_for_primary(minute).await?;
    let client = set.client().await?;
    let directory = tempfile::tempdir()?;
    let load = Load::begin(&client).await?;
    let data = directory.path().join("data");
    let [keep, every] = [6, 12].map(|part| format!("{}s", long.as_secs() / part));
    let args = ["--keep-history", &keep, "--keep-log", &keep, "--base-every", &every];
    let mut up = HindsightProcess::up(&set.uri(), &data, &args).await?;

    let (begun, points, disk) = (Instant::now(), Vec::new(), Vec::new());
    let (restores, first_window) = (0, None);
    let mut soak = Soak { long, client, data, load, begun, points, disk, restores, first_window };
    let mut resident = Vec::new();
    while begun.elapsed() < long {
        soak.write().await?;
        resident.push(up.resident_bytes()? >> 20);
        if begun.elapsed() > long / 2 {
            soak.look().await?;
        }
    }
    println!("{} restores; memory {resident:?} MiB", soak.restores);
    let end = oldest(&soak.data).await?;
    ensure!(Some(end) > soak.first_window, "the window did not move from {}", spelled(end));
    ensure!(soak.restores >= RESTORES - 2, "only {} restores", soak.restores);
    is_level(&soak.disk)?;
    is_refused(&soak.data, Timestamp { time: end.time - 60, ..end }).await?;
    ensure!(up.stop().await?.success(), "{}", up.stderr());
    is_sound(&soak.data).await
}
