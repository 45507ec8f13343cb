//! A seeded, randomised workload: every kind of write and schema change that an oplog can hold.
//!
//! The same seed and options produce the same operations, as far as the server's answers are the
//! same. Each operation draws from a separate generator, so that an operation that fails by bad
//! timing (a transaction beside an index build) changes little of what follows. Operations may fail
//! legitimately (a duplicate key, a path through a scalar). Failures are counted; a failed
//! statement leaves special entries (aborted index builds, partial batches).

mod ddl;
mod indexes;
mod model;
mod operations;
mod pipelines;
mod report;
mod transactions;
mod updates;
mod values;
mod writes;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bson::{Document, RawDocumentBuf, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::{Client, Collection, Database};
use rand::rngs::StdRng;
use rand::seq::index;
use rand::{Rng, SeedableRng};

use crate::mongod::server_version;
use model::{Kind, Model};
pub use operations::kinds;
pub use report::{Count, Report};
pub use values::{number_spelled_anyhow, respelled};

/// How long a workload waits while the set has no primary.
const OUTAGE_LIMIT: Duration = Duration::from_secs(60);
/// Error codes of a server that is not a writable primary, or that is going down or coming up.
const OUTAGE_CODES: [i32; 10] = [6, 7, 89, 91, 189, 10107, 11600, 11602, 13435, 13436];
/// How often an operation is drawn until one finds something to work on.
const DRAWS: usize = 1_000;

/// The options of a workload.
#[derive(Clone, Debug)]
pub struct WorkloadOptions {
    /// The seed of all random choices.
    pub seed: u64,
    /// How many statements are run, including those that fail. A statement may write many
    /// documents.
    pub operations: usize,
    /// The databases to work in, divided among the workers. Each worker needs two, for operations
    /// across databases.
    pub databases: Vec<String>,
    /// The number of concurrent streams of operations.
    pub workers: usize,
    /// The number of moments at which nothing is being written and the caller is called. The last
    /// one is the end.
    pub quiet_points: usize,
    /// The number of transactions of more than 16 MB, spread evenly.
    pub big_transactions: usize,
    /// Elections and killed members are part of the test: operations that they interrupt are
    /// counted as failed.
    pub tolerate_outages: bool,
}

impl WorkloadOptions {
    /// The options of a workload with two workers, four databases and no big transactions.
    pub fn new(seed: u64, operations: usize) -> Self {
        Self {
            seed,
            operations,
            databases: ["w0", "w1", "w2", "w3"].map(str::to_owned).to_vec(),
            workers: 2,
            quiet_points: 1,
            big_transactions: 0,
            tolerate_outages: false,
        }
    }
}

/// A moment at which the workload pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietPoint {
    /// The number of the quiet point, counted from 0.
    pub number: usize,
    /// How many operations were done before the quiet point.
    pub operations: usize,
    /// True at the end of the workload.
    pub last: bool,
}

/// Runs a workload against a set or a server, and calls `on_quiet` at random quiet points.
pub async fn run(
    client: &Client,
    options: &WorkloadOptions,
    mut on_quiet: impl AsyncFnMut(QuietPoint) -> Result<()>,
) -> Result<Report> {
    let mut workers = workers(client, options).await?;
    let mut busy = Duration::ZERO;
    let mut done = 0;
    let points = quiet_points(options);
    for (number, point) in points.iter().copied().enumerate() {
        let started = Instant::now();
        let rounds = workers.iter_mut().enumerate().map(|(i, worker)| {
            let share = |operations: usize| (operations + i) / options.workers;
            worker.work(share(done)..share(point), options)
        });
        futures_util::future::try_join_all(rounds)
            .await
            .with_context(|| format!("workload with seed {}", options.seed))?;
        busy += started.elapsed();
        done = point;
        on_quiet(QuietPoint { number, operations: done, last: done == options.operations }).await?;
    }
    let mut report = Report { busy, ..Report::default() };
    workers.into_iter().for_each(|worker| report.merge(worker.report));
    Ok(report)
}

/// Returns random, distinct and ascending numbers of operations; the last is the end.
fn quiet_points(options: &WorkloadOptions) -> Vec<usize> {
    let mut random = StdRng::seed_from_u64(options.seed ^ 0x0071_u64);
    let inner = options.quiet_points.saturating_sub(1).min(options.operations.saturating_sub(1));
    let mut points: Vec<usize> = match options.operations {
        0 | 1 => Vec::new(),
        all => index::sample(&mut random, all - 1, inner).into_iter().map(|at| at + 1).collect(),
    };
    points.push(options.operations);
    points.sort_unstable();
    points
}

async fn workers(client: &Client, options: &WorkloadOptions) -> Result<Vec<Worker>> {
    ensure!(options.workers > 0, "a workload has a worker");
    let version = server_version(client).await?;
    let worker = |i: usize| {
        let own =
            options.databases.iter().skip(i).step_by(options.workers).cloned().collect::<Vec<_>>();
        ensure!(own.len() >= 2, "each of {} workers needs two databases", options.workers);
        Ok(Worker {
            client: client.clone(),
            version,
            seed: options.seed.wrapping_mul(1_000_003).wrapping_add(i as u64),
            random: StdRng::seed_from_u64(options.seed),
            databases: own,
            model: Model::default(),
            report: Report::default(),
            seconds: 0,
        })
    };
    (0..options.workers).map(worker).collect()
}

/// One stream of operations, in databases that no other worker uses.
struct Worker {
    client: Client,
    version: (i32, i32),
    seed: u64,
    /// Seeded again for each operation.
    random: StdRng,
    databases: Vec<String>,
    model: Model,
    report: Report,
    /// The time of the next time-series measurement, in seconds.
    seconds: i64,
}

/// `Ok(false)` when there was nothing to work on.
type Outcome = mongodb::error::Result<bool>;

impl Worker {
    async fn work(
        &mut self,
        range: std::ops::Range<usize>,
        options: &WorkloadOptions,
    ) -> Result<()> {
        let every = options.operations / options.workers / (options.big_transactions + 1) + 1;
        for at in range {
            let own = self.seed.wrapping_add((at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            self.random = StdRng::seed_from_u64(own);
            if options.big_transactions > 0 && at % every == every - 1 {
                let outcome = self.big_transaction().await;
                self.account("big_transaction", outcome, options).await?;
            } else {
                self.step(options).await?;
            }
        }
        Ok(())
    }

    /// Runs one operation. Operations are drawn until one finds something to work on.
    async fn step(&mut self, options: &WorkloadOptions) -> Result<()> {
        for _ in 0..DRAWS {
            let operation = operations::draw(&mut self.random, self.version);
            let outcome = (operation.run)(self).await;
            if self.account(operation.name, outcome, options).await? {
                return Ok(());
            }
        }
        bail!("no operation finds anything to work on");
    }

    /// Counts an outcome. Only the server's refusals are ordinary failures; anything else is a
    /// fault of the workload itself, or an outage.
    async fn account(
        &mut self,
        name: &'static str,
        outcome: Outcome,
        options: &WorkloadOptions,
    ) -> Result<bool> {
        match outcome {
            Ok(true) => self.report.done(name),
            Ok(false) => return Ok(false),
            Err(error) if is_outage(&error) => {
                if !options.tolerate_outages {
                    return Err(error).context(format!("the server went away during {name}"));
                }
                self.report.failed(name, &error);
                self.wait_for_the_set().await?;
            }
            Err(error) if is_refusal(&error) => self.report.failed(name, &error),
            Err(error) => return Err(error).context(format!("cannot run {name}")),
        }
        Ok(true)
    }

    async fn wait_for_the_set(&self) -> Result<()> {
        let deadline = Instant::now() + OUTAGE_LIMIT;
        while let Err(error) = self.client.database("admin").run_command(doc! {"ping": 1}).await {
            if Instant::now() >= deadline {
                return Err(error).context(format!("no primary within {OUTAGE_LIMIT:?}"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    fn database(&self, name: &str) -> Database {
        self.client.database(name)
    }

    fn collection(&self, target: usize) -> Collection<Document> {
        let target = &self.model.targets[target];
        self.database(&target.database).collection(&target.name)
    }

    /// For operations that return documents. Decoding 80 levels without optimisation would overflow
    /// the stack of a test.
    fn raw_collection(&self, target: usize) -> Collection<RawDocumentBuf> {
        self.collection(target).clone_with_type()
    }

    /// Returns any collection of a kind.
    fn any(&mut self, kind: Kind) -> Option<usize> {
        self.model.any(&mut self.random, kind)
    }

    fn any_database(&mut self) -> String {
        let at = self.random.random_range(0..self.databases.len());
        self.databases[at].clone()
    }
}

fn error_code(error: &Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(error) => Some(error.code),
        ErrorKind::Write(mongodb::error::WriteFailure::WriteConcernError(error)) => {
            Some(error.code)
        }
        _ => None,
    }
}

fn is_outage(error: &Error) -> bool {
    let by_kind = matches!(
        error.kind.as_ref(),
        ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::ServerSelection { .. }
    );
    by_kind || error_code(error).is_some_and(|code| OUTAGE_CODES.contains(&code))
}

fn is_refusal(error: &Error) -> bool {
    error.get_custom::<writes::Refused>().is_some()
        || matches!(
            error.kind.as_ref(),
            ErrorKind::Command(_)
                | ErrorKind::Write(_)
                | ErrorKind::InsertMany(_)
                | ErrorKind::BulkWrite(_)
        )
}
