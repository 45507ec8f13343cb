//! Determines which version the source was at a time.

use std::ops::ControlFlow;

use hindsight_base::Base;
use hindsight_history::{ReadError, Version};
use hindsight_oplog::raw::{Doc, DocWriter, Element};
use hindsight_oplog::{FEATURE_VERSION_ID, FeatureVersion, Series, SourceVersion, Timestamp};

use crate::engine::Engine;
use crate::error::QueryError;

/// The collection that holds the feature compatibility version.
const SYSTEM_VERSION: &str = "admin.system.version";

impl Engine {
    /// Returns which version the source was at a time that the history has. Everything that depends
    /// on the source's version uses this. Reads the manifest of a base.
    ///
    /// # Errors
    /// Returns the errors of [`Engine::view`], and [`QueryError::Corrupt`] when a feature
    /// compatibility version cannot be read.
    pub fn source_version(&self, at: Timestamp) -> Result<SourceVersion, QueryError> {
        let found = with_id(|id| match self.view(at)?.get(SYSTEM_VERSION, id) {
            // The base does not hold this collection.
            Err(ReadError::NoSuchCollection { .. }) => Ok(None),
            found => Ok(found?),
        })?;
        let feature_version = found.map(|document| read(&document)).transpose()?.flatten();
        Ok(SourceVersion::new(feature_version, self.series_seen(at)?))
    }

    /// Returns the series that the source is known to have been until this time: the series of the
    /// member from which the base was copied, and the series of all feature compatibility versions
    /// that the history has of the source.
    ///
    /// # Errors
    /// The same as [`Engine::source_version`].
    pub fn series_seen(&self, at: Timestamp) -> Result<Vec<Series>, QueryError> {
        let mut seen: Vec<Series> = self.series_of_base(at).into_iter().collect();
        let mut malformed = Ok(());
        with_id(|id| {
            let mut see = |version: Version<'_>| {
                let document = version.document.filter(|_| version.visible <= at);
                match document.map(read).transpose() {
                    Ok(found) => {
                        let found = found.flatten();
                        seen.extend(found.map(|it| it.version));
                        seen.extend(found.and_then(|it| it.changing_with));
                        ControlFlow::Continue(())
                    }
                    Err(error) => {
                        malformed = Err(error);
                        ControlFlow::Break(())
                    }
                }
            };
            let history = self.history()?;
            history.versions(SYSTEM_VERSION, id, &mut see).map_err(QueryError::corrupt)
        })?;
        malformed.map(|()| seen)
    }

    /// Returns the series of the base's member. None when there is no base or its manifest cannot
    /// be read: a restore is then refused for that reason, and not for this one.
    fn series_of_base(&self, at: Timestamp) -> Option<Series> {
        let loaded = self.history.as_ref().map(|history| history.generations()).unwrap_or_default();
        let holds = loaded.iter().rev().find(|generation| generation.holds(at));
        let version = holds.and_then(|generation| generation.base.server_version.clone());
        if let Some(version) = version {
            return version.parse().ok();
        }
        let base = self.index.plan(at).ok()?.base;
        let base = Base::open(&self.bases.join(base.name)).ok()?;
        base.manifest().origin.source.server_version.parse().ok()
    }
}

/// Calls with the `_id` of the document that holds the feature compatibility version.
fn with_id<T>(call: impl FnOnce(Element<'_>) -> Result<T, QueryError>) -> Result<T, QueryError> {
    let mut id = DocWriter::new();
    id.string(b"_id", FEATURE_VERSION_ID);
    let id = id.finish();
    let id = Doc::new(&id).and_then(|id| id.first()).map_err(QueryError::corrupt)?;
    call(id.ok_or_else(|| QueryError::corrupt("a document of one field is empty"))?)
}

fn read(document: &[u8]) -> Result<Option<FeatureVersion>, QueryError> {
    Doc::new(document).and_then(FeatureVersion::read).map_err(QueryError::corrupt)
}
