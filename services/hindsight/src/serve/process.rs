//! What every long-running command does first and last: it takes its data directory, listens, says that it is ready,
//! and stops on a signal.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use hindsight_runtime::{CancellationToken, telemetry};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tracing::info;

use crate::cli::{Global, Listen, LogFormat};
use crate::data_dir::{DataDir, Owner, Running};
use crate::exit::{Exit, Failure};

/// A process that has its data directory for itself.
pub(super) struct Process {
    pub(super) data: DataDir,
    pub(super) owner: Owner,
    pub(super) metrics: PrometheusHandle,
    address: SocketAddr,
}

impl Process {
    pub(super) fn begin(global: &Global, listen: &Listen) -> Result<Self> {
        let address = listen_address(listen)?;
        let metrics = telemetry::init_metrics().map_err(anyhow::Error::msg)?;
        let data = DataDir::new(&global.data);
        data.create()?;
        match data.take()? {
            Running::Nobody(owner) => Ok(Self { data, owner, metrics, address }),
            Running::Somebody { .. } => {
                let root = data.root().display();
                let text = format!("another process runs on {root}: stop it first");
                Err(Failure::new(Exit::Failed, text).into())
            }
        }
    }

    pub(super) async fn listen(&self) -> Result<(TcpListener, String)> {
        let listener = TcpListener::bind(self.address).await;
        let listener = listener.with_context(|| format!("listen on {}", self.address))?;
        let address = listener.local_addr()?.to_string();
        Ok((listener, address))
    }
}

/// Without TLS and tokens only loopback is listened on.
pub(super) fn listen_address(listen: &Listen) -> Result<SocketAddr, Failure> {
    let text = &listen.listen;
    let address: SocketAddr = text.parse().map_err(|_| {
        Failure::usage(format!("--listen {text:?} is not an address such as 127.0.0.1:7117"))
    })?;
    if !address.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "--listen {address} is not a loopback address. The API has no authentication yet: whoever \
             reaches it reads every document"
        )));
    }
    Ok(address)
}

pub(super) async fn stop_on_signal(shutdown: CancellationToken) -> Result<()> {
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
pub(super) fn say_ready(global: &Global, address: &str) {
    match global.log_format {
        LogFormat::Text => eprintln!("hindsight is ready: http://{address}"),
        LogFormat::Json => eprintln!(
            "{}",
            serde_json::json!({"level": "INFO", "message": "ready", "api": format!("http://{address}")})
        ),
    }
}
