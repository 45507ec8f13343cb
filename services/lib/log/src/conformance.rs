//! Tests of what every [`SegmentLog`] does. An implementation describes itself as a [`Subject`] and
//! calls [`run`] in one of its own tests.
//!
//! Each case gets its own subject, and panics when the log does not keep its promise.

use async_trait::async_trait;
use hindsight_segment::{SealedSegment, Sequence};

use crate::{LogError, SegmentLog};

mod cases;
mod faults;
mod segments;
mod trimmed;

pub use segments::{SegmentMaker, sample_entry, sample_source};

/// A log under test. It is empty at first, and stays the same log each time it is opened.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Opens the log for appending. All handles that were returned before have been dropped.
    ///
    /// # Errors
    /// Returns the error of the log under test.
    async fn open(&self) -> Result<Box<dyn SegmentLog>, LogError>;

    /// Opens the log for reading, beside the handle that appends.
    ///
    /// # Errors
    /// Returns the error of the log under test.
    async fn open_reader(&self) -> Result<Box<dyn SegmentLog>, LogError>;

    /// Makes the next append fail.
    async fn fail_next_append(&self, fault: ScriptedFault);

    /// Flips a bit of a stored segment. `permille` is the bit's position, in thousandths of the
    /// segment's length.
    async fn flip_bit(&self, sequence: Sequence, permille: u64);

    /// Stores the bytes of `other` in the place of a stored segment.
    async fn replace(&self, sequence: Sequence, other: SealedSegment);
}

/// How the next append fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptedFault {
    /// The store refuses the segment: nothing was appended.
    Refused,
    /// The segment was stored, but the answer was lost.
    AnswerLost,
}

/// Runs all cases, each on a new subject from `fresh`.
///
/// # Panics
/// Panics when the log does not keep a promise.
pub async fn run<S: Subject>(fresh: impl Fn() -> S) {
    cases::empty_log_has_nothing(&fresh()).await;
    cases::what_is_appended_is_read_back(&fresh()).await;
    cases::appended_segments_survive_reopening(&fresh()).await;
    cases::infos_come_in_pages(&fresh()).await;
    cases::frames_are_read_alone(&fresh()).await;
    cases::what_does_not_follow_is_refused(&fresh()).await;
    cases::another_replica_set_is_refused(&fresh()).await;
    cases::an_older_epoch_is_fenced(&fresh()).await;
    cases::appending_the_end_again_does_nothing(&fresh()).await;
    cases::a_gap_is_carried(&fresh()).await;
    cases::of_two_appends_at_once_one_extends_the_log(&fresh()).await;
    cases::reading_goes_on_while_appending(&fresh()).await;
    faults::a_refused_append_leaves_nothing(&fresh()).await;
    faults::a_lost_answer_is_found_by_repeating(&fresh()).await;
    faults::a_lost_answer_is_seen_at_the_end(&fresh()).await;
    for permille in [0, 5, 250, 500, 750, 990, 999] {
        faults::a_flipped_bit_is_never_served(&fresh(), permille).await;
    }
    faults::a_replaced_segment_is_never_served(&fresh()).await;
    run_trimmed(&fresh).await;
}

/// Runs the cases about logs whose oldest segments were removed.
async fn run_trimmed<S: Subject>(fresh: &impl Fn() -> S) {
    trimmed::a_log_begins_with_its_first_segment(&fresh()).await;
    trimmed::what_was_removed_is_told_and_the_rest_is_read(&fresh()).await;
    trimmed::infos_begin_where_the_log_begins(&fresh()).await;
    trimmed::a_trimmed_log_goes_on_and_stays_trimmed(&fresh()).await;
    trimmed::a_log_is_trimmed_any_number_of_times(&fresh()).await;
    trimmed::the_last_segment_stays(&fresh()).await;
    trimmed::what_does_not_follow_a_trimmed_log_is_refused(&fresh()).await;
    trimmed::a_reader_follows_a_removal(&fresh()).await;
    trimmed::reading_goes_on_while_removing(&fresh()).await;
    for permille in [0, 250, 500, 750, 999] {
        trimmed::a_flipped_bit_in_the_first_segment_is_never_served(&fresh(), permille).await;
    }
    trimmed::a_lost_answer_to_an_append_is_found_in_a_trimmed_log(&fresh()).await;
}
