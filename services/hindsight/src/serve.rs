//! What runs until it is stopped: `up`, `tailer` and `replayer` are assembled from the same parts.
//!
//! ```text
//! up       = capture + history      tailer   = capture
//!                                   replayer = following the log + history
//! ```

mod anteroom;
mod capture;
mod process;
mod settings;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use hindsight_access::{Guard, listen_address};
use hindsight_api::service::{Live, Service, SourceLook};
use hindsight_copy::CopyBoard;
use hindsight_history::History;
use hindsight_holdings::{
    Access, DataDir, DiskBoard, LogChoice, LogRetentionArgs, LogUrl, Opened, follow_log, open,
    watch_bases, watch_risks,
};
use hindsight_replayer::gauges::Gauges;
use hindsight_replayer::{Applied, Engine, Follower, HistoryArgs, QUERY_MEMORY_BYTES};
use hindsight_restores::Restores;
use hindsight_runtime::{Board, Budget, CancellationToken, TaskFailure, Tasks};
use hindsight_tailer::{Boards, CaptureSettings, Source};
use tracing::info;

use crate::exit::{Context, Exit, Failure, Result};
use crate::global::Global;
use crate::open::open_history;
use process::{Process, Signals};
pub(crate) use settings::{CaptureArgs, Listen};
use upkeep::Keep;

/// Limit on the time that the parts may take to stop: the last segment is cut and appended, and the
/// history is flushed.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// How often the metrics that show a state are updated.
const GAUGES: Duration = Duration::from_secs(1);

/// What a process does: it captures, keeps a history, or both.
pub(crate) struct Services<'a> {
    pub(crate) listen: &'a Listen,
    pub(crate) capture: Option<&'a CaptureArgs>,
    pub(crate) history: Option<&'a HistoryArgs>,
    /// How much of the log to keep. Present in a process that captures and keeps a history.
    pub(crate) retention: Option<&'a LogRetentionArgs>,
}

/// Checks everything about the settings that can be checked without touching anything.
pub(crate) fn check(global: &Global, services: &Services<'_>) -> Result<()> {
    if let Some(capture) = services.capture {
        capture.check()?;
    }
    let listen = services.listen;
    listen_address(&listen.listen, &listen.access)?;
    Guard::open(&listen.access)?;
    let data = DataDir::new(&global.data);
    data.check()?;
    let log = LogChoice::of(&global.log, &data)?;
    Ok(services.retention.map_or(Ok(()), |retention| retention.check(&log.url))?)
}

/// Runs the services in one process, until SIGTERM or Ctrl-C, or until a part fails permanently.
pub(crate) async fn run(global: &Global, services: Services<'_>) -> Result<Exit> {
    check(global, &services)?;
    let source = match services.capture {
        Some(args) => Some((args.source().await?, args)),
        None => None,
    };
    let (process, mut signals) = Process::begin(global, services.listen)?;
    let keep = Keep {
        history: services.history.and_then(|history| history.keep_history),
        log: services.retention.and_then(|retention| retention.keep_log),
        base: services.capture.and_then(|capture| capture.renew_every(services.retention)),
    };
    let opening = open_parts(global, &process, source, services.history);
    match signals.unless_stopped(opening).await? {
        Some(parts) => Box::pin(run_parts(global, process, signals, parts, keep)).await,
        None => Ok(Exit::Done),
    }
}

/// The parts of a process.
struct Parts {
    opened: Opened,
    boards: Boards,
    /// Present in a process that captures.
    settings: Option<CaptureSettings>,
    /// Present in a process that applies entries and answers calls.
    history: Option<Arc<History>>,
}

async fn open_parts(
    global: &Global,
    process: &Process,
    source: Option<(Source, &CaptureArgs)>,
    history: Option<&HistoryArgs>,
) -> Result<Parts> {
    let boards = Boards::default();
    let (settings, opened) = match source {
        Some((source, args)) => {
            let settings = settings_of(source, args).await?;
            let access = Access::Capture(settings.identity.segment_source());
            (Some(settings), open_log(global, process, access, &boards).await?)
        }
        None => (None, open_log(global, process, Access::Read, &boards).await?),
    };
    let history = match history {
        Some(args) => Some(open_history(&process.data, args.settings(global.skipped())).await?),
        None => None,
    };
    Ok(Parts { opened, boards, settings, history })
}

/// Finds the source, and returns how to capture from it.
async fn settings_of(source: Source, args: &CaptureArgs) -> Result<CaptureSettings> {
    let survey = source.survey(&source.hosts()).await?;
    info!(set = %survey.identity.set_name, version = %survey.server_version, "source found");
    if let Some(asked) = source.other_set_name(&survey.identity) {
        let found = &survey.identity.set_name;
        return Err(Failure::other(format!(
            "the source is the replica set {found}, and --uri names {asked}: give replicaSet={found}, or the hosts of {asked}"
        )));
    }
    Ok(CaptureSettings {
        source,
        identity: survey.identity,
        preference: args.preference()?,
        cut: args.cut(),
        catalog_check_every: args.catalog_check_every,
    })
}

/// Opens the log. Waits for a log on brokers.
async fn open_log(
    global: &Global,
    process: &Process,
    access: Access,
    boards: &Boards,
) -> Result<Opened> {
    let (data, positions) = (&process.data, &boards.positions);
    let choice = LogChoice::of(&global.log, data)?;
    let bases = global.bases.as_deref();
    match choice.url {
        LogUrl::Directory(_) => Ok(open(data, &choice, bases, access, positions).await?),
        LogUrl::Kafka { .. } => {
            let open = async || open(data, &choice, bases, access.clone(), positions).await;
            anteroom::until_open(process, open).await
        }
    }
}

/// Runs the parts that are present. With settings for capture, the process captures; otherwise it
/// follows the log. With a history, it applies entries and answers calls.
async fn run_parts(
    global: &Global,
    process: Process,
    signals: Signals,
    parts: Parts,
    keep: Keep,
) -> Result<Exit> {
    let Parts { opened, boards, settings, history } = parts;
    let doors = process.listen().await?;
    let applied = Board::default();
    let copy = CopyBoard::default();
    let live = Live {
        positions: boards.positions.clone(),
        capture: boards.status.clone(),
        applied: applied.watch(),
        copy: copy.clone(),
        disk: DiskBoard::default(),
        url: doors.url.clone(),
        source: settings.as_ref().map(|it| SourceLook { source: it.source.clone() }),
    };
    let engine = Engine {
        log: Arc::clone(&opened.log.log),
        index: Arc::clone(&opened.index),
        history: history.clone(),
        bases: opened.bases.clone(),
        applied: applied.watch(),
        memory: Budget::new(QUERY_MEMORY_BYTES),
    };
    let restores = Restores::open(&process.data.restores())?;
    let service = Arc::new(Service {
        engine: engine.clone(),
        restores,
        admission: process.admission,
        live: Some(live.clone()),
        hold: None,
    });

    let shutdown = CancellationToken::new();
    let mut tasks: Tasks<Failure> = Tasks::new(shutdown.clone());
    tasks.spawn("signals", signals.stop(shutdown.clone()));
    if let Some(history) = history {
        upkeep::spawn_retention(&mut tasks, &opened, &history, keep);
        spawn_follower(&mut tasks, &opened, history, applied, &live, &shutdown);
    }
    match settings {
        Some(settings) => {
            let needs = capture::needs_of(&engine, keep.base);
            let tailer = capture::tailer_of(settings, &opened, boards.clone(), copy, needs);
            let spawned = capture::spawn(tailer, &opened, &mut tasks, &shutdown);
            shutdown.run_until_cancelled(spawned).await.unwrap_or(Ok(()))?;
        }
        None => {
            let followed = follow_log(&opened, &boards, shutdown.clone());
            tasks.spawn("log", async move { Ok(followed.await?) });
        }
    }
    upkeep::spawn_files(&mut tasks, &opened, (global, &process.data), (&live, &boards), &engine)?;
    tasks.spawn_unfailing("registry", watch_bases(&opened, shutdown.clone()));
    if let Some(shared) = opened.log.shared.clone() {
        tasks.spawn_unfailing("risks", watch_risks(shared, boards.status, shutdown.clone()));
    }
    tasks.spawn_unfailing("gauges", update_gauges(engine, live.clone(), shutdown.clone()));
    tasks.spawn("restores", stop_restores(Arc::clone(&service), shutdown.clone()));
    let tells = process.guard.is_open();
    let pages = hindsight_api::http::Pages { metrics: process.metrics.clone(), live, tells };
    let (url, local_address) = (doors.url, doors.local_address);
    let served = hindsight_api::http::serve(doors.doors, service, pages, shutdown.clone());
    tasks.spawn("api", async move { Ok(served.await?) });
    let reloading = process.guard.clone().reload_on_hangup(shutdown.clone());
    tasks.spawn("hangup", async move { Ok(reloading.await?) });
    process.owner.announce(&local_address)?;
    process::say_ready(global, &url);
    let ended = tasks.join(STOP_PATIENCE).await;
    info!("stopped");
    drop(process.owner);
    ended.map(|()| Exit::Done).map_err(error_of)
}

/// Updates the metrics that show a state once a second.
async fn update_gauges(engine: Engine, live: Live, shutdown: CancellationToken) {
    let mut gauges = Gauges::default();
    while shutdown.run_until_cancelled(tokio::time::sleep(GAUGES)).await.is_some() {
        let applied = live.applied.borrow().applied;
        hindsight_tailer::gauges::update(&live.positions, &live.capture, applied);
        gauges.update(&engine, GAUGES);
    }
}

/// Stops the restores at shutdown: restores end with the process.
async fn stop_restores(service: Arc<Service>, shutdown: CancellationToken) -> Result<()> {
    shutdown.cancelled().await;
    service.restores.stop().await;
    Ok(())
}

/// Returns the error that ended the tasks, without the task's name: names of tasks are for
/// developers, and the error is for users.
fn error_of(failure: TaskFailure<Failure>) -> Failure {
    match failure {
        TaskFailure::Failed { error, .. } => error,
        TaskFailure::Panicked { task, message } => Failure::other(format!("{task} {message}")),
        TaskFailure::Stuck { tasks, waited } => {
            let tasks = tasks.join(", ");
            Failure::other(format!("tasks did not stop within {waited:?}: {tasks}"))
        }
    }
}

/// Starts the thread on which the history follows the log.
fn spawn_follower(
    tasks: &mut Tasks<Failure>,
    opened: &Opened,
    history: Arc<History>,
    board: Board<Applied>,
    live: &Live,
    shutdown: &CancellationToken,
) {
    let follower = Follower {
        log: Arc::clone(&opened.log.log),
        index: Arc::clone(&opened.index),
        history,
        bases: opened.bases.clone(),
        board,
        runtime: tokio::runtime::Handle::current(),
    };
    let mut news = live.positions.watch();
    let shutdown = shutdown.clone();
    tasks.spawn_blocking("history", move || {
        follower.run(&mut news, &shutdown).context("the history")
    });
}
