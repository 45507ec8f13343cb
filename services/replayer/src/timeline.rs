//! What happened when: operations per stretch of time, from the index alone.

use std::num::NonZeroU32;

use hindsight_index::{CommandNote, TimelineRow};
use hindsight_oplog::Timestamp;

use crate::engine::Engine;
use crate::error::QueryError;
use crate::find::NamespacePattern;

/// Without a wish, the shortest of these that gives at most so many buckets.
const MOST_BUCKETS: u32 = 60;
const LENGTHS: [u32; 15] =
    [1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400, 604_800];
/// Commands in one answer: more are a storm, which the counts show.
const MOST_COMMANDS: usize = 10_000;

pub struct Timeline {
    pub bucket_seconds: NonZeroU32,
    pub rows: Vec<TimelineRow>,
    pub commands: Vec<CommandNote>,
}

impl Engine {
    /// Operations on the namespaces that match (all, without a pattern), no-ops left out. Without bounds: all that is
    /// held.
    pub fn timeline(
        &self,
        namespace: Option<&NamespacePattern>,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        bucket_seconds: Option<NonZeroU32>,
    ) -> Result<Timeline, QueryError> {
        let view = self.index.view();
        let oldest = view.oldest().map_err(QueryError::corrupt)?;
        let newest = view.newest().map_err(QueryError::corrupt)?;
        let (Some(oldest), Some(newest)) = (oldest, newest) else {
            let (bucket_seconds, rows, commands) = (NonZeroU32::MIN, Vec::new(), Vec::new());
            return Ok(Timeline { bucket_seconds, rows, commands });
        };
        let from = from.map_or(oldest.first.ts, |from| from.max(oldest.first.ts));
        let to = to.map_or(newest.last.ts, |to| to.min(newest.last.ts));
        let length = bucket_seconds
            .unwrap_or_else(|| length_for(to.seconds().saturating_sub(from.seconds())));
        let matches = |ns: &str| namespace.is_none_or(|pattern| pattern.matches(ns));
        let prefix = namespace.map_or("", NamespacePattern::prefix);
        let mut rows = view.timeline(prefix, from, to, length).map_err(QueryError::corrupt)?;
        rows.retain(|row| matches(&row.ns) && row.counts.changes() > 0);
        let mut commands = Vec::new();
        for note in view.commands_between(from, to) {
            let note = note.map_err(QueryError::corrupt)?;
            if matches(&note.ns) {
                commands.push(note);
            }
            if commands.len() == MOST_COMMANDS {
                break;
            }
        }
        Ok(Timeline { bucket_seconds: length, rows, commands })
    }
}

fn length_for(seconds: u32) -> NonZeroU32 {
    let fits = |length: &&u32| seconds / **length < MOST_BUCKETS;
    let length = LENGTHS.iter().find(fits).unwrap_or(&LENGTHS[LENGTHS.len() - 1]);
    NonZeroU32::new(*length).expect("none of them is 0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_as_short_as_their_number_allows() {
        for (seconds, length) in [(0, 1), (59, 1), (60, 5), (3599, 60), (3600, 120), (86_399, 1800)]
        {
            assert_eq!(length_for(seconds).get(), length, "{seconds}");
        }
        assert_eq!(length_for(u32::MAX).get(), 604_800);
    }
}
