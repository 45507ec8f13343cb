//! Whether the process works: `/healthz` and `/readyz` for HTTP, grpc.health.v1 for gRPC.
//!
//! The process as a whole (the empty service name) is SERVING while it lives. The service
//! `hindsight.v1.Hindsight` is SERVING while the process is ready.

use std::time::Duration;

use anyhow::Result;
use axum::http::StatusCode;
use hindsight_proto::v1::hindsight_server::HindsightServer;
use hindsight_replayer::Stopped;
use hindsight_runtime::CancellationToken;
use hindsight_tailer::CaptureStatus;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::service::{Live, Service};

/// Limit on how far grpc.health.v1 may be behind.
const INTERVAL: Duration = Duration::from_secs(1);

type Described = HindsightServer<Service>;

/// Returns why the process is not ready, or `None` when it is ready. A process is ready when all of
/// this holds: it reads the source, if it captures or stands by; it can read or write the log; and
/// the history continues, or will continue by itself.
fn unready(live: &Live) -> Option<String> {
    let stopped = live.applied.borrow().stopped.clone();
    why_unready(live.capture.now(), live.source.is_some(), stopped)
}

fn why_unready(capture: CaptureStatus, captures: bool, stopped: Option<Stopped>) -> Option<String> {
    let source_error = capture.source_error.map(|error| error.text);
    let mut reasons: Vec<String> =
        [source_error, capture.log_error].into_iter().flatten().collect();
    if reasons.is_empty() && captures && capture.member.is_none() {
        reasons.push("no member is read yet".into());
    }
    reasons.extend(stopped.map(|stopped| format!("the history has stopped: {}", stopped.reason)));
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Answers `/readyz`. The answer shows the reason only where every caller may know it.
pub(super) fn ready(live: &Live, tells: bool) -> (StatusCode, String) {
    match unready(live) {
        None => (StatusCode::OK, "ok\n".into()),
        Some(reason) if tells => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        Some(_) => {
            let text = "not ready: the status (/v1/status) tells why\n";
            (StatusCode::SERVICE_UNAVAILABLE, text.into())
        }
    }
}

/// Keeps grpc.health.v1 in step with `/readyz`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_work_and_does_not_is_told() {
        let reading = || CaptureStatus { member: Some("a:27017".into()), ..Default::default() };
        let stopped = || Some(Stopped { reason: "base b: it is gone".into(), needs_base: false });
        assert_eq!(why_unready(reading(), true, None), None);
        assert_eq!(why_unready(CaptureStatus::default(), false, None), None);
        let reasons = |capture, captures, stopped| {
            why_unready(capture, captures, stopped).expect("it is not ready")
        };
        assert_eq!(reasons(CaptureStatus::default(), true, None), "no member is read yet");
        let history = "the history has stopped: base b: it is gone";
        assert_eq!(reasons(reading(), true, stopped()), history);
        assert_eq!(reasons(CaptureStatus::default(), false, stopped()), history);
        let full = CaptureStatus { log_error: Some("no space".into()), ..reading() };
        assert_eq!(reasons(full, true, stopped()), format!("no space; {history}"));
    }
}
