use anyhow::{Context, Result};
use hindsight_proto::v1::VerifyRequest;
use serde_json::Value;

use super::{print_json, print_line};
use crate::backend::Backend;
use crate::cli::{Global, Output, Verify};
use crate::exit::Exit;

pub(super) async fn run(global: &Global, verify: &Verify, backend: &Backend) -> Result<Exit> {
    let answer = backend.verify(VerifyRequest { deep: verify.deep }).await?;
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
