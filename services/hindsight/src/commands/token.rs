use clap::Subcommand;
use hindsight_access::TokenCreate;

use crate::exit::{Exit, Result};

/// Create tokens for callers of the API.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Create a token. It is printed once, and only its digest is kept.
    Create(TokenCreate),
}

impl Token {
    pub(super) fn run(&self) -> Result<Exit> {
        let Self::Create(create) = self;
        hindsight_access::create_token(create)?;
        Ok(Exit::Done)
    }
}
