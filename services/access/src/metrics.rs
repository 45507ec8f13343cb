//! The metrics of access: callers that are refused, and the audit file.

use hindsight_runtime::Metric;

/// Every metric of this crate.
pub const METRICS: &[Metric] = &[UNAUTHENTICATED, HANDSHAKE_FAILURES, AUDIT_FAILURES];

const UNAUTHENTICATED: Metric = Metric::counter(
    "hindsight_api_unauthenticated_total",
    "Calls refused for a missing or wrong token or certificate.",
);
const HANDSHAKE_FAILURES: Metric = Metric::counter(
    "hindsight_api_handshake_failures_total",
    "Connections on which no TLS session came about.",
);
const AUDIT_FAILURES: Metric = Metric::counter(
    "hindsight_audit_failures_total",
    "Lines that could not be written to the audit file; their calls were refused.",
);

pub(crate) fn caller_refused() {
    UNAUTHENTICATED.add(&[], 1);
}

pub(crate) fn handshake_failed() {
    HANDSHAKE_FAILURES.add(&[], 1);
}

pub(crate) fn audit_failed() {
    AUDIT_FAILURES.add(&[], 1);
}
