//! Describes for people what the source's catalog has that no entry shows.

use hindsight_history::{History, Observed};
use hindsight_oplog::Timestamp;

/// The most differences that are listed one by one.
const MOST_LISTED: usize = 50;

/// Returns what a person who restores the state at a time should know.
pub(crate) fn warnings(history: &History, at: Timestamp) -> Vec<String> {
    let Ok(view) = history.reader_at(at) else { return Vec::new() };
    let observed = history.observed_around(at);
    let concerned = observed.iter().filter(|it| view.collection(&it.ns).is_some());
    let mut warnings: Vec<String> = concerned.map(|it| warning(it, at)).collect();
    let more = warnings.len().saturating_sub(MOST_LISTED);
    warnings.truncate(MOST_LISTED);
    if more > 0 {
        warnings.push(format!("{more} more differences between catalog and entries"));
    }
    warnings
}

fn warning(observed: &Observed, at: Timestamp) -> String {
    let Observed { ns, differences, .. } = observed;
    let (what, since) = (differences.join("; "), observed.at.for_people());
    if !observed.taken_up {
        format!("{ns}: {what} (seen at {since}). The state is as the entries say")
    } else if observed.at <= at {
        format!("{ns}: {what}. The state is as members of the source were seen at {since}")
    } else {
        format!(
            "{ns}: {what}. It was seen at {since}, and may have been so at the time to restore already: the state is \
             as the entries say, so make up for it by hand"
        )
    }
}
