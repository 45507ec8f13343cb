//! Whether the process works: `/healthz` and `/readyz` for HTTP, grpc.health.v1 for gRPC.
//!
//! The process as a whole (the empty name) serves while it lives; the service `hindsight.v1.Hindsight` while it is ready.

use std::time::Duration;

use anyhow::Result;
use axum::http::StatusCode;
use hindsight_proto::v1::hindsight_server::HindsightServer;
use hindsight_runtime::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::api::{Live, Service};

/// How long grpc.health.v1 may be behind.
const INTERVAL: Duration = Duration::from_secs(1);

type Described = HindsightServer<Service>;

/// Why it is not ready. It is ready when the source is being read, where one captures or stands by, and the log can be
/// read or written.
pub(super) fn unready(live: &Live) -> Option<String> {
    let capture = live.capture.now();
    let reasons: Vec<String> =
        [capture.source_error, capture.log_error].into_iter().flatten().collect();
    if reasons.is_empty() && (capture.member.is_some() || live.source.is_none()) {
        return None;
    }
    Some(if reasons.is_empty() { "no member is read yet".into() } else { reasons.join("; ") })
}

/// `/readyz`; the reason is told only where whoever asks may know it.
pub(super) fn ready(live: &Live, tells: bool) -> (StatusCode, String) {
    match unready(live) {
        None => (StatusCode::OK, "ok\n".into()),
        Some(reason) if tells => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        Some(_) => {
            let text = "not ready: `hindsight status` tells why\n";
            (StatusCode::SERVICE_UNAVAILABLE, text.into())
        }
    }
}

/// Keeps grpc.health.v1 level with `/readyz`.
pub(super) async fn report(
    reporter: HealthReporter,
    live: Live,
    shutdown: CancellationToken,
) -> Result<()> {
    reporter.set_service_status("", ServingStatus::Serving).await;
    loop {
        match unready(&live) {
            None => reporter.set_serving::<Described>().await,
            Some(_) => reporter.set_not_serving::<Described>().await,
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = shutdown.cancelled() => break,
        }
    }
    reporter.set_not_serving::<Described>().await;
    Ok(())
}
