//! What the commands that ask the service have in common.

use crate::backend::{Backend, Needs};
use crate::exit::{Exit, Result};
use crate::global::Global;

/// A command that the service answers.
pub(super) trait Ask {
    /// Returns who may answer: any service, unless the command is about a process.
    fn needs(&self) -> Needs {
        Needs::Files
    }

    /// Asks the service, and prints the answer.
    async fn ask(&self, global: &Global, backend: &Backend) -> Result<Exit>;
}

/// Finds the service that answers the command, asks it, and closes the connection or the files.
pub(super) async fn ask(global: &Global, command: &impl Ask) -> Result<Exit> {
    let backend = Backend::locate(global, command.needs()).await?;
    let result = command.ask(global, &backend).await;
    let closed = backend.close().await;
    let exit = result?;
    closed?;
    Ok(exit)
}
