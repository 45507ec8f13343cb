//! Makes errors of a restore from what a server or the network says.

use hindsight_mongo::{Failure, Kind};
use hindsight_restore::RestoreError;

/// Makes the error of a failed write to `namespace`.
pub(super) fn writing(failure: &Failure, namespace: &str, what: impl Into<String>) -> RestoreError {
    let (namespace, what) = (namespace.to_owned(), what.into());
    match failure.is_passing() {
        true => RestoreError::Unavailable {
            doing: format!("writing {what} of {namespace}"),
            reason: failure.to_string(),
        },
        false => RestoreError::WriteRefused { namespace, what, reason: with_remedy(failure) },
    }
}

/// Makes the error of a failed read of the target.
pub(super) fn reading(failure: &Failure, what: &str) -> RestoreError {
    RestoreError::Unavailable {
        doing: format!("reading {what}"),
        reason: failure.message().to_owned(),
    }
}

/// Returns what the target says, and the remedy where its user is the reason.
pub(super) fn with_remedy(failure: &Failure) -> String {
    let message = failure.message();
    match failure.kind() {
        Kind::Credentials => {
            format!("{message}. Check user, password and authSource in the target's URI")
        }
        Kind::Forbidden => {
            format!(
                "{message}. The target's user needs the roles restore and readAnyDatabase, or root"
            )
        }
        Kind::Passing | Kind::Refused => message.to_owned(),
    }
}
