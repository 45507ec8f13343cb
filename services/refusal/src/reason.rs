//! Errors as callers see them: a code, a text for people, and a reason for programs (AIP-193).

use std::collections::HashMap;

use hindsight_access::DOMAIN;
use hindsight_remedy::{Finding, Remedy, to_json};
use hindsight_replayer::{QueryError, Why};
use hindsight_restore::RestoreError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The name under which remedies travel in a status (`metadata.remedies`).
pub const REMEDIES: &str = "remedies";

/// The reasons in the table at the top of `hindsight.proto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    InvalidArgument,
    InvalidTime,
    InvalidPageToken,
    OutOfWindow,
    Horizon,
    Gap,
    UnresolvedTransaction,
    NoBase,
    HistoryStopped,
    NotYet,
    NoSuchDocument,
    NoSuchCollection,
    Excluded,
    NoSuchOperation,
    TargetNotEmpty,
    TargetUnsuitable,
    TargetUnavailable,
    TargetRefused,
    RequestIdReused,
    VerificationFailed,
    Corrupt,
    Cancelled,
    Interrupted,
    TimedOut,
    TooManyCalls,
    TooLarge,
    Unavailable,
    Internal,
}

impl Reason {
    const ALL: [Self; 28] = [
        Self::InvalidArgument,
        Self::InvalidTime,
        Self::InvalidPageToken,
        Self::OutOfWindow,
        Self::Horizon,
        Self::Gap,
        Self::UnresolvedTransaction,
        Self::NoBase,
        Self::HistoryStopped,
        Self::NotYet,
        Self::NoSuchDocument,
        Self::NoSuchCollection,
        Self::Excluded,
        Self::NoSuchOperation,
        Self::TargetNotEmpty,
        Self::TargetUnsuitable,
        Self::TargetUnavailable,
        Self::TargetRefused,
        Self::RequestIdReused,
        Self::VerificationFailed,
        Self::Corrupt,
        Self::Cancelled,
        Self::Interrupted,
        Self::TimedOut,
        Self::TooManyCalls,
        Self::TooLarge,
        Self::Unavailable,
        Self::Internal,
    ];

    /// Returns the reason that a status carries. None when the status carries none, or one that
    /// this version does not know.
    pub fn of(status: &Status) -> Option<Self> {
        let details = status.get_error_details();
        let name = &details.error_info()?.reason;
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// Returns the name under which programs know the reason.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::InvalidTime => "INVALID_TIME",
            Self::InvalidPageToken => "INVALID_PAGE_TOKEN",
            Self::OutOfWindow => "OUT_OF_WINDOW",
            Self::Horizon => "HORIZON",
            Self::Gap => "GAP",
            Self::UnresolvedTransaction => "UNRESOLVED_TRANSACTION",
            Self::NoBase => "NO_BASE",
            Self::HistoryStopped => "HISTORY_STOPPED",
            Self::NotYet => "NOT_YET",
            Self::NoSuchDocument => "NO_SUCH_DOCUMENT",
            Self::NoSuchCollection => "NO_SUCH_COLLECTION",
            Self::Excluded => "EXCLUDED",
            Self::NoSuchOperation => "NO_SUCH_OPERATION",
            Self::TargetNotEmpty => "TARGET_NOT_EMPTY",
            Self::TargetUnsuitable => "TARGET_UNSUITABLE",
            Self::TargetUnavailable => "TARGET_UNAVAILABLE",
            Self::TargetRefused => "TARGET_REFUSED",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::VerificationFailed => "VERIFICATION_FAILED",
            Self::Corrupt => "CORRUPT",
            Self::Cancelled => "CANCELLED",
            Self::Interrupted => "INTERRUPTED",
            Self::TimedOut => "TIMED_OUT",
            Self::TooManyCalls => "TOO_MANY_CALLS",
            Self::TooLarge => "TOO_LARGE",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }

    /// Returns the code of every status with this reason.
    pub fn code(self) -> Code {
        match self {
            Self::InvalidArgument | Self::InvalidTime | Self::InvalidPageToken => {
                Code::InvalidArgument
            }
            Self::OutOfWindow
            | Self::Horizon
            | Self::Gap
            | Self::UnresolvedTransaction
            | Self::NoBase
            | Self::HistoryStopped
            | Self::NotYet => Code::OutOfRange,
            Self::NoSuchDocument
            | Self::NoSuchCollection
            | Self::Excluded
            | Self::NoSuchOperation => Code::NotFound,
            Self::TargetNotEmpty | Self::TargetUnsuitable => Code::FailedPrecondition,
            Self::TargetUnavailable | Self::Unavailable => Code::Unavailable,
            Self::TargetRefused | Self::Internal => Code::Internal,
            Self::RequestIdReused => Code::AlreadyExists,
            Self::VerificationFailed | Self::Corrupt => Code::DataLoss,
            Self::Cancelled => Code::Cancelled,
            Self::Interrupted => Code::Aborted,
            Self::TimedOut => Code::DeadlineExceeded,
            Self::TooManyCalls | Self::TooLarge => Code::ResourceExhausted,
        }
    }

    /// Returns the status with this text for people. A text that is too long for a header is cut.
    pub fn status(self, text: impl Into<String>) -> Status {
        self.status_with(text, [])
    }

    /// Returns the status for a finding, with its remedies.
    pub fn status_of(self, finding: Finding) -> Status {
        self.status_with(finding.text, [(REMEDIES, &of(&finding.remedies))])
    }

    fn status_with<const N: usize>(
        self,
        text: impl Into<String>,
        metadata: [(&str, &str); N],
    ) -> Status {
        let metadata = metadata.into_iter().filter(|(_, value)| !value.is_empty());
        let metadata: HashMap<String, String> =
            metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let details = ErrorDetails::with_error_info(self.name(), DOMAIN, metadata);
        Status::with_error_details(self.code(), shorten(text.into()), details)
    }
}

/// Returns the status for a field of a request that cannot be understood.
pub fn invalid(field: &str, problem: impl std::fmt::Display) -> Status {
    Reason::InvalidArgument.status_with(format!("{field}: {problem}"), [("field", field)])
}

/// Returns the status for a field of a request that is invalid unless a remedy is applied.
pub fn invalid_unless(field: &str, problem: String, remedies: &[Remedy]) -> Status {
    let metadata = [("field", field), (REMEDIES, &of(remedies))];
    Reason::InvalidArgument.status_with(format!("{field}: {problem}"), metadata)
}

/// Returns the remedies as they travel, and nothing when there are none.
fn of(remedies: &[Remedy]) -> String {
    if remedies.is_empty() { String::new() } else { to_json(remedies) }
}

/// Shortens a text: statuses travel in HTTP headers, which are limited in size.
fn shorten(mut text: String) -> String {
    const LIMIT: usize = 2000;
    if text.len() > LIMIT {
        let end = text.floor_char_boundary(LIMIT);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Returns the status for a query that failed.
pub fn status_of(error: QueryError) -> Status {
    let reason = match &error {
        QueryError::Invalid(_) => Reason::InvalidArgument,
        QueryError::InvalidTime(_) => Reason::InvalidTime,
        QueryError::NotRestorable { why, .. } => match why {
            Why::OutOfWindow => Reason::OutOfWindow,
            Why::Horizon => Reason::Horizon,
            Why::Gap => Reason::Gap,
            Why::UnresolvedTransaction => Reason::UnresolvedTransaction,
            Why::NoBase => Reason::NoBase,
            Why::HistoryStopped => Reason::HistoryStopped,
        },
        QueryError::NotYet { .. } => Reason::NotYet,
        QueryError::NoSuchCollection(_) => Reason::NoSuchCollection,
        QueryError::Excluded(_) => Reason::Excluded,
        QueryError::Corrupt(_) => Reason::Corrupt,
        QueryError::TooLarge(_) => Reason::TooLarge,
        QueryError::Unavailable(_) => Reason::Unavailable,
    };
    let remedies = error.remedies().to_vec();
    reason.status_of(Finding { text: error.to_string(), remedies })
}

/// Returns the status for a restore that was not started, or that failed.
pub fn status_of_restore(error: &RestoreError) -> Status {
    let mut text = error.to_string();
    let reason = match error {
        RestoreError::TargetNotEmpty { .. } => {
            text += ". Nothing was written. To write beside the collections that are there, ";
            text += &Remedy::AllowNonEmpty.to_string();
            Reason::TargetNotEmpty
        }
        RestoreError::Settings(_) => return invalid("to", text),
        RestoreError::VerificationFailed { .. } => Reason::VerificationFailed,
        RestoreError::TargetUnsuitable { .. } => Reason::TargetUnsuitable,
        RestoreError::Unavailable { .. } => Reason::TargetUnavailable,
        RestoreError::WriteRefused { .. } | RestoreError::NotVerbatim { .. } => {
            Reason::TargetRefused
        }
        RestoreError::Cancelled => Reason::Cancelled,
        RestoreError::Source { .. } => Reason::Corrupt,
        RestoreError::Defect(_) => Reason::Internal,
    };
    reason.status_of(Finding { text, remedies: error.remedies() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_travels_with_its_status() {
        let status = invalid("ns", "no dot");
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "ns: no dot"));
        let details = status.get_error_details();
        let info = details.error_info().expect("every status has one");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("INVALID_ARGUMENT", DOMAIN));
        assert_eq!(info.metadata.get("field").map(String::as_str), Some("ns"));
    }

    /// The reasons that `hindsight.proto` lists, with their codes.
    fn listed() -> impl Iterator<Item = (&'static str, &'static str)> {
        let proto = include_str!("../../../proto/hindsight/v1/hindsight.proto");
        let lines = proto.lines().skip_while(|line| !line.starts_with("//   reason ")).skip(1);
        let rows = lines.map_while(|line| line.strip_prefix("//   "));
        rows.filter_map(|row| {
            let mut words = row.split_whitespace();
            Some((words.next()?, words.next()?))
        })
    }

    #[test]
    fn every_reason_that_is_listed_is_known_by_its_name() {
        // The gate answers with these before the service is asked.
        let of_the_gate = ["UNAUTHENTICATED", "PERMISSION_DENIED"];
        let known: Vec<_> = listed().filter(|(name, _)| !of_the_gate.contains(name)).collect();
        assert_eq!(known.len(), Reason::ALL.len());
        for (reason, (name, code)) in Reason::ALL.into_iter().zip(known) {
            let status = reason.status("");
            assert_eq!(reason.name(), name);
            assert_eq!(Reason::of(&status), Some(reason));
            let shown = format!("{:?}", status.code()).to_ascii_uppercase();
            assert_eq!(shown, code.replace('_', ""), "{name}");
        }
        assert_eq!(Reason::of(&Status::internal("")), None);
    }

    #[test]
    fn a_remedy_travels_with_its_status_and_a_field_has_its_name() {
        let namespaces = vec!["shop.orders".to_owned()];
        let status = status_of_restore(&RestoreError::TargetNotEmpty { namespaces });
        let details = status.get_error_details();
        let info = details.error_info().expect("every status has one");
        assert_eq!(info.metadata["remedies"], r#"["allow_non_empty"]"#);
        assert!(!status.message().contains("--"), "{}", status.message());
        let none = Reason::Corrupt.status("no remedy");
        assert!(none.get_error_details().error_info().is_some_and(|it| it.metadata.is_empty()));
        let stopped = Finding::with("it stopped", Remedy::SkipUnknown { name: "x".into() });
        let why = Why::HistoryStopped;
        let status = status_of(QueryError::NotRestorable { why, finding: stopped });
        let details = status.get_error_details();
        let json = &details.error_info().expect("every status has one").metadata["remedies"];
        assert_eq!(json, r#"[{"skip_unknown":{"name":"x"}}]"#);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let status = Reason::Corrupt.status("ö".repeat(3000));
        assert!(status.message().len() < 2010 && status.message().ends_with('…'));
    }
}
