//! One process with a tailer: started, killed, stopped and started again.

use std::sync::Arc;

use async_trait::async_trait;
use hindsight_index::Index;
use hindsight_log::{Instance, SegmentLog};
use hindsight_mongo::Deployment;
use hindsight_oplog::OpTime;
use hindsight_runtime::CancellationToken;
use hindsight_tailer::{
    Boards, CaptureError, CaptureSettings, Companion, SetIdentity, Source, Tailer,
};
use tokio::task::JoinHandle;

use crate::connection::{Network, SET_ID, SET_NAME};
use crate::judge::{Violations, watch_positions};
use crate::log::{SimLog, Store};
use crate::plan::Plan;
use crate::set::Set;

/// What a process runs on, across its restarts.
pub(crate) struct Installation {
    pub(crate) instance: Instance,
    pub(crate) index: Arc<Index>,
    pub(crate) running: Option<Process>,
}

/// A process that runs.
pub(crate) struct Process {
    pub(crate) task: JoinHandle<Result<(), CaptureError>>,
    stop: CancellationToken,
    watch: JoinHandle<()>,
}

impl Process {
    /// Ends the process between two of its steps, as a kill does.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
        self.watch.abort();
    }

    /// Asks the process to stop, and waits until it has.
    pub(crate) async fn stop(self) -> Result<(), CaptureError> {
        self.stop.cancel();
        let ended = self.task.await;
        self.watch.abort();
        ended.unwrap_or_else(|error| Err(CaptureError::Program(error.to_string())))
    }
}

/// Starts a process on an installation.
pub(crate) fn start(
    plan: &Plan,
    set: &Arc<Set>,
    store: &Arc<Store>,
    installation: &Installation,
    violations: &Violations,
) -> Process {
    let whole = Arc::clone(set);
    let handle = store.open(installation.instance);
    let boards = Boards::default();
    let (stop, positions) = (CancellationToken::new(), boards.positions.clone());
    let log: Arc<dyn SegmentLog> = Arc::new(handle.clone());
    let tailer = Tailer {
        settings: CaptureSettings {
            source: Source::of(Deployment::scripted(Arc::new(Network(Arc::clone(set))))),
            identity: SetIdentity { replica_set_id: SET_ID, set_name: SET_NAME.to_owned() },
            preference: plan.preference.clone(),
            cut: plan.cut,
            catalog_check_every: std::time::Duration::ZERO,
        },
        log,
        index: Arc::clone(&installation.index),
        instance: installation.instance,
        boards,
        companion: Arc::new(move || Box::new(Beginning(Arc::clone(&whole)))),
    };
    let run = run(tailer, plan.is_shared.then_some(handle), stop.clone());
    let checked = watch_positions(positions, set, store, violations);
    Process { task: tokio::spawn(run), stop, watch: tokio::spawn(checked) }
}

async fn run(
    tailer: Tailer,
    shared: Option<SimLog>,
    stop: CancellationToken,
) -> Result<(), CaptureError> {
    match shared {
        Some(shared) => tailer.take_turns(Arc::new(shared), stop).await,
        None => {
            let first = tailer.prepare(None).await?;
            tailer.run_alone(first, stop).await
        }
    }
}

/// Says where an empty log begins, in the place of a base.
struct Beginning(Arc<Set>);

#[async_trait]
impl Companion for Beginning {
    async fn begin(&mut self) -> Result<Option<OpTime>, CaptureError> {
        let newest = self.0.state().committed.last().map(|entry| entry.optime);
        newest.map(Some).ok_or_else(|| CaptureError::Unavailable("nothing is committed".to_owned()))
    }

    async fn run(self: Box<Self>, shutdown: CancellationToken) -> Result<(), CaptureError> {
        shutdown.cancelled().await;
        Ok(())
    }
}
