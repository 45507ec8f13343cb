//! Notes about gaps in the range that is searched. They accompany an answer, so that nobody takes
//! "not found" for "did not happen".

use hindsight_index::GapNotice;
use hindsight_oplog::Timestamp;
use hindsight_refusal::status_of;
use hindsight_replayer::Engine;
use tonic::Status;

/// Limit on the number of gaps that are named.
const NAMED: usize = 3;

/// Returns notes about the gaps between `from` and `to`, the newest first, and about a beginning of
/// the log that was removed.
pub(crate) fn notes(
    engine: &Engine,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<Vec<String>, Status> {
    let gaps = engine.gaps().map_err(status_of)?;
    let from = from.unwrap_or(Timestamp::ZERO);
    let begins = engine.log_begins().map_err(status_of)?.filter(|begins| from < *begins);
    let removed = begins.map(|begins| {
        format!(
            "the log begins at {}: what happened before is no longer kept there, and cannot be found",
            begins.for_people()
        )
    });
    let gaps = of_range(&gaps, from, to.unwrap_or(Timestamp::MAX));
    Ok(gaps.into_iter().chain(removed).collect())
}

fn of_range(gaps: &[GapNotice], from: Timestamp, to: Timestamp) -> Vec<String> {
    let overlaps = |gap: &&GapNotice| gap.after.ts < to && gap.before.ts > from;
    let mut inside: Vec<&GapNotice> = gaps.iter().filter(overlaps).collect();
    inside.sort_by_key(|gap| std::cmp::Reverse(gap.after.ts));
    let mut notes: Vec<String> = inside
        .iter()
        .take(NAMED)
        .map(|gap| {
            format!(
                "entries are missing after {} and before {}: what happened there was never captured, and cannot be \
                 found",
                gap.after.ts.for_people(),
                gap.before.ts.for_people()
            )
        })
        .collect();
    if inside.len() > NAMED {
        let more = inside.len() - NAMED;
        notes.push(format!(
            "entries are missing in {more} more gaps of this range; the windows list all of them"
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use hindsight_oplog::OpTime;

    use super::*;

    fn gap(after: u32, before: u32) -> GapNotice {
        GapNotice {
            after: OpTime::new(after, 1, 1),
            before: OpTime::new(before, 1, 1),
            reason: "rolled over".into(),
            noticed_wall_ms: 0,
        }
    }

    #[test]
    fn only_gaps_of_the_range_are_named_and_the_newest_first() {
        let gaps: Vec<_> = (1..=5).map(|n| gap(n * 100, n * 100 + 50)).collect();
        let notes = |from, to| of_range(&gaps, Timestamp::new(from, 1), Timestamp::new(to, 1));
        assert_eq!(notes(0, 100), Vec::<String>::new());
        assert_eq!(notes(150, 200), Vec::<String>::new());
        let inside = notes(120, 130);
        assert_eq!(inside.len(), 1);
        assert!(inside[0].contains("(100,1)") && inside[0].contains("(150,1)"), "{inside:?}");
        let all = notes(0, 1_000);
        assert_eq!(all.len(), NAMED + 1);
        assert!(all[0].contains("(500,1)") && all[NAMED].contains("2 more gaps"), "{all:?}");
    }
}
