//! What the source was at a time.

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
    /// What the source was at a time that the history has: for everything that depends on its
    /// version. Reads the manifest of a base.
    ///
    /// # Errors
    /// As [`Engine::view`]; [`QueryError::Corrupt`] for a feature compatibility version that cannot
    /// be read.
    pub fn source_version(&self, at: Timestamp) -> Result<SourceVersion, QueryError> {
        let found = with_id(|id| match self.view(at)?.get(SYSTEM_VERSION, id) {
            // A base without it.
            Err(ReadError::NoSuchCollection { .. }) => Ok(None),
            found => Ok(found?),
        })?;
        let feature_version = found.map(|document| read(&document)).transpose()?.flatten();
        Ok(SourceVersion::new(feature_version, self.series_seen(at)?))
    }

    /// Of which series the source is known to have been until this time: that of the member from
    /// which the base was copied, and those of all feature compatibility versions that the history
    /// has of it.
    ///
    /// # Errors
    /// As [`Engine::source_version`].
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

    /// None where there is no base, or its manifest cannot be read: then a restore is refused for
    /// that, not for this.
    fn series_of_base(&self, at: Timestamp) -> Option<Series> {
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
    call(id.ok_or_else(|| QueryError::Corrupt("a document of one field is empty".to_owned()))?)
}

fn read(document: &[u8]) -> Result<Option<FeatureVersion>, QueryError> {
    Doc::new(document).and_then(FeatureVersion::read).map_err(QueryError::corrupt)
}
