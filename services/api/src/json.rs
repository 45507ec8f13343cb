//! Answers as JSON: `-o json` prints them, and HTTP/JSON returns them. The field names are a
//! contract. The JSON of a call's answer is in the call's file; here is what several answers hold.

pub mod operation;
mod plan;
mod report;
pub(crate) mod texts;

use hindsight_proto::v1 as api;
use serde::Serialize;
use utoipa::ToSchema;

pub use plan::PlanJson;
pub use report::ReportJson;
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

/// A restore window: every time from `from` through `through` can be restored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Window)]
pub struct WindowJson {
    pub from: Option<PositionJson>,
    pub through: Option<PositionJson>,
}

impl From<api::Window> for WindowJson {
    fn from(window: api::Window) -> Self {
        Self { from: window.from.map(Into::into), through: window.through.map(Into::into) }
    }
}
