//! `Verify`: checks what is held.

use axum::response::Response;
use hindsight_access::Role;
use hindsight_proto::v1 as api;
use hindsight_refusal::status_of;
use hindsight_replayer::{Damage, VerifyReport};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime::Handle;
use tonic::Status;
use utoipa::ToSchema;

use crate::service::{ApiCall, Counted, Place, Service, Unary, about, apart};
use crate::v1::answer::json;
use crate::v1::problem::{Problem, ProblemJson};
use crate::v1::question::{Asker, Body};

impl ApiCall for api::VerifyRequest {
    const NAME: &'static str = "Verify";
    const ROLE: Role = Role::Operator;
    const DOCUMENTS: Counted<Self::Answer> = None;
    type Answer = api::VerifyResponse;

    fn about(&self) -> Value {
        about::given([("deep", self.deep.into())])
    }
}

impl Unary for api::VerifyRequest {
    async fn answer(self, service: &Service, place: Place) -> Result<Self::Answer, Status> {
        let (engine, runtime) = (service.engine.clone(), Handle::current());
        let report = move |place: &Place| {
            let (log, bases) = (engine.log.as_ref(), &engine.bases);
            let report = hindsight_replayer::verify(log, bases, self.deep, place.stop());
            runtime.block_on(report).map_err(status_of)
        };
        apart(place, report).await.map(answer)
    }
}

fn answer(report: VerifyReport) -> api::VerifyResponse {
    let damage = |damage: Damage| api::Damage { what: damage.what, detail: damage.detail };
    api::VerifyResponse {
        sound: report.sound,
        deep: report.deep,
        segments: report.segments,
        entries: report.entries,
        bytes: report.bytes,
        bases: report.bases,
        gaps: report.gaps,
        damaged: report.damaged.into_iter().map(damage).collect(),
        lines: report.lines,
    }
}

/// What was checked, and what was found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VerifyReport)]
pub struct VerifyJson {
    /// Whether nothing that was checked is damaged.
    pub sound: bool,
    /// Whether every byte was read. Otherwise the check read the headers and seals of the segments,
    /// and the manifests and sizes of the bases.
    pub deep: bool,
    /// Number of segments checked.
    pub segments: u64,
    /// Number of entries in these segments.
    pub entries: u64,
    /// Size of these segments in bytes, as they are stored.
    pub bytes: u64,
    /// Number of bases.
    pub bases: u64,
    /// Number of gaps in the log.
    pub gaps: u64,
    /// Everything that is damaged.
    pub damaged: Vec<DamageJson>,
    /// The report as lines for people.
    pub lines: Vec<String>,
}

/// One damaged file or segment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Damage)]
pub struct DamageJson {
    /// The name of the file, segment or base; `log` for the log as a whole.
    pub what: String,
    /// What is wrong with it.
    pub detail: String,
}

impl From<api::VerifyResponse> for VerifyJson {
    fn from(answer: api::VerifyResponse) -> Self {
        let damage = |it: api::Damage| DamageJson { what: it.what, detail: it.detail };
        Self {
            sound: answer.sound,
            deep: answer.deep,
            segments: answer.segments,
            entries: answer.entries,
            bytes: answer.bytes,
            bases: answer.bases,
            gaps: answer.gaps,
            damaged: answer.damaged.into_iter().map(damage).collect(),
            lines: answer.lines,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = VerifyRequest)]
pub(super) struct VerifyBody {
    /// Read every byte of the log and the bases, not only the seals.
    #[serde(default)]
    deep: bool,
}

/// Checks the chain of segments and its checksums, and the bases.
#[utoipa::path(post, path = "/v1/verify", tag = "times", request_body = VerifyBody, responses(
    (status = 200, body = VerifyJson, description = "the report; `sound` says whether everything is sound"),
    (status = "4XX", body = ProblemJson, content_type = "application/problem+json")))]
pub(super) async fn verify(
    asker: Asker,
    Body(body): Body<VerifyBody>,
) -> Result<Response, Problem> {
    let answer = asker.one(api::VerifyRequest { deep: body.deep }).await?;
    Ok(json(&VerifyJson::from(answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scripts read this.
    #[test]
    fn the_report_as_json() {
        let damaged = vec![Damage { what: "base b".into(), detail: "cut".into() }];
        let report = VerifyReport {
            sound: false,
            deep: true,
            segments: 1,
            entries: 2,
            bytes: 3,
            bases: 4,
            gaps: 5,
            damaged,
            lines: vec!["NOT SOUND".into()],
        };
        let json = serde_json::to_string(&VerifyJson::from(answer(report))).expect("plain data");
        let numbers = r#""segments":1,"entries":2,"bytes":3,"bases":4,"gaps":5"#;
        let damaged = r#""damaged":[{"what":"base b","detail":"cut"}],"lines":["NOT SOUND"]"#;
        assert_eq!(json, format!(r#"{{"sound":false,"deep":true,{numbers},{damaged}}}"#));
    }
}
