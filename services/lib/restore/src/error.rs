//! Errors of a restore, by what the caller does next.

use hindsight_remedy::Remedy;

use super::snapshot::SourceError;

/// Why a restore failed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The target holds other collections, and nothing was written. Use another target, drop these
    /// namespaces, or allow a non-empty target.
    #[error(
        "target not empty: it holds {}; restore into an empty deployment, or drop them", listed(.namespaces, LISTED)
    )]
    TargetNotEmpty { namespaces: Vec<String> },
    /// The target failed a check, and nothing was written. Every failed check is listed.
    #[error("target unsuitable: {}", .problems.join("; "))]
    TargetUnsuitable { problems: Vec<String>, remedies: Vec<Remedy> },
    /// A setting or the target's URI cannot be used; nothing was written.
    #[error("restore settings: {0}")]
    Settings(String),
    /// The target cannot be reached now. Try again once it can.
    #[error("target unavailable while {doing}: {reason}")]
    Unavailable { doing: String, reason: String },
    /// A write was refused, and would be refused again.
    #[error("{namespace}: the target refused {what}: {reason}")]
    WriteRefused { namespace: String, what: String, reason: String },
    /// Only `applyOps` writes the document as it is, and the user may not run that.
    #[error(
        "{namespace}: the target refused the document with _id {id} as it is: {reason}, {NO_RIGHT}; grant it the action \
         applyOps on the cluster (as dbAdminAnyDatabase has), or {}",
        Remedy::LeaveOutUnrestorable
    )]
    NotVerbatim { namespace: String, id: String, reason: String },
    /// The target does not hold what was written.
    #[error("verification failed: {}", .mismatches.join("; "))]
    VerificationFailed { mismatches: Vec<String> },
    /// The restore was cancelled.
    #[error("restore cancelled")]
    Cancelled,
    /// The state could not be read from its source.
    #[error("{namespace}: the state cannot be read: {source}")]
    Source { namespace: String, source: SourceError },
    /// A defect of this program.
    #[error("defect in restore: {0}")]
    Defect(String),
}

/// Follows the reason that lies in the document itself.
pub(super) const NO_RIGHT: &str = "and only applyOps, which this user may not run, stores it so";

impl RestoreError {
    /// Returns what a person can change about the restore, so that it succeeds.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::TargetNotEmpty { .. } => vec![Remedy::AllowNonEmpty],
            Self::TargetUnsuitable { remedies, .. } => remedies.clone(),
            Self::NotVerbatim { .. } => vec![Remedy::LeaveOutUnrestorable],
            _ => Vec::new(),
        }
    }
}

/// The most names that appear in one message.
pub(super) const LISTED: usize = 20;

/// Joins at most `shown` names, and says how many more there are.
pub fn listed(names: &[String], shown: usize) -> String {
    let first = names[..names.len().min(shown)].join(", ");
    match names.len().saturating_sub(shown) {
        0 if names.is_empty() => "nothing".to_owned(),
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        let namespaces = (0..25).map(|number| format!("shop.c{number}")).collect();
        let message = RestoreError::TargetNotEmpty { namespaces }.to_string();
        assert!(message.contains("shop.c19 and 5 more"), "{message}");
        assert!(!message.contains("shop.c20"), "{message}");
    }
}
