//! One port: the gRPC API, `/metrics`, `/healthz`, `/readyz`.

use std::sync::Arc;

use anyhow::Result;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use hindsight_proto::longrunning::operations_server::OperationsServer;
use hindsight_proto::v1::hindsight_server::HindsightServer;
use hindsight_runtime::CancellationToken;
use metrics_exporter_prometheus::PrometheusHandle;
use tonic::service::Routes;

use super::v1;
use crate::access::{self, Door};
use crate::api::{Live, Service};

#[derive(Clone)]
struct Pages {
    metrics: PrometheusHandle,
    live: Live,
}

pub async fn serve(
    doors: Vec<Door>,
    service: Arc<Service>,
    live: Live,
    metrics: PrometheusHandle,
    shutdown: CancellationToken,
) -> Result<()> {
    let pages = axum::Router::new()
        .route("/metrics", get(|State(pages): State<Pages>| async move { pages.metrics.render() }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Pages { metrics, live });
    let routes = Routes::new(HindsightServer::from_arc(Arc::clone(&service)))
        .add_service(OperationsServer::from_arc(Arc::clone(&service)))
        .into_axum_router()
        .reset_fallback()
        .merge(pages)
        .merge(v1::router(service));
    access::serve(doors, routes, shutdown).await;
    Ok(())
}

/// Ready: the source is being read, where one captures or stands by, and the log can be read or written. Not ready
/// says why.
async fn ready(State(pages): State<Pages>) -> (StatusCode, String) {
    let capture = pages.live.capture.now();
    let reasons: Vec<String> =
        [capture.source_error, capture.log_error].into_iter().flatten().collect();
    if reasons.is_empty() && (capture.member.is_some() || pages.live.source.is_none()) {
        return (StatusCode::OK, "ok\n".into());
    }
    let reason =
        if reasons.is_empty() { "no member is read yet".into() } else { reasons.join("; ") };
    (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n"))
}
