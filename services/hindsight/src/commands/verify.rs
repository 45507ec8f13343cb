use clap::Args;
use hindsight_proto::v1::VerifyRequest;
use serde_json::Value;

use super::Ask;
use super::print::{print_json, print_line};
use crate::backend::Backend;
use crate::cli::{Global, Output};
use crate::exit::{Context, Exit, Result};

/// Check the chain and the checksums of everything that is held.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hindsight verify --deep")]
pub(crate) struct Verify {
    /// Read every byte of the log and the bases, not only the seals.
    #[arg(long)]
    pub deep: bool,
}

impl Ask for Verify {
    async fn ask(&self, global: &Global, backend: &Backend) -> Result<Exit> {
        let answer =
            backend.hindsight().verify(VerifyRequest { deep: self.deep }).await?.into_inner();
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
}
