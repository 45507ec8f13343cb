use clap::Args;
use hindsight_api::calls::verify::VerifyJson;
use hindsight_proto::v1::VerifyRequest;

use super::ask::Ask;
use super::print::{print_json, print_line};
use crate::backend::Backend;
use crate::exit::{Exit, Result};
use crate::global::{Global, Output};

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
        let sound = answer.sound;
        match global.output {
            Output::Json => print_json(&VerifyJson::from(answer))?,
            Output::Text => answer.lines.iter().try_for_each(|line| print_line(line))?,
        }
        Ok(if sound { Exit::Done } else { Exit::VerificationFailed })
    }
}
