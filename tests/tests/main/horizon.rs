//! Tests that a history that is kept for a while forgets what is older, says so, and shows
//! everything else as the source was.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::{Document, Timestamp, doc};
use hindsight_tests::dbhash::{self, Snapshot};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions};
use tempfile::TempDir;

use crate::capture_checks::{restores_exactly, spelled, timestamp};

const PATIENCE: Duration = Duration::from_secs(120);
/// Longer than the history is kept (10 s).
const WRITING: Duration = Duration::from_secs(18);

const KEEP: [&str; 2] = ["--keep-history", "10s"];

/// A time, the document with `_id` 1 at that time, and everything else.
struct Point {
    at: Timestamp,
    n: i32,
    everything: Snapshot,
}

/// Changes one document again and again, and adds, removes and drops others, for a while.
async fn write(client: &mongodb::Client, long: Duration) -> Result<Vec<Point>> {
    let things = client.database("kept").collection::<Document>("things");
    things.insert_one(doc! {"_id": 1, "n": 0, "body": "b".repeat(1000)}).await?;
    let (begun, mut n, mut points) = (Instant::now(), 0, Vec::new());
    while begun.elapsed() < long {
        n += 1;
        things.update_one(doc! {"_id": 1}, doc! {"$set": {"n": n}}).await?;
        things.insert_one(doc! {"_id": 1000 + n, "n": n}).await?;
        if n % 3 == 0 {
            things.delete_one(doc! {"_id": 1000 + n - 2}).await?;
        }
        let brief = client.database("kept").collection::<Document>(&format!("brief{}", n / 20));
        match n % 20 {
            19 => brief.drop().await?,
            _ => drop(brief.insert_one(doc! {"_id": n}).await?),
        }
        if n % 10 == 0 {
            let (at, everything) = (last_timestamp(client).await?, dbhash::snapshot(client).await?);
            points.push(Point { at, n, everything });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(points)
}

/// Starts a source of one member. Returns it with a client of it, and with a data directory.
async fn begin() -> Result<(ReplicaSet, mongodb::Client, TempDir)> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    Ok((set, client, tempfile::tempdir()?))
}

async fn wait_until_restorable(data: &Path) -> Result<()> {
    run_json(data, &["wait", "--timeout", "60s"]).await?.expect_success().map(drop)
}

/// Writes for a while, during which the process lives for `life()` at a time and is killed. Calls
/// `killed` after each kill. Returns with a process that runs.
async fn write_among_kills(
    (set, client): (&ReplicaSet, &mongodb::Client),
    (data, args): (&Path, &[&str]),
    long: Duration,
    life: impl Fn() -> Duration,
    mut killed: impl FnMut() -> Result<()>,
) -> Result<(HindsightProcess, Vec<Point>)> {
    let client = client.clone();
    let writing = tokio::spawn(async move { write(&client, long).await });
    while !writing.is_finished() {
        let mut up = HindsightProcess::up(&set.uri(), data, args).await?;
        tokio::time::sleep(life()).await;
        up.kill()?;
        killed()?;
    }
    let points = writing.await??;
    let up = HindsightProcess::up(&set.uri(), data, args).await?;
    wait_until_restorable(data).await?;
    Ok((up, points))
}

pub(crate) async fn oldest(data: &Path) -> Result<Timestamp> {
    let windows = run_json(data, &["windows"]).await?.expect_success()?.json()?;
    timestamp(&windows["windows"][0]["from"]).with_context(|| format!("{windows}"))
}

/// Waits until the history has forgotten this time.
async fn wait_until_forgotten(data: &Path, at: Timestamp) -> Result<()> {
    let begun = Instant::now();
    while oldest(data).await? <= at {
        ensure!(begun.elapsed() < PATIENCE, "{at} is still kept");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Checks that this time is refused, with the oldest time that is kept, by every command that takes
/// a time.
pub(crate) async fn is_refused(data: &Path, at: Timestamp) -> Result<()> {
    let (at, oldest) = (spelled(at), spelled(oldest(data).await?));
    let nowhere = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1000";
    let commands: [&[&str]; 4] = [
        &["get", "kept.things", "1", "--at", &at],
        &["scan", "kept.things", "--at", &at],
        &["diff", "kept.things", "--from", &at, "--to", "latest"],
        &["restore", "--until", &at, "--to", nowhere, "--dry-run"],
    ];
    for command in commands {
        let refused = run_json(data, command).await?.expect_code(3)?;
        for part in ["is older than what is kept", &oldest] {
            ensure!(refused.stderr.contains(part), "{command:?}: {}", refused.stderr);
        }
    }
    Ok(())
}

/// Checks what each time shows: the document and everything else from the horizon on, and nothing
/// before.
async fn only_what_is_kept_is_shown(data: &Path, points: &[Point]) -> Result<()> {
    let oldest = oldest(data).await?;
    let (forgotten, kept): (Vec<_>, Vec<_>) = points.iter().partition(|point| point.at < oldest);
    ensure!(!forgotten.is_empty() && kept.len() > 5, "{} and {}", forgotten.len(), kept.len());
    for point in [forgotten[0], forgotten[forgotten.len() - 1]] {
        is_refused(data, point.at).await?;
    }
    for point in &kept {
        let get = ["get", "kept.things", "1", "--at", &spelled(point.at)];
        let got = run_json(data, &get).await?.expect_success()?.json()?;
        let n = &got["n"]["$numberInt"];
        ensure!(n.as_str() == Some(&*point.n.to_string()), "{got}");
    }
    for point in [kept[0], kept[kept.len() - 1]] {
        restores_exactly(data, point.at, &point.everything).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_the_horizon_is_refused_and_everything_else_is_exact() -> Result<()> {
    let (set, client, directory) = begin().await?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &KEEP).await?;
    let points = write(&client, WRITING).await?;
    wait_until_restorable(&data).await?;
    wait_until_forgotten(&data, points[0].at).await?;
    is_refused(&data, points[0].at).await?;
    let history = run_json(&data, &["history", "kept.things", "1"]).await?.expect_success()?;
    ensure!(history.stderr.contains("are no longer kept"), "{}", history.stderr);

    ensure!(up.stop().await?.success(), "{}", up.stderr());
    only_what_is_kept_is_shown(&data, &points).await?;
    // The log still holds everything, and with it the history can be built again.
    std::fs::remove_dir_all(data.join("history"))?;
    ensure!(oldest(&data).await? < points[0].at, "the log was cut");
    restores_exactly(&data, points[0].at, &points[0].everything).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_forgets_is_killed_again_and_again() -> Result<()> {
    let (set, client, directory) = begin().await?;
    let data = directory.path().join("data");
    let (process, life) = ((&*data, &KEEP[..]), || Duration::from_millis(2500));
    let (mut up, points) =
        write_among_kills((&set, &client), process, WRITING, life, || Ok(())).await?;
    wait_until_forgotten(&data, points[0].at).await?;
    ensure!(up.stop().await?.success(), "{}", up.stderr());
    only_what_is_kept_is_shown(&data, &points).await
}

const SHORT_LOG: [&str; 4] = ["--keep-log", "10s", "--base-every", "10s"];
/// Several times as long as the log is kept.
const LONG_WRITING: Duration = Duration::from_secs(45);

/// The names of the bases, and those of the segment files, in order.
fn held(data: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let names = |directory: &Path| -> Result<Vec<String>> {
        let entries = std::fs::read_dir(directory)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    let mut bases = names(&data.join("base"))?;
    bases.retain(|name| !name.ends_with(".partial"));
    bases.sort();
    let mut segments = names(&data.join("log"))?;
    segments.retain(|name| name.starts_with('0'));
    segments.sort();
    Ok((bases, segments))
}

/// Waits until a base of the first seconds is gone.
async fn wait_until_removed(data: &Path, base: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let (bases, _) = held(data)?;
        if !bases.iter().any(|name| name == base) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "{base} is still there: {bases:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

pub(crate) async fn is_sound(data: &Path) -> Result<()> {
    let verified = run_json(data, &["verify", "--deep"]).await?.expect_success()?.json()?;
    ensure!(verified["sound"] == true, "{verified}");
    Ok(())
}

/// Checks that everything is shown from the history, and what the log cannot tell is said.
async fn the_history_shows_what_the_log_no_longer_holds(
    data: &Path,
    points: &[Point],
) -> Result<()> {
    let (first, last) = (&points[0], &points[points.len() - 1]);
    ensure!(oldest(data).await? < first.at, "the history was cut");
    for point in [first, &points[points.len() / 2], last] {
        restores_exactly(data, point.at, &point.everything).await?;
    }
    // Only the log knows which documents were written, and it no longer holds all of them.
    let (from, to) = (spelled(first.at), spelled(last.at));
    let diff = ["diff", "kept.things", "--from", &from, "--to", &to];
    let differences = run_json(data, &diff).await?.expect_success()?.stdout;
    let written_first = format!("{}", 1000 + first.n + 1);
    ensure!(differences.contains(&written_first), "{written_first} is not in {differences}");
    let found = run_json(data, &["find", "--ns", "kept.things", "--limit", "5"]).await?;
    let found = found.expect_success()?;
    ensure!(found.stderr.contains("the log begins at"), "{}", found.stderr);
    let resolved = run_json(data, &["resolve", &from]).await?.expect_success()?.json()?;
    ensure!(resolved["first_excluded"].is_null(), "{resolved}");
    is_sound(data).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_kept_for_a_while_is_cut_behind_a_renewed_base() -> Result<()> {
    let (set, client, directory) = begin().await?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &SHORT_LOG).await?;
    wait_until_restorable(&data).await?;
    let (mut bases, first_segments) = held(&data)?;
    let first_base = bases.remove(0);
    let points = write(&client, LONG_WRITING).await?;
    wait_until_removed(&data, &first_base).await?;
    wait_until_restorable(&data).await?;
    the_history_shows_what_the_log_no_longer_holds(&data, &points).await?;
    ensure!(up.stop().await?.success(), "{}", up.stderr());
    let (bases, segments) = held(&data)?;
    for base in &bases {
        let manifest = std::fs::read_to_string(data.join("base").join(base).join("manifest.json"))?;
        ensure!(manifest.contains(r#""kind": "history""#), "{base} was copied: {manifest}");
    }
    ensure!(bases.len() <= 4 && first_segments[0] < segments[0], "{bases:?}, {segments:?}");
    the_history_shows_what_the_log_no_longer_holds(&data, &points).await?;

    // Without the history, the renewed bases and the rest of the log show what the log was kept
    // for.
    std::fs::remove_dir_all(data.join("history"))?;
    std::fs::remove_dir_all(data.join("index"))?;
    let last = &points[points.len() - 1];
    restores_exactly(&data, last.at, &last.everything).await?;
    is_refused(&data, points[0].at).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_cuts_its_log_is_killed_again_and_again() -> Result<()> {
    let (set, client, directory) = begin().await?;
    let data = directory.path().join("data");
    let mut first_base = None;
    let note = || {
        if first_base.is_none() {
            first_base = held(&data)?.0.into_iter().next();
        }
        Ok(())
    };
    let life = || Duration::from_millis(1500 + rand::random::<u64>() % 4000);
    let process = (&*data, &SHORT_LOG[..]);
    let (mut up, points) =
        write_among_kills((&set, &client), process, LONG_WRITING, life, note).await?;
    wait_until_removed(&data, &first_base.context("a base")?).await?;
    ensure!(up.stop().await?.success(), "{}", up.stderr());
    the_history_shows_what_the_log_no_longer_holds(&data, &points).await
}
