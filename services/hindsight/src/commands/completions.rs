use clap::{Args, CommandFactory};

use crate::cli::Cli;
use crate::exit::Exit;

/// Print a shell completion script.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Exit {
        let (mut command, mut out) = (Cli::command(), std::io::stdout());
        clap_complete::generate(self.shell, &mut command, "hindsight", &mut out);
        Exit::Done
    }
}
