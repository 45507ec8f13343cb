use hindsight_proto::v1::VerifyRequest;
use serde_json::Value;

use super::{print_json, print_line};
use crate::backend::Backend;
use crate::cli::{Global, Output, Verify};
use crate::exit::{Context, Exit, Result};

pub(super) async fn run(global: &Global, verify: &Verify, backend: &Backend) -> Result<Exit> {
    let answer =
        backend.hindsight().verify(VerifyRequest { deep: verify.deep }).await?.into_inner();
    let report: Value = serde_json::from_str(&answer.json).context("read the report")?;
    match global.output {
        Output::Json => print_json(&report)?,
        Output::Text => {
            for line in report["lines"].as_array().into_iter().flatten() {
                print_line(line.as_str().unwrap_or_default())?;
            }
        }
    }
    Ok(if answer.sound { Exit::Done } else { Exit::VerificationFailed })
}
