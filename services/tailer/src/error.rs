//! What can go wrong while capturing, by what the caller must do next.

use hindsight_mongo::{Failure, Kind, PRIVILEGES};
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
    /// The member is no member now, and may be one again: it was started alone, to be mended or
    /// given an index.
    #[error("{0}")]
    Standalone(String),
    /// The source's history is not the one we hold (I2). Capture stops; what is held stays
    /// restorable.
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

impl CaptureError {
    /// Sorts a failure by what to do about it. Only missing rights end a capture: what one member
    /// refuses, another one may answer, and what a server of today refuses, it may answer once it
    /// was mended.
    pub fn from_failure(doing: &str, failure: &Failure) -> Self {
        match failure.kind() {
            Kind::Credentials => Self::Refused(format!(
                "{doing}: the server refused the credentials ({failure}). Check user, password and authSource"
            )),
            Kind::Forbidden => Self::Refused(format!(
                "{doing}: not authorized ({failure}). The user needs {PRIVILEGES}"
            )),
            Kind::Passing | Kind::Refused => Self::Unavailable(format!("{doing}: {failure}")),
        }
    }

    /// Whether it can pass while a source is followed. Before that, one that is no member most
    /// likely never was.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_rights_end_a_capture() {
        let sorted = |code| {
            let failure = Failure::from_server(code, "Name", "text");
            CaptureError::from_failure("read the oplog of a:1", &failure)
        };
        for code in [13, 18] {
            assert!(matches!(sorted(code), CaptureError::Refused(_)), "{code}");
        }
        for code in [11600, 59, 136] {
            assert!(sorted(code).is_retryable(), "{code}");
        }
        assert!(sorted(13).to_string().contains("clusterMonitor"), "{}", sorted(13));
    }
}
