//! The API as HTTP/JSON, under /v1: every request is translated to the gRPC call of the same
//! meaning, and the answer to JSON. The handlers are in `calls/`; here is what they share.
//!
//! The description at /openapi.json is generated from the handlers themselves.

pub(crate) mod answer;
mod description;
pub(crate) mod problem;
pub(crate) mod question;
pub(crate) mod restores;

use std::sync::Arc;

use axum::Json;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use crate::calls;
use crate::service::Service;
use description::description_json;
use problem::{no_such_method, no_such_path};

/// The path of the page that shows the description in a browser.
const PAGE: &str = "/docs";
const DESCRIPTION: &str = "/openapi.json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Hindsight",
        description = "The data of a MongoDB replica set as of any time, and restores to any operation.\n\n\
            Times are written as RFC 3339 (`2026-11-21T12:00:00Z`), `2026-11-21T12:00:00` (UTC), `T,I` (a position), \
            or `latest`. Ids are Extended JSON (`42`, `\"abc\"`, `{\"$oid\":\"…\"}`), 24 hex digits \
            for an ObjectId, or any other bare word for a string.\n\n\
            Documents and entries are Extended JSON v2 (`notation=canonical` or `relaxed`). Where the content types of \
            a response include them, `Accept: application/x-ndjson` streams one item per line, and \
            `Accept: application/bson` streams raw BSON. What JSON cannot carry exactly, such as bytes that are not \
            UTF-8 (shown as U+FFFD), is listed in the field `inexact` beside the document, or, when the document is \
            alone on a line, in its last field `$inexact`.\n\n\
            Errors are `application/problem+json` with a `reason` for programs."
    ),
    tags(
        (name = "times", description = "What is held, and what a time means"),
        (name = "search", description = "Finding the operation that did the damage"),
        (name = "data", description = "Data as of a time"),
        (name = "restores", description = "Restores into another MongoDB"),
    )
)]
struct Description;

/// Returns the routes, without state, and their description.
fn described() -> (axum::Router<Arc<Service>>, utoipa::openapi::OpenApi) {
    let mut description = Description::openapi();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    description.components.get_or_insert_default().add_security_scheme("token", bearer);
    calls::route(OpenApiRouter::with_openapi(description)).split_for_parts()
}

pub(super) fn router(service: Arc<Service>) -> axum::Router {
    let (routes, description) = described();
    let description = description_json(&description);
    let page = SwaggerUi::new(PAGE).config(
        utoipa_swagger_ui::Config::from(DESCRIPTION).try_it_out_enabled(true).use_base_layout(),
    );
    routes
        .with_state(service)
        .route(DESCRIPTION, get(move || std::future::ready(Json(description))))
        .method_not_allowed_fallback(no_such_method)
        .merge(page)
        .fallback(no_such_path)
}

#[cfg(test)]
mod tests;
