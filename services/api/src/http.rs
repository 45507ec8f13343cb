//! Serves everything on one port: the gRPC API with health and reflection, the same API as
//! HTTP/JSON, `/metrics`, `/healthz` and `/readyz`.

use std::sync::Arc;

use anyhow::Result;
use axum::extract::State;
use axum::routing::get;
use hindsight_access::Door;
use hindsight_proto::longrunning::operations_server::OperationsServer;
use hindsight_proto::v1::hindsight_server::HindsightServer;
use hindsight_runtime::CancellationToken;
use metrics_exporter_prometheus::PrometheusHandle;
use tonic::service::Routes;

use super::{health, v1};
use crate::service::{Live, Service};

/// What is served beside the API.
#[derive(Clone)]
pub struct Pages {
    pub metrics: PrometheusHandle,
    pub live: Live,
    /// Whether every caller may know why the process is not ready.
    pub tells: bool,
}

/// Returns the calls over gRPC: the routes of a server, or the whole server for a client in the
/// same process.
pub fn calls(service: Arc<Service>) -> Routes {
    Routes::new(HindsightServer::from_arc(Arc::clone(&service)))
        .add_service(OperationsServer::from_arc(service))
}

pub async fn serve(
    doors: Vec<Door>,
    service: Arc<Service>,
    pages: Pages,
    shutdown: CancellationToken,
) -> Result<()> {
    let (reporter, health_server) = tonic_health::server::health_reporter();
    let reporting = health::report(reporter, pages.live.clone(), shutdown.clone());
    let described = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(hindsight_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Older tools ask for `v1alpha`, which was never finished.
    let (reflection, old_reflection) = (described().build_v1()?, described().build_v1alpha()?);
    let pages = axum::Router::new()
        .route("/metrics", get(|State(pages): State<Pages>| async move { pages.metrics.render() }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(
                |State(pages): State<Pages>| async move { health::ready(&pages.live, pages.tells) },
            ),
        )
        .with_state(pages);
    let routes = calls(Arc::clone(&service))
        .add_service(health_server)
        .add_service(reflection)
        .add_service(old_reflection)
        .into_axum_router()
        .reset_fallback()
        .merge(pages)
        .merge(v1::router(service));
    let ((), reported) = tokio::join!(hindsight_access::serve(doors, routes, shutdown), reporting);
    reported
}
