use clap::Args;

use crate::exit::Exit;

/// Print a shell completion script.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

impl Completions {
    /// Prints the script for the whole command line.
    pub(super) fn run(&self, command: &mut clap::Command) -> Exit {
        clap_complete::generate(self.shell, command, "hindsight", &mut std::io::stdout());
        Exit::Done
    }
}
