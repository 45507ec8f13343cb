//! What every long-running command does first and last: it takes its data directory, listens,
//! reports that it is ready, and stops on a signal.

use std::net::SocketAddr;

use hindsight_access::{Doors, Guard, listen_address};
use hindsight_api::service::Admission;
use hindsight_holdings::{DataDir, Owner, Running};
use hindsight_runtime::{CancellationToken, telemetry};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use super::settings::Listen;
use crate::exit::{Failure, Result};
use crate::global::{Global, LogFormat};
use crate::metric_catalogue;
use crate::open::open_audit;

/// A process that has a data directory for itself.
pub(super) struct Process {
    pub(super) data: DataDir,
    pub(super) owner: Owner,
    pub(super) metrics: PrometheusHandle,
    pub(super) guard: Guard,
    pub(super) admission: Admission,
    address: SocketAddr,
}

impl Process {
    /// Takes the data directory. From then on, listens for the signals that stop the process.
    pub(super) fn begin(global: &Global, listen: &Listen) -> Result<(Self, Signals)> {
        let address = listen_address(&listen.listen, &listen.access)?;
        let signals = Signals::listen()?;
        let guard = Guard::open(&listen.access)?;
        let metrics = telemetry::init_metrics().map_err(Failure::other)?;
        metric_catalogue::describe();
        let data = DataDir::new(&global.data);
        data.create()?;
        match data.take()? {
            Running::Nobody(owner) => {
                let audit = listen.access.audit_file.clone().unwrap_or_else(|| data.audit());
                let room = usize::from(listen.access.max_calls);
                let admission = Admission::of_server(open_audit(&audit)?, room);
                Ok((Self { data, owner, metrics, guard, admission, address }, signals))
            }
            Running::Somebody { .. } => {
                let root = data.root().display();
                let text = format!("another process runs on {root}: stop it first");
                Err(Failure::other(text))
            }
        }
    }

    pub(super) async fn listen(&self) -> Result<Doors> {
        Ok(self.guard.bind(self.address, &self.data.api_token()).await?)
    }
}

/// The signals that stop the process. No signal that arrives after [`Signals::listen`] is lost, no
/// matter when somebody waits for it.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn asked_to_stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => info!("SIGTERM: stopping"),
            _ = self.interrupt.recv() => info!("interrupted: stopping"),
        }
    }

    /// Runs the work that comes before the process serves. Returns `None` when the process was told
    /// to stop first.
    pub(super) async fn unless_stopped<T>(
        &mut self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<Option<T>> {
        tokio::select! {
            done = work => done.map(Some),
            () = self.asked_to_stop() => Ok(None),
        }
    }

    /// Cancels `shutdown` at the first signal.
    pub(super) async fn stop(mut self, shutdown: CancellationToken) -> Result<()> {
        tokio::select! {
            () = self.asked_to_stop() => shutdown.cancel(),
            () = shutdown.cancelled() => {}
        }
        Ok(())
    }
}

/// The line that scripts wait for.
pub(super) fn say_ready(global: &Global, url: &str) {
    match global.log_format {
        LogFormat::Text => eprintln!("hindsight is ready: {url}"),
        LogFormat::Json => {
            eprintln!("{}", serde_json::json!({"level": "INFO", "message": "ready", "api": url}))
        }
    }
}
