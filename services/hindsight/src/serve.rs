//! The commands that run until they are stopped. `up`, `tailer` and `replayer` are assembled from
//! the same parts.
//!
//! ```text
//! up       = capture + history      tailer   = capture
//!                                   replayer = following the log + history
//! ```

mod anteroom;
mod capture;
mod gauges;
mod metrics;
mod process;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hindsight_access::{Guard, listen_address};
use hindsight_api::service::{Live, Restores, Service, SourceLook};
use hindsight_copy::CopyBoard;
use hindsight_history::History;
use hindsight_holdings::{
    Access, DataDir, LogChoice, LogUrl, Opened, follow_log, open, watch_bases, watch_risks,
};
use hindsight_mongo::connection_string;
use hindsight_replayer::{Applied, Engine, Follower, QUERY_MEMORY_BYTES};
use hindsight_runtime::{Board, Budget, CancellationToken, TaskFailure, Tasks};
use hindsight_segment::Codec;
use hindsight_tailer::{Boards, CaptureError, CaptureSettings, CutSettings, Preference, Source};
use tracing::info;

use crate::cli::{CaptureArgs, CodecName, Global, Listen, Replayer, Tailer, Up};
use crate::exit::{Context, Exit, Failure, Result};
use crate::open::open_history;
use crate::secret;
pub(crate) use metrics::METRICS;
use process::{Process, Signals};

/// Limit on the time that the parts may take to stop: the last segment is cut and appended, and the
/// history is flushed.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// Checks everything about the settings that can be checked without touching anything.
pub(crate) fn check(global: &Global, up: &Up) -> Result<(), Failure> {
    check_all(global, &up.listen, Some(&up.capture))
}

fn check_all(
    global: &Global,
    listen: &Listen,
    capture: Option<&CaptureArgs>,
) -> Result<(), Failure> {
    if let Some(capture) = capture {
        check_capture(capture)?;
    }
    listen_address(&listen.listen, &listen.access)?;
    Guard::open(&listen.access)?;
    let data = DataDir::new(&global.data);
    data.check()?;
    LogChoice::of(&global.log, &data)?;
    Ok(())
}

fn check_capture(args: &CaptureArgs) -> Result<(), Failure> {
    let uri = secret::read("--uri", args.uri.uri.as_deref(), args.uri.uri_file.as_deref())?;
    connection_string::check(&uri)
        .map_err(|problem| Failure::usage(format!("the connection string of --uri: {problem}")))?;
    member_tags(args)?;
    if !(4096..=(64 << 20)).contains(&args.segment_bytes) {
        return Err(Failure::usage("--segment-bytes must be between 4096 and 67108864"));
    }
    if !(1..=60_000).contains(&args.segment_age_ms) {
        return Err(Failure::usage("--segment-age-ms must be between 1 and 60000"));
    }
    Ok(())
}

fn member_tags(args: &CaptureArgs) -> Result<Vec<(String, String)>, Failure> {
    let split = |tag: &String| match tag.split_once(':') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(Failure::usage(format!("--member-tag {tag:?} is not NAME:VALUE"))),
    };
    args.member_tags.iter().map(split).collect()
}

/// Runs everything in one process, until SIGTERM or Ctrl-C, or until a part fails permanently.
pub(crate) async fn up(global: &Global, up: &Up) -> Result<Exit> {
    check(global, up)?;
    let source = source_of(&up.capture).await?;
    let (process, mut signals) = Process::begin(global, &up.listen)?;
    let boards = Boards::default();
    let opening = async {
        let captured = open_for_capture(global, &process, source, &up.capture, &boards).await?;
        let cache_bytes = up.store.cache_bytes;
        let history = open_history(&process.data, cache_bytes, global.skipped()).await?;
        Ok((captured, history))
    };
    let Some(((settings, opened), history)) = signals.unless_stopped(opening).await? else {
        return Ok(Exit::Done);
    };
    let parts = Parts { opened, boards, settings: Some(settings), history: Some(history) };
    Box::pin(run(global, process, signals, parts)).await
}

/// Runs capture only.
pub(crate) async fn tailer(global: &Global, tailer: &Tailer) -> Result<Exit> {
    check_all(global, &tailer.listen, Some(&tailer.capture))?;
    let source = source_of(&tailer.capture).await?;
    let (process, mut signals) = Process::begin(global, &tailer.listen)?;
    let boards = Boards::default();
    let opening = open_for_capture(global, &process, source, &tailer.capture, &boards);
    let Some((settings, opened)) = signals.unless_stopped(opening).await? else {
        return Ok(Exit::Done);
    };
    let parts = Parts { opened, boards, settings: Some(settings), history: None };
    Box::pin(run(global, process, signals, parts)).await
}

/// Runs the history and the API for a log that a tailer writes.
pub(crate) async fn replayer(global: &Global, replayer: &Replayer) -> Result<Exit> {
    check_all(global, &replayer.listen, None)?;
    let (process, mut signals) = Process::begin(global, &replayer.listen)?;
    let boards = Boards::default();
    let choice = LogChoice::of(&global.log, &process.data)?;
    let bases = global.bases.as_deref();
    let opening = async {
        let opened = open_log(&process, &choice, bases, Access::Read, &boards).await?;
        let cache_bytes = replayer.store.cache_bytes;
        let history = open_history(&process.data, cache_bytes, global.skipped()).await?;
        Ok((opened, history))
    };
    let Some((opened, history)) = signals.unless_stopped(opening).await? else {
        return Ok(Exit::Done);
    };
    let parts = Parts { opened, boards, settings: None, history: Some(history) };
    Box::pin(run(global, process, signals, parts)).await
}

/// Parses the source's connection string before anything is touched, so that a malformed string
/// leaves no directory behind.
async fn source_of(args: &CaptureArgs) -> Result<Source> {
    let uri = secret::read("--uri", args.uri.uri.as_deref(), args.uri.uri_file.as_deref())?;
    Ok(Source::parse(&uri).await?)
}

/// Finds the source, and opens the log that belongs to it.
async fn open_for_capture(
    global: &Global,
    process: &Process,
    source: Source,
    args: &CaptureArgs,
    boards: &Boards,
) -> Result<(CaptureSettings, Opened)> {
    let survey = source.survey(&source.hosts()).await?;
    info!(set = %survey.identity.set_name, version = %survey.server_version, "source found");
    if let Some(asked) = source.other_set_name(&survey.identity) {
        let found = &survey.identity.set_name;
        let text = format!(
            "the source is the replica set {found}, and --uri names {asked}: give replicaSet={found}, or the hosts of {asked}"
        );
        return Err(Failure::other(text));
    }
    let choice = LogChoice::of(&global.log, &process.data)?;
    let access = Access::Capture(survey.identity.segment_source());
    let bases = global.bases.as_deref();
    let opened = open_log(process, &choice, bases, access, boards).await?;
    let preference = Preference {
        member: args.member.clone(),
        tags: member_tags(args)?,
        allow_primary: args.allow_primary,
    };
    let settings = CaptureSettings {
        source,
        identity: survey.identity,
        preference,
        cut: cut_settings(args),
        catalog_check_every: args.catalog_check_every,
    };
    Ok((settings, opened))
}

/// Opens the log. Waits for a log on brokers.
async fn open_log(
    process: &Process,
    choice: &LogChoice,
    bases: Option<&Path>,
    access: Access,
    boards: &Boards,
) -> Result<Opened> {
    let (data, positions) = (&process.data, &boards.positions);
    match choice.url {
        LogUrl::Directory(_) => Ok(open(data, choice, bases, access, positions).await?),
        LogUrl::Kafka { .. } => {
            let open = async || open(data, choice, bases, access.clone(), positions).await;
            anteroom::until_open(process, open).await
        }
    }
}

fn cut_settings(args: &CaptureArgs) -> CutSettings {
    CutSettings {
        bytes: args.segment_bytes as u64,
        age: Duration::from_millis(args.segment_age_ms),
        codec: match args.codec {
            CodecName::None => Codec::None,
            CodecName::Lz4 => Codec::Lz4,
            CodecName::Zstd => Codec::Zstd,
        },
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

/// Runs the parts that are present. With settings for capture, the process captures; otherwise it
/// follows the log. With a history, it applies entries and answers calls.
async fn run(global: &Global, process: Process, signals: Signals, parts: Parts) -> Result<Exit> {
    let Parts { opened, boards, settings, history } = parts;
    let doors = process.listen().await?;
    let applied = Board::default();
    let copy = CopyBoard::default();
    let live = Live {
        positions: boards.positions.clone(),
        capture: boards.status.clone(),
        applied: applied.watch(),
        copy: copy.clone(),
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
        spawn_follower(&mut tasks, &opened, history, applied, &live, &shutdown);
    }
    match settings {
        Some(settings) => {
            let history = engine.history.is_some().then(|| engine.applied.clone());
            let tailer = capture::tailer_of(settings, &opened, boards.clone(), copy, history);
            let spawned = capture::spawn(tailer, &opened, &mut tasks, &shutdown);
            shutdown.run_until_cancelled(spawned).await.unwrap_or(Ok(()))?;
        }
        None => {
            let followed = follow_log(&opened, &boards, shutdown.clone());
            tasks.spawn("log", async move { Ok(followed.await?) });
        }
    }
    tasks.spawn("registry", unfailing(watch_bases(&opened, shutdown.clone())));
    if let Some(shared) = opened.log.shared.clone() {
        tasks.spawn("risks", unfailing(watch_risks(shared, boards.status, shutdown.clone())));
    }
    tasks.spawn("gauges", gauges::run(engine, live.clone(), shutdown.clone()));
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

/// Makes a task of work that reports its failures itself.
async fn unfailing(work: impl Future<Output = ()>) -> Result<()> {
    work.await;
    Ok(())
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
