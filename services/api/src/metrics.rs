//! The metrics of the API: calls and searches.

use hindsight_runtime::Metric;

/// Every metric of this crate.
pub const METRICS: &[Metric] =
    &[CALLS, CALL_SECONDS, IN_FLIGHT, SEARCH_SEGMENTS, SEARCH_FRAMES, SEARCH_ENTRIES];

const CALLS: Metric =
    Metric::counter("hindsight_api_calls_total", "Calls that ended, by call and gRPC status code.")
        .by(&["call", "code"]);
const CALL_SECONDS: Metric =
    Metric::histogram("hindsight_api_call_seconds", "How long admitted calls took, in seconds.")
        .by(&["call"]);
const IN_FLIGHT: Metric =
    Metric::gauge("hindsight_api_calls_in_flight", "Calls that are being answered.");
const SEARCH_SEGMENTS: Metric = Metric::counter(
    "hindsight_search_segments_total",
    "Segments read by searches that came to their end.",
);
const SEARCH_FRAMES: Metric =
    Metric::counter("hindsight_search_frames_total", "Frames read by these searches.");
const SEARCH_ENTRIES: Metric =
    Metric::counter("hindsight_search_entries_total", "Entries looked at by these searches.");

pub(crate) fn call_began() {
    IN_FLIGHT.shift(&[], 1.0);
}

/// Records that an admitted call ended after `seconds` seconds.
pub(crate) fn call_ended(call: &str, seconds: f64) {
    IN_FLIGHT.shift(&[], -1.0);
    CALL_SECONDS.record(&[call], seconds);
}

/// Counts a call that ended, whether or not it was admitted.
pub(crate) fn call_counted(call: &str, code: &str) {
    CALLS.add(&[call, code], 1);
}

pub(crate) fn searched(segments: u64, frames: u64, entries: u64) {
    SEARCH_SEGMENTS.add(&[], segments);
    SEARCH_FRAMES.add(&[], frames);
    SEARCH_ENTRIES.add(&[], entries);
}
