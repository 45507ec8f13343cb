//! Waits for a log that does not exist yet, and reports this in the messages and at `/readyz`, on
//! the process's own address.
//!
//! Services are started in any order: a replayer before the first tailer has created the topic, or
//! both before the brokers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use hindsight_holdings::HoldingsError;
use hindsight_runtime::{Backoff, CancellationToken};
use tracing::{info, warn};

use super::process::Process;
use crate::exit::{Failure, Result};

/// When opening takes longer than this, `/readyz` reports it.
const AT_ONCE: Duration = Duration::from_secs(1);
const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Why the process is not ready.
#[derive(Clone)]
struct Reason(Arc<Mutex<String>>);

impl Reason {
    fn now(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the reason. Returns false when the reason was the same before.
    fn set(&self, reason: &str) -> bool {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *now != reason;
        reason.clone_into(&mut now);
        is_new
    }
}

/// Opens a log on brokers, and retries as long as what is missing can appear by itself.
///
/// # Errors
/// Returns the error when waiting cannot cure it, or when the process cannot listen on its address.
pub(super) async fn until_open<T>(
    process: &Process,
    open: impl AsyncFn() -> Result<T, HoldingsError>,
) -> Result<T> {
    let reason = Reason(Arc::new(Mutex::new("the log is being opened".to_owned())));
    let done = CancellationToken::new();
    let serving = serve(process, reason.clone(), done.clone());
    tokio::pin!(serving);
    let opened = tokio::select! {
        opened = tries(open, &reason) => opened,
        served = &mut serving => return Err(served.err().unwrap_or_else(|| Failure::other("the anteroom closed"))),
    };
    // The address must be free again.
    done.cancel();
    serving.await?;
    opened
}

async fn tries<T>(open: impl AsyncFn() -> Result<T, HoldingsError>, reason: &Reason) -> Result<T> {
    let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
    loop {
        match open().await {
            Err(error) if error.can_pass() => {
                let missing = error.to_string();
                if reason.set(&missing) {
                    warn!(reason = missing, "waiting for the log");
                }
                tokio::time::sleep(backoff.next_delay()).await;
            }
            opened => return Ok(opened?),
        }
    }
}

/// Once opening takes long, answers that the process lives and is not ready.
async fn serve(process: &Process, reason: Reason, done: CancellationToken) -> Result<()> {
    tokio::select! {
        () = tokio::time::sleep(AT_ONCE) => {}
        () = done.cancelled() => return Ok(()),
    }
    let doors = process.listen().await?;
    info!(url = doors.url, "not ready yet; /readyz tells why");
    let (metrics, tells) = (process.metrics.clone(), process.guard.is_open());
    let unready = move || {
        let text = if tells { format!("{}\n", reason.now()) } else { "not ready\n".to_owned() };
        std::future::ready((StatusCode::SERVICE_UNAVAILABLE, text))
    };
    let routes = Router::new()
        .route("/metrics", get(move || std::future::ready(metrics.render())))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(unready));
    hindsight_access::serve(doors.doors, routes, done).await;
    Ok(())
}
