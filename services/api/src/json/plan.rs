use hindsight_proto::v1 as api;
use serde::Serialize;
use utoipa::ToSchema;

use super::PositionJson;

/// What a restore will write.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RestorePlan)]
pub struct PlanJson {
    /// The last position included.
    pub through: Option<PositionJson>,
    /// The target, without user and password.
    pub target: String,
    pub collections: Vec<String>,
    pub skipped: Vec<SkippedJson>,
    pub warnings: Vec<String>,
    /// The whole plan as text for people.
    pub text: String,
}

/// Something that exists in the state and is not written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Skipped)]
pub struct SkippedJson {
    pub ns: String,
    pub reason: String,
}

impl From<api::RestorePlan> for PlanJson {
    fn from(plan: api::RestorePlan) -> Self {
        Self {
            through: plan.through.map(Into::into),
            target: plan.target,
            collections: plan.namespaces,
            skipped: plan.skipped.into_iter().map(Into::into).collect(),
            warnings: plan.warnings,
            text: plan.text,
        }
    }
}

impl From<api::Skipped> for SkippedJson {
    fn from(skipped: api::Skipped) -> Self {
        Self { ns: skipped.ns, reason: skipped.reason }
    }
}
