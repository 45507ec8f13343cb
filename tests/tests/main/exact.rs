//! Tests I9: what is restored equals what the source held, at every quiet point of a random
//! workload.
//!
//! The comparison is the same for every version: documents by `dbHash`, and capped collections in
//! natural order, too. Below 5.0, Hindsight does not promise what a capped collection holds after
//! an insert *failed* on a duplicate key (docs/decisions/0003). This workload makes no such
//! inserts; the test in `capped.rs` does.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use bson::Timestamp;
use hindsight_tests::dbhash::{self, Snapshot};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::workload::{self, WorkloadOptions};
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions};
use tokio::sync::Mutex;

use crate::capture_checks::restored;

/// A point at which nothing was being written, and what the source held then.
struct Held {
    at: Timestamp,
    snapshot: Snapshot,
}

/// Fixed seeds, so that a failure can be run again.
const SEEDS: [u64; 1] = [20_261_121];
const OPERATIONS: usize = 20_000;
const QUIET_POINTS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn every_quiet_point_restores_exactly() -> Result<()> {
    for seed in SEEDS {
        let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
        set.wait_for_primary(Duration::from_secs(60)).await?;
        let client = set.client().await?;
        let directory = tempfile::tempdir()?;
        let data = directory.path().join("data");
        let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
        run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;

        let held: Arc<Mutex<Vec<Held>>> = Arc::default();
        let mut options = WorkloadOptions::new(seed, OPERATIONS);
        options.quiet_points = QUIET_POINTS;
        options.big_transactions = 3;
        let report = workload::run(&client, &options, async |_point| {
            let snapshot = dbhash::snapshot(&client).await?;
            let last = hindsight_tests::replica_set::last_timestamp(&client).await?;
            held.lock().await.push(Held { at: last, snapshot });
            Ok(())
        })
        .await?;
        println!("seed {seed}: {report}");
        run_json(&data, &["wait", "--timeout", "120s"]).await?.expect_success()?;

        let held = held.lock().await;
        ensure!(held.len() >= QUIET_POINTS, "only {} quiet points were seen", held.len());
        let mut differences = Vec::new();
        for (number, point) in held.iter().enumerate() {
            let difference = match restore_and_compare(&data, point).await {
                Ok(None) => continue,
                Ok(Some(difference)) => difference,
                Err(failed) => format!("{failed:#}"),
            };
            differences.push(format!("point {number} ({}):\n{difference}", point.at));
        }
        let status = up.stop().await?;
        ensure!(status.success(), "up ended with {status}");
        ensure!(differences.is_empty(), "seed {seed}:\n{}", differences.join("\n"));
    }
    Ok(())
}

async fn restore_and_compare(data: &std::path::Path, point: &Held) -> Result<Option<String>> {
    let target = restored(data, point.at).await?;
    let restored = dbhash::snapshot(&target.client().await?).await?;
    Ok(dbhash::diff(&point.snapshot, &restored))
}
