//! What can go wrong while capturing, by what the caller must do next.

use hindsight_oplog::OpTime;

#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Try again, perhaps on another member.
    #[error("{0}")]
    Unavailable(String),
    /// The connection string is none: it has to be written otherwise. The message never repeats it.
    #[error("{0}")]
    BadUri(String),
    /// Nothing will change until a person changes something; the message says what.
    #[error("{0}")]
    Refused(String),
    /// The member is no member now, and may be one again: it was started alone, to be mended or given an index.
    #[error("{0}")]
    Standalone(String),
    /// The source's history is not the one we hold (I2). Capture stops; what is held stays restorable.
    #[error(
        "the source's history diverges from the log at {at}: {detail}. Nothing was appended. The log \
         stays restorable up to {at}; to capture the new history, start with another --data directory"
    )]
    Diverged { at: OpTime, detail: String },
    /// What we hold ourselves is damaged or full.
    #[error(transparent)]
    Log(#[from] hindsight_log::LogError),
    #[error("the index: {0}")]
    Index(String),
    /// The source sent something that is not an oplog entry.
    #[error("the source sent a malformed entry after {after}: {detail}")]
    Malformed { after: OpTime, detail: String },
}

/// Codes with which a server says that these credentials do not suffice: Unauthorized (13),
/// AuthenticationFailed (18).
const NOT_ALLOWED: [i32; 2] = [13, 18];

impl CaptureError {
    /// Sorts a driver's error by what to do about it. Its text never holds credentials: the driver does not
    /// put the connection string into errors.
    pub fn from_driver(doing: &str, error: &mongodb::error::Error) -> Self {
        use mongodb::error::ErrorKind;
        let text = describe(error);
        match error.kind.as_ref() {
            ErrorKind::Authentication { .. } => Self::Refused(format!(
                "{doing}: the server refused the credentials ({text}). Check user, password and authSource"
            )),
            ErrorKind::Command(command) if NOT_ALLOWED.contains(&command.code) => {
                Self::Refused(format!(
                    "{doing}: not authorized ({}). The user needs the role clusterMonitor and a role with the \
                     actions find, listCollections and listIndexes on {{anyResource: true}} and \
                     listDatabases on the cluster",
                    command.message
                ))
            }
            ErrorKind::InvalidArgument { .. } => Self::Refused(format!("{doing}: {text}")),
            _ => Self::Unavailable(format!("{doing}: {text}")),
        }
    }

    /// Whether it can pass while a source is followed. Before that, one that is no member most likely never was.
    pub fn passes_while_followed(&self) -> bool {
        matches!(self, Self::Standalone(_)) || self.is_retryable()
    }

    /// Whether it can pass without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Log(error) => error.is_retryable(),
            _ => false,
        }
    }
}

/// The driver's message without what it dumps after it: the topology, labels, the raw answer.
fn describe(error: &mongodb::error::Error) -> String {
    let mut text = error.to_string();
    for dump in [". Topology:", ", labels:", ", server_response:", ", raw_response:"] {
        if let Some(at) = text.find(dump) {
            text.truncate(at);
        }
    }
    text
}
