//! What the calls about restores share: which state to restore and where to, and names.

use hindsight_proto::v1 as api;
use hindsight_refusal::invalid;
use serde::Deserialize;
use utoipa::ToSchema;

use super::problem::Problem;

/// Which state to restore, and where to. Exactly one of `until` and `before` is needed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Restore)]
pub(crate) struct RestoreBody {
    /// Restore everything up to and including this time.
    until: Option<String>,
    /// Restore everything before this time.
    before: Option<String>,
    /// The target's connection string. It is never logged, stored, or returned.
    to: String,
    /// Write into a target that holds other collections. Nothing is ever overwritten.
    #[serde(default)]
    #[schema(required = false)]
    allow_non_empty: bool,
    /// Leave out individual indexes, options and documents that the target can never hold, and name
    /// them in the report.
    #[serde(default)]
    #[schema(required = false)]
    leave_out_unrestorable: bool,
}

impl RestoreBody {
    /// Returns the message of the same meaning.
    ///
    /// # Errors
    /// Returns a problem unless exactly one of `until` and `before` is given.
    pub(crate) fn spec(self) -> Result<api::RestoreSpec, Problem> {
        let time = match (self.until, self.before) {
            (Some(text), None) => api::TimeSpec { text, exclusive: false },
            (None, Some(text)) => api::TimeSpec { text, exclusive: true },
            _ => {
                return Err(
                    invalid("until", "give either until (included) or before (excluded)").into()
                );
            }
        };
        Ok(api::RestoreSpec {
            time: Some(time),
            to: self.to,
            allow_non_empty: self.allow_non_empty,
            leave_out_unrestorable: self.leave_out_unrestorable,
        })
    }
}

/// Returns the name of an operation. Paths leave out the part that all names begin with.
pub(crate) fn name(id: &str) -> String {
    format!("operations/{id}")
}
