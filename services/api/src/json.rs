//! Answers as JSON: `-o json` prints them, and HTTP/JSON returns them. The field names are a
//! contract.

mod answers;
mod collections;
mod documents;
pub mod operation;
mod plan;
mod texts;

use hindsight_proto::v1 as api;
use serde::Serialize;
use utoipa::ToSchema;

pub use answers::{BasesJson, CommandJson, TimelineJson, WindowJson, WindowsJson};
pub use collections::{CollectionJson, CollectionsJson};
pub use documents::{
    ChangeJson, ChangesJson, DocumentJson, DocumentsJson, EntriesJson, ResolvedTimeJson,
    VersionJson, VersionsJson, spelled,
};
pub use plan::PlanJson;
pub use texts::Notation;

/// A position: MongoDB's cluster time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Position)]
pub struct PositionJson {
    /// Seconds since the Unix epoch.
    pub t: u32,
    /// Number within the second, starting at 1.
    pub i: u32,
}

impl From<api::Timestamp> for PositionJson {
    fn from(position: api::Timestamp) -> Self {
        Self { t: position.t, i: position.i }
    }
}
