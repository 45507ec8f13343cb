//! Opens what an installation holds besides log and index: the history, the audit file, and
//! everything at once for a command that no process answers.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use hindsight_access::AuditLog;
use hindsight_api::service::{Admission, Service};
use hindsight_history::{History, Settings};
use hindsight_holdings::{Access, DataDir, LogChoice, Owner, open};
use hindsight_replayer::{Engine, Follower, QUERY_MEMORY_BYTES};
use hindsight_restores::Restores;
use hindsight_runtime::{Board, Budget};
use hindsight_tailer::PositionBoard;

use crate::exit::{Context, Result};

/// Opens the history.
pub(crate) async fn open_history(data: &DataDir, settings: Settings) -> Result<Arc<History>> {
    let path = data.history();
    let history = tokio::task::spawn_blocking(move || History::open(&path, settings));
    Ok(Arc::new(history.await?.context("open the history")?))
}

/// Opens what commands work on when no process runs. Everything in the log is applied to the
/// history first.
pub(crate) async fn open_offline(
    data: &DataDir,
    choice: &LogChoice,
    bases: Option<&Path>,
    skipped: BTreeSet<String>,
    owner: Owner,
) -> Result<Service> {
    let opened = open(data, choice, bases, Access::Read, &PositionBoard::default()).await?;
    let history = open_history(data, Settings { skipped, ..Settings::default() }).await?;
    let board = Board::default();
    let follower = Follower {
        log: Arc::clone(&opened.log.log),
        index: Arc::clone(&opened.index),
        history: Arc::clone(&history),
        bases: opened.bases.clone(),
        board: board.clone(),
        runtime: tokio::runtime::Handle::current(),
    };
    let applied = board.watch();
    tokio::task::spawn_blocking(move || follower.catch_up_or_stop()).await?;
    Ok(Service {
        engine: Engine {
            log: opened.log.log,
            index: opened.index,
            history: Some(history),
            bases: opened.bases,
            applied,
            memory: Budget::new(QUERY_MEMORY_BYTES),
        },
        restores: Restores::open(&data.restores())?,
        admission: Admission::of_command(open_audit(&data.audit())?),
        live: None,
        hold: Some(Box::new(owner)),
    })
}

/// Opens the audit file. A call that cannot be recorded there is not answered.
pub(crate) fn open_audit(path: &Path) -> Result<AuditLog> {
    AuditLog::open(path).with_context(|| format!("open the audit file {}", path.display()))
}
