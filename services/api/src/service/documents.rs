//! One document: as it was at a time, and all its versions.

use std::ops::ControlFlow;

use bytes::Bytes;
use hindsight_history::{Cause, ReadError};
use hindsight_proto::v1 as api;
use hindsight_replayer::{Engine, QueryError};
use tonic::Status;

use super::absent::no_such_collection;
use super::page::{Page, PageKey};
use super::{Reason, Service, check_ns, collation, id_of, status_of, whereabouts};
use crate::times::to_api;

pub(super) async fn get(
    service: &Service,
    request: api::GetDocumentRequest,
) -> Result<api::GetDocumentResponse, Status> {
    check_ns(&request.ns)?;
    let id = id_of(&request.id)?;
    let at = service.reach(request.at).await?;
    let view = service.engine.view(at).map_err(status_of)?;
    let found = view.get(&request.ns, id).map_err(|error| match error {
        ReadError::NoSuchCollection { .. } => no_such_collection(&view, &request.ns),
        other => status_of(QueryError::from(other)),
    })?;
    let Some(document) = found else {
        collation::check_absent(id, view.collection(&request.ns).as_deref())?;
        let text = format!("{} holds no document with this _id at {at}", request.ns);
        return Err(Reason::NoSuchDocument.status(text));
    };
    Ok(api::GetDocumentResponse { document: document.into(), at: Some(to_api(at)) })
}

pub(super) fn versions(
    engine: &Engine,
    request: &api::ListVersionsRequest,
    is_wanted: &dyn Fn() -> bool,
) -> Result<api::ListVersionsResponse, Status> {
    check_ns(&request.ns)?;
    let id = id_of(&request.id)?;
    let key = PageKey::new("versions", &[request.ns.as_bytes(), &request.id]);
    let skipped = key.number_in(&request.page_token)?;
    let history = engine.history().map_err(status_of)?;
    let (mut page, mut seen) = (Page::of(request.page_size), 0_u64);
    let mut visit = |version: hindsight_history::Version<'_>| {
        seen += 1;
        if !is_wanted() {
            return ControlFlow::Break(());
        }
        if seen <= skipped {
            return ControlFlow::Continue(());
        }
        match page.take(version_of(version), version.document.map_or(0, <[u8]>::len)) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    };
    let found = history.versions(&request.ns, id, &mut visit);
    found.map_err(|error| Reason::Corrupt.status(error.to_string()))?;
    if seen == 0 {
        let states = history.states_named(&request.ns);
        collation::check_absent(id, states.iter().map(|state| &**state))?;
        let never = format!(
            "{} never held a document with this _id, as far as the history reaches",
            request.ns
        );
        let notes = whereabouts::notes(engine, &request.ns);
        let text: Vec<String> = std::iter::once(never).chain(notes).collect();
        return Err(Reason::NoSuchDocument.status(text.join(". ")));
    }
    let next = skipped + page.items.len() as u64;
    let next_page_token = if page.is_cut { key.token(&next.to_be_bytes()) } else { String::new() };
    Ok(api::ListVersionsResponse { versions: page.items, next_page_token })
}

fn version_of(version: hindsight_history::Version<'_>) -> api::Version {
    api::Version {
        from: Some(to_api(version.visible)),
        document: version.document.map(Bytes::copy_from_slice),
        cause: cause(version.cause).into(),
    }
}

fn cause(cause: Cause) -> api::VersionCause {
    match cause {
        Cause::Base => api::VersionCause::Base,
        Cause::Entry => api::VersionCause::Entry,
        Cause::Named => api::VersionCause::CollectionNamed,
        Cause::Unnamed => api::VersionCause::CollectionUnnamed,
    }
}
