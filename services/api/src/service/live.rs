//! The state of the running process.

use hindsight_copy::CopyBoard;
use hindsight_holdings::DiskBoard;
use hindsight_oplog::Timestamp;
use hindsight_refusal::{Reason, invalid_unless};
use hindsight_remedy::Remedy;
use hindsight_replayer::Applied;
use hindsight_tailer::{PositionBoard, StatusBoard};
use tokio::sync::watch;
use tonic::Status;

/// What the parts of a running process publish.
#[derive(Clone)]
pub struct Live {
    pub positions: PositionBoard,
    pub capture: StatusBoard,
    pub applied: watch::Receiver<Applied>,
    /// The base copy in progress.
    pub copy: CopyBoard,
    /// How much of the disk is used.
    pub disk: DiskBoard,
    /// The address at which the API is served, with its scheme.
    pub url: String,
    /// `None` in a process that does not capture.
    pub source: Option<SourceLook>,
}

/// Asks the source for its newest write now.
#[derive(Clone)]
pub struct SourceLook {
    pub source: hindsight_tailer::Source,
}

impl SourceLook {
    /// Returns the primary's newest write.
    pub(crate) async fn newest_write(&self) -> Result<Timestamp, Status> {
        let unavailable =
            |error: hindsight_tailer::CaptureError| Reason::Unavailable.status(error.to_string());
        let client = self.source.set_client().map_err(unavailable)?;
        hindsight_tailer::newest_write(&client, "the source").await.map_err(unavailable)
    }
}

impl Live {
    /// Returns how to ask the source.
    ///
    /// # Errors
    /// Returns INVALID_ARGUMENT in a process that does not capture.
    pub(crate) fn source(&self) -> Result<&SourceLook, Status> {
        self.source.as_ref().ok_or_else(|| {
            let text = format!(
                "this process knows the log and not the source, so it cannot tell what was committed until now: {}",
                Remedy::Time
            );
            invalid_unless("time", text, &[Remedy::Time])
        })
    }
}
