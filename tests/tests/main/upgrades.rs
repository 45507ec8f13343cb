//! Tests a source that is upgraded in place from one major version to the next, with its feature
//! compatibility version raised, lowered and raised again. One data directory follows all of this,
//! and every time before and after an upgrade restores to what was there then.
//!
//! Every point is compared with what our own history says. A few points are really restored, into a
//! server of the version that the source had.

mod held;
mod rounds;
mod servers_own;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::{Document, Timestamp, doc};
use hindsight_oplog::{FeatureVersion, Series};
use hindsight_tests::dbhash::{self, Snapshot};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::replica_set::{last_timestamp, set_feature_version};
use hindsight_tests::{HindsightProcess, Mongod, MongodOptions, ReplicaSet, SetOptions};
use mongodb::Client;

use crate::capture_checks::{spelled, wait_durable};
use held::Held;
use rounds::{Abilities, DATABASE, Rounds};

/// The number of restore points for one server version at one feature compatibility version.
const POINTS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(120);

/// The server's version, and its feature compatibility version.
type Stage = (&'static str, &'static str);

/// A server starts at the feature compatibility version of its predecessor, which is then raised,
/// lowered once, and raised again.
const WHOLE_WAY: [Stage; 13] = [
    ("4.4.2", "4.4"),
    ("5.0.4", "4.4"),
    ("5.0.4", "5.0"),
    ("5.0.4", "4.4"),
    ("5.0.4", "5.0"),
    ("6.0.27", "5.0"),
    ("6.0.27", "6.0"),
    ("6.0.27", "5.0"),
    ("6.0.27", "6.0"),
    ("7.0.28", "6.0"),
    ("7.0.28", "7.0"),
    ("7.0.28", "6.0"),
    ("7.0.28", "7.0"),
];

const ONE_STEP: [Stage; 5] =
    [("5.0.4", "5.0"), ("6.0.27", "5.0"), ("6.0.27", "6.0"), ("6.0.27", "5.0"), ("6.0.27", "6.0")];

/// A moment at which nothing was being written.
struct Point {
    at: Timestamp,
    stage: Stage,
    held: Held,
    /// The snapshot, for the last point of a stage.
    snapshot: Option<Snapshot>,
}

/// A time at which the feature compatibility version was being changed.
struct Change {
    /// When the change began.
    at: Timestamp,
    /// The server's version.
    version: &'static str,
    /// The lower of the two feature compatibility versions.
    feature_version: &'static str,
    /// What the source held until then.
    held: Held,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_goes_on_through_an_upgrade() -> Result<()> {
    follow_through(&ONE_STEP).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and four servers: make test-matrix runs it"]
async fn a_window_goes_on_from_4_4_to_7_0() -> Result<()> {
    follow_through(&WHOLE_WAY).await
}

async fn follow_through(stages: &[Stage]) -> Result<()> {
    ensure!(
        std::env::var_os("HINDSIGHT_MONGOD").is_none(),
        "HINDSIGHT_MONGOD names one server for all versions; this test needs several: unset it"
    );
    let (first, _) = stages[0];
    let mut source =
        ReplicaSet::start(SetOptions::members(1).mongod(|it| it.version(first))).await?;
    let client = source.client().await?;
    let mut rounds = Rounds::begin(client.clone()).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&source.uri(), &data, &[]).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;

    let mut story = Story { client, points: Vec::new(), changes: Vec::new() };
    let lived = live(&mut source, &mut rounds, &mut story, &data, stages).await;
    lived.with_context(|| format!("messages of up:\n{}", up.stderr()))?;
    let restored = restore_some(&data, &story).await;
    let ended = up.stop().await?;
    compare_all(&data, &story)?;
    restored?;
    ensure!(ended.success(), "up ended with {ended}");
    Ok(())
}

struct Story {
    client: Client,
    points: Vec<Point>,
    changes: Vec<Change>,
}

async fn live(
    source: &mut ReplicaSet,
    rounds: &mut Rounds,
    story: &mut Story,
    data: &Path,
    stages: &[Stage],
) -> Result<()> {
    let mut before = stages[0];
    for &stage in stages {
        let began = Instant::now();
        let (version, feature_version) = stage;
        if version != before.0 {
            source.change_version(0, version).await.with_context(|| format!("to {version}"))?;
            story.client = source.client().await?;
            rounds.reconnected(story.client.clone());
        }
        if feature_version != before.1 {
            change_feature_version(rounds, story, before, stage).await?;
        }
        let at_least = |wanted: &str| feature_version >= wanted;
        let can = Abilities { timeseries: at_least("5.0"), pre_images: at_least("6.0") };
        if can.timeseries {
            rounds.add_series().await?;
        }
        for number in 1..=POINTS {
            rounds.next(can).await.with_context(|| format!("{stage:?}, round {number}"))?;
            let held = held::of_source(&story.client, DATABASE).await?;
            let snapshot = match number {
                POINTS => Some(dbhash::snapshot(&story.client).await?),
                _ => None,
            };
            let at = last_timestamp(&story.client).await?;
            story.points.push(Point { at, stage, held, snapshot });
        }
        wait_durable(data, last_timestamp(&story.client).await?, PATIENCE).await?;
        run_json(data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
        println!("{stage:?} took {:.1?}", began.elapsed());
        before = stage;
    }
    Ok(())
}

async fn change_feature_version(
    rounds: &mut Rounds,
    story: &mut Story,
    (_, before): Stage,
    (version, after): Stage,
) -> Result<()> {
    if after < "5.0" {
        rounds.drop_series().await?;
    }
    let held = held::of_source(&story.client, DATABASE).await?;
    let last = last_timestamp(&story.client).await?;
    let changed = set_feature_version(&story.client, after).await;
    changed.with_context(|| format!("{version} from {before} to {after}"))?;
    let oplog = story.client.database("local").collection::<Document>("oplog.rs");
    let first = doc! {"ts": {"$gt": last}, "op": "u", "ns": "admin.system.version"};
    let first = oplog.find_one(first).sort(doc! {"$natural": 1}).await?;
    let at = first.context("a change of the feature version is logged")?.get_timestamp("ts")?;
    let feature_version = before.min(after);
    story.changes.push(Change { at, version, feature_version, held });
    Ok(())
}

/// Compares every point, and the beginning of every change of the feature compatibility version.
fn compare_all(data: &Path, story: &Story) -> Result<()> {
    let history = held::history(data)?;
    let mut differences = Vec::new();
    for point in &story.points {
        let compared = held::compare(&history, point.at, DATABASE, &point.held);
        let told = held::feature_version(&history, point.at)?;
        ensure!(told == Some(FeatureVersion::settled(point.stage.1.parse()?)), "{told:?}");
        differences.extend(compared.err().map(|error| format!("{:?} {error:#}", point.stage)));
    }
    for change in &story.changes {
        let compared = held::compare(&history, change.at, DATABASE, &change.held);
        let told = held::feature_version(&history, change.at)?.context("it is told")?;
        let newer: Series = change.version.parse()?;
        ensure!(told.version == change.feature_version.parse()?, "{told}");
        ensure!(told.changing_with == Some(newer), "{told}");
        differences
            .extend(compared.err().map(|error| format!("change at {}: {error:#}", change.at)));
    }
    println!("{} points and {} changes compared", story.points.len(), story.changes.len());
    ensure!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    Ok(())
}

/// Restores the last point of each stage, and the first moment of each change, into a server like
/// that of the source at the time.
async fn restore_some(data: &Path, story: &Story) -> Result<()> {
    let mut failures = Vec::new();
    for point in &story.points {
        let Some(snapshot) = &point.snapshot else { continue };
        let (version, feature_version) = point.stage;
        let restored = restore_into(data, point.at, version, feature_version).await;
        let compared = async {
            let mut wanted = snapshot.clone();
            let mut target = dbhash::snapshot(&restored?.client().await?).await?;
            for snapshot in [&mut wanted, &mut target] {
                servers_own::leave_out(snapshot, feature_version);
            }
            let difference = dbhash::diff(&wanted, &target);
            ensure!(difference.is_none(), "{}", difference.unwrap_or_default());
            anyhow::Ok(())
        };
        failures.extend(compared.await.err().map(|error| format!("{:?}: {error:#}", point.stage)));
    }
    for change in &story.changes {
        let restored = restore_into(data, change.at, change.version, change.feature_version).await;
        let compared = async {
            let mut wanted = change.held.clone();
            let mut target = held::of_source(&restored?.client().await?, DATABASE).await?;
            for held in [&mut wanted, &mut target] {
                servers_own::leave_out_of_held(held, change.feature_version);
            }
            held::same(&wanted, &target)
        };
        let failed = compared.await.err();
        failures.extend(failed.map(|error| format!("change on {}: {error:#}", change.version)));
    }
    ensure!(failures.is_empty(), "{} restores differ:\n{}", failures.len(), failures.join("\n"));
    restore_into_the_next(data, story).await?;
    refused_by_version(data, story).await
}

/// Restores the last state before each upgrade of the server into the version that came next.
/// Time-series must only be restorable, because servers of two versions list the options of buckets
/// and the view differently.
async fn restore_into_the_next(data: &Path, story: &Story) -> Result<()> {
    for (before, after) in story.points.iter().zip(&story.points[1..]) {
        if before.stage.0 == after.stage.0 {
            continue;
        }
        let (version, feature_version) = after.stage;
        let what = || format!("{:?} into {version}", before.stage);
        // The server lives as long as this variable.
        let server = restore_into(data, before.at, version, feature_version).await;
        let server = server.with_context(what)?;
        let target = server.client().await?;
        let plain = |held: &Held| {
            let mut held = held.clone();
            held.retain(|name, _| !name.contains(".system."));
            held
        };
        let found = held::of_source(&target, DATABASE).await?;
        held::same(&plain(&before.held), &plain(&found)).with_context(what)?;
    }
    Ok(())
}

async fn restore_into(
    data: &Path,
    at: Timestamp,
    version: &str,
    feature_version: &str,
) -> Result<Mongod> {
    let target = Mongod::standalone(&MongodOptions::default().version(version)).await?;
    set_feature_version(&target.client().await?, feature_version).await?;
    let args = ["restore", "--until", &spelled(at), "--to", &target.uri()];
    let report = run_json(data, &args).await?.expect_success()?.json()?;
    ensure!(report["verified"] == true, "the restore says it is not verified: {report}");
    Ok(target)
}

/// Checks that the versions at the requested time decide: a server of the first version cannot take
/// the last state, nor a state whose feature compatibility version was lowered to that of this
/// server.
async fn refused_by_version(data: &Path, story: &Story) -> Result<()> {
    let (first, last) = (&story.points[0], &story.points[story.points.len() - 1]);
    let target = Mongod::standalone(&MongodOptions::default().version(first.stage.0)).await?;
    let lowered = |at: usize| {
        let (before, now) = (story.points[at].stage, story.points[at + 1].stage);
        now.1 < before.1 && now.1 == first.stage.1
    };
    let lowered = (0..story.points.len() - 1).find(|&at| lowered(at)).context("it is lowered")?;
    for point in [last, &story.points[lowered + 1]] {
        let args = ["restore", "--until", &spelled(point.at), "--to", &target.uri()];
        let refused = run_json(data, &args).await?.expect_code(1)?;
        let (version, feature_version) = point.stage;
        let words = format!(
            "was at feature compatibility version {feature_version} at that time on servers of {}",
            version.parse::<Series>()?
        );
        ensure!(refused.stderr.contains(&words), "{words:?} is not in: {}", refused.stderr);
    }
    Ok(())
}
