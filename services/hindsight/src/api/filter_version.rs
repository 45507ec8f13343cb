//! Which server's answers filters give: those of the source at the time asked for (docs/decisions/0014).

use bson::{RawDocument, rawdoc};
use hindsight_base::Base;
use hindsight_oplog::Timestamp;
use hindsight_oplog::raw::Doc;
use hindsight_query::ServerVersion;
use hindsight_replayer::Engine;

/// Where nothing is known of the source.
const UNKNOWN: ServerVersion = ServerVersion::new(6, 0);
const SYSTEM_VERSION: &str = "admin.system.version";

/// The newer one of the server that the base was copied from, and of the feature compatibility version then: after an
/// upgrade without a new base the second one tells. `at` is none for a search of entries without an end.
pub(super) fn source_version(engine: &Engine, at: Option<Timestamp>) -> ServerVersion {
    let through = engine.applied.borrow().through;
    let at = at.into_iter().chain(through).min();
    let told =
        at.into_iter().flat_map(|at| [feature_version(engine, at), base_version(engine, at)]);
    told.flatten().max().unwrap_or(UNKNOWN)
}

fn feature_version(engine: &Engine, at: Timestamp) -> Option<ServerVersion> {
    let id = rawdoc! {"_id": "featureCompatibilityVersion"};
    let id = Doc::new(id.as_bytes()).ok()?.first().ok()??;
    let document = engine.view(at).ok()?.get(SYSTEM_VERSION, id).ok()??;
    parse(RawDocument::from_bytes(&document).ok()?.get_str("version").ok()?)
}

fn base_version(engine: &Engine, at: Timestamp) -> Option<ServerVersion> {
    let base = engine.index.plan(at).ok()?.base;
    let base = Base::open(&engine.bases.join(base.name)).ok()?;
    parse(&base.manifest().origin.source.server_version)
}

/// `6.0.27`, or `6.0`.
fn parse(text: &str) -> Option<ServerVersion> {
    let mut numbers = text.split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some(ServerVersion::new(major, minor)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_its_first_two_numbers() {
        for (text, version) in [("6.0.27", (6, 0)), ("4.4", (4, 4)), ("8.0.0-rc1", (8, 0))] {
            assert_eq!(parse(text), Some(ServerVersion::new(version.0, version.1)), "{text}");
        }
        assert!(["", "6", "unknown", "six.zero"].iter().all(|text| parse(text).is_none()));
    }
}
