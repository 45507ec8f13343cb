//! `hindsight up`: tailer, base copy, replayer and API in one process.

mod bases;
mod gauges;
mod http;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hindsight_replayer::{Applied, Engine, Follower};
use hindsight_runtime::{CancellationToken, TaskFailure, Tasks, telemetry};
use hindsight_segment::Codec;
use hindsight_tailer::{Capture, CaptureSettings, CutSettings, Preference, Source, StartAt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::info;

use crate::api::{Live, Service, SourceLook};
use crate::cli::{CodecName, Global, LogFormat, Up};
use crate::data_dir::{DataDir, Running};
use crate::exit::{Exit, Failure};
use crate::open::{Opened, log_directory, open};
use crate::secret;
use bases::BaseKeeper;

/// How long the parts may take to stop: the last segment is cut and appended, the history flushed.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// Checks everything about the settings that can be checked without touching anything.
pub fn check(up: &Up) -> Result<(), Failure> {
    secret::read("--uri", up.uri.uri.as_deref(), up.uri.uri_file.as_deref())?;
    member_tags(up)?;
    listen_address(up)?;
    if !(4096..=(64 << 20)).contains(&up.segment_bytes) {
        return Err(Failure::usage("--segment-bytes must be between 4096 and 67108864"));
    }
    if !(1..=60_000).contains(&up.segment_age_ms) {
        return Err(Failure::usage("--segment-age-ms must be between 1 and 60000"));
    }
    Ok(())
}

fn member_tags(up: &Up) -> Result<Vec<(String, String)>, Failure> {
    let split = |tag: &String| match tag.split_once(':') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(Failure::usage(format!("--member-tag {tag:?} is not NAME:VALUE"))),
    };
    up.member_tags.iter().map(split).collect()
}

/// Without TLS and tokens only loopback is listened on.
fn listen_address(up: &Up) -> Result<std::net::SocketAddr, Failure> {
    let address: std::net::SocketAddr = up.listen.parse().map_err(|_| {
        Failure::usage(format!("--listen {:?} is not an address such as 127.0.0.1:7117", up.listen))
    })?;
    if !address.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "--listen {address} is not a loopback address. The API has no authentication yet: whoever \
             reaches it reads every document"
        )));
    }
    Ok(address)
}

/// Runs until SIGTERM or Ctrl-C, or until a part fails for good.
pub async fn run(global: &Global, up: &Up) -> Result<Exit> {
    check(up)?;
    let metrics = telemetry::init_metrics().map_err(anyhow::Error::msg)?;
    let uri = secret::read("--uri", up.uri.uri.as_deref(), up.uri.uri_file.as_deref())?;
    let source = Source::parse(&uri).await?;
    let data = DataDir::new(&global.data);
    data.create()?;
    let Running::Nobody(owner) = data.take()? else {
        return Err(Failure::new(
            Exit::Failed,
            format!("another process runs on {}: stop it first", data.root().display()),
        )
        .into());
    };
    let survey = source.survey(&source.hosts()).await?;
    info!(set = %survey.identity.set_name, version = %survey.server_version, "source found");
    let log = log_directory(&data, up.log.as_deref())?;
    let opened = open(&data, &log, Some(survey.identity.segment_source()), up.cache_bytes).await?;
    let listener = TcpListener::bind(listen_address(up)?).await;
    let listener = listener.with_context(|| format!("listen on {}", up.listen))?;
    let address = listener.local_addr()?.to_string();

    let preference = Preference {
        member: up.member.clone(),
        tags: member_tags(up)?,
        allow_primary: up.allow_primary,
    };
    let keeper = BaseKeeper::new(&source, &survey, &preference, &opened);
    let (keeper, start) = keeper.first_copy().await?;
    let capture = Capture::prepare(
        CaptureSettings {
            source: source.clone(),
            identity: survey.identity.clone(),
            preference,
            cut: cut_settings(up),
        },
        Arc::clone(&opened.log),
        Arc::clone(&opened.index),
        start.map(StartAt),
    )
    .await?;

    let applied = Arc::new(watch::Sender::new(Applied::default()));
    let live = Live {
        positions: capture.positions(),
        capture: capture.status(),
        applied: applied.subscribe(),
        copy: keeper.board(),
        address: address.clone(),
        source: SourceLook { source: source.clone() },
    };
    let engine = Engine {
        log: Arc::clone(&opened.log),
        index: Arc::clone(&opened.index),
        history: Arc::clone(&opened.history),
        bases: opened.bases.clone(),
        applied: applied.subscribe(),
    };
    let service = Service { engine: engine.clone(), live: Some(live.clone()), _owner: None };

    let shutdown = CancellationToken::new();
    let mut tasks: Tasks<anyhow::Error> = Tasks::new(shutdown.clone());
    spawn_follower(&mut tasks, &opened, applied, &live, &shutdown);
    tasks.spawn("capture", run_capture(capture, shutdown.clone()));
    tasks.spawn("bases", keeper.run(shutdown.clone()));
    tasks.spawn("gauges", gauges::run(engine, live.clone(), shutdown.clone()));
    tasks.spawn("api", http::serve(listener, service, live, metrics, shutdown.clone()));
    tasks.spawn("signals", stop_on_signal(shutdown.clone()));
    owner.announce(&address)?;
    say_ready(global, &address);
    let ended = tasks.join(STOP_PATIENCE).await;
    info!("stopped");
    drop(owner);
    ended.map(|()| Exit::Done).map_err(|failure| match failure {
        TaskFailure::Failed { error, .. } => error,
        other => anyhow::Error::msg(other.to_string()),
    })
}

fn cut_settings(up: &Up) -> CutSettings {
    CutSettings {
        bytes: up.segment_bytes as u64,
        age: Duration::from_millis(up.segment_age_ms),
        codec: match up.codec {
            CodecName::None => Codec::None,
            CodecName::Lz4 => Codec::Lz4,
            CodecName::Zstd => Codec::Zstd,
        },
    }
}

async fn run_capture(capture: Capture, shutdown: CancellationToken) -> Result<()> {
    capture.run(shutdown).await.map_err(|failure| match failure {
        TaskFailure::Failed { error, .. } => error.into(),
        other => anyhow::Error::msg(other.to_string()),
    })
}

/// The history follows the log on a thread of its own.
fn spawn_follower(
    tasks: &mut Tasks<anyhow::Error>,
    opened: &Opened,
    board: Arc<watch::Sender<Applied>>,
    live: &Live,
    shutdown: &CancellationToken,
) {
    let follower = Follower {
        log: Arc::clone(&opened.log),
        index: Arc::clone(&opened.index),
        history: Arc::clone(&opened.history),
        bases: opened.bases.clone(),
        board,
        runtime: tokio::runtime::Handle::current(),
    };
    let mut news = live.positions.watch();
    let shutdown = shutdown.clone();
    tasks.spawn_blocking("history", move || Ok(follower.run(&mut news, &shutdown)?));
}

async fn stop_on_signal(shutdown: CancellationToken) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM: stopping"),
        _ = interrupt.recv() => info!("interrupted: stopping"),
        () = shutdown.cancelled() => {}
    }
    shutdown.cancel();
    Ok(())
}

/// The line that scripts wait for.
fn say_ready(global: &Global, address: &str) {
    match global.log_format {
        LogFormat::Text => eprintln!("hindsight is ready: http://{address}"),
        LogFormat::Json => eprintln!(
            "{}",
            serde_json::json!({"level": "INFO", "message": "ready", "api": format!("http://{address}")})
        ),
    }
}
