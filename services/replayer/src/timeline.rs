//! What happened when: the operations per stretch of time, from the index alone.

use std::num::NonZeroU32;

use hindsight_index::{CommandNote, IndexError, OperationCounts, TimelineRow};
use hindsight_oplog::Timestamp;

use crate::engine::Engine;
use crate::error::QueryError;
use crate::find::NamespacePattern;

/// When the caller does not choose a length, the shortest of [`LENGTHS`] is used that makes at most
/// this many buckets.
const MOST_BUCKETS: u32 = 60;
/// The lengths of a bucket to choose from, in seconds.
const LENGTHS: [u32; 15] =
    [1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400, 604_800];
/// The most commands in one answer. More commands are a storm, which the counts show.
const MOST_COMMANDS: usize = 10_000;

/// The operations of a stretch of time, by bucket and namespace.
#[derive(Debug)]
pub struct Timeline {
    /// The length of a bucket in seconds.
    pub bucket_seconds: NonZeroU32,
    /// The counts of each bucket and namespace in which something happened.
    pub rows: Vec<TimelineRow>,
    /// The newest commands, in the order of the log.
    pub commands: Vec<CommandNote>,
    /// True when there are older commands too.
    pub has_older_commands: bool,
}

impl Engine {
    /// Counts the operations on the collections that the pattern selects (all collections without a
    /// pattern) and on their buckets. No-ops are left out. A rename is included when the pattern
    /// selects either of its names. Without bounds, the timeline covers everything that is held.
    ///
    /// # Errors
    /// Returns [`QueryError::TooLarge`] when the answer has too many rows, and
    /// [`QueryError::Corrupt`] when the index cannot be read.
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
            return Ok(Timeline {
                bucket_seconds: NonZeroU32::MIN,
                rows: Vec::new(),
                commands: Vec::new(),
                has_older_commands: false,
            });
        };
        let from = from.map_or(oldest.first.ts, |from| from.max(oldest.first.ts));
        let to = to.map_or(newest.last.ts, |to| to.min(newest.last.ts));
        let length = bucket_seconds
            .unwrap_or_else(|| length_for(to.seconds().saturating_sub(from.seconds())));
        let matches = |ns: &str| namespace.is_none_or(|pattern| pattern.concerns(ns));
        let is_of = |note: &CommandNote| {
            matches(&note.ns) || note.renamed_to.as_deref().is_some_and(matches)
        };
        let prefix = namespace.map_or("", NamespacePattern::prefix);
        let wanted = |ns: &str, counts: &OperationCounts| counts.changes() > 0 && matches(ns);
        let rows = view.timeline(prefix, from, to, length, &wanted).map_err(unanswered)?;
        let commands = view.commands_newest_first(from, to);
        let of_wanted = commands.filter(|note| note.as_ref().map_or(true, is_of));
        let (commands, has_older_commands) =
            newest_of(of_wanted, MOST_COMMANDS).map_err(QueryError::corrupt)?;
        Ok(Timeline { bucket_seconds: length, rows, commands, has_older_commands })
    }
}

/// Takes at most `most` of the newest items, in their order, and returns whether there are older
/// ones.
fn newest_of<T, E>(
    newest_first: impl Iterator<Item = Result<T, E>>,
    most: usize,
) -> Result<(Vec<T>, bool), E> {
    let mut found = newest_first.take(most.saturating_add(1)).collect::<Result<Vec<T>, E>>()?;
    let has_more = found.len() > most;
    found.truncate(most);
    found.reverse();
    Ok((found, has_more))
}

/// Makes the error of a query. An answer that is too large is not damage.
fn unanswered(error: IndexError) -> QueryError {
    match error {
        IndexError::TooManyRows { limit } => QueryError::TooLarge(format!(
            "the timeline has more than {limit} rows, one for each bucket and namespace in which something happened: \
             ask for longer buckets, a shorter stretch of time, or one namespace"
        )),
        other => QueryError::corrupt(other),
    }
}

fn length_for(seconds: u32) -> NonZeroU32 {
    let fits = |length: &&u32| seconds / **length < MOST_BUCKETS;
    let length = LENGTHS.iter().find(fits).unwrap_or(&LENGTHS[LENGTHS.len() - 1]);
    NonZeroU32::new(*length).expect("none of them is 0")
}

#[cfg(test)]
mod tests {
    use hindsight_index::NamespaceCounts;

    use super::*;
    use crate::sample::{Sample, command, optime};

    /// Returns the names of the commands that are reported for a namespace, and whether there are
    /// older ones.
    fn commands(sample: &Sample, ns: &str) -> (Vec<String>, bool) {
        let pattern = NamespacePattern::parse(ns);
        let found = sample.engine.timeline(Some(&pattern), None, None, None).expect("a timeline");
        let names = found.commands.into_iter().map(|note| note.command);
        (names.collect(), found.has_older_commands)
    }

    #[test]
    fn of_too_many_commands_the_newest_are_told() {
        let mut sample = Sample::empty();
        let most = u32::try_from(MOST_COMMANDS).expect("a small number");
        sample.append(optime(1000, 1), optime(2000, 1), |segment| {
            let note = |nth| command(optime(1500, nth), &format!("create{nth}"), "shop.orders");
            segment.commands = (1..=most).map(note).collect();
            segment.commands.push(command(optime(1600, 1), "drop", "shop.carts"));
        });
        let (told, has_older) = commands(&sample, "shop.orders");
        assert_eq!((told.len(), told[0].as_str(), has_older), (MOST_COMMANDS, "create1", false));
        let (told, has_older) = commands(&sample, "shop.*");
        assert_eq!((told.len(), told[0].as_str(), has_older), (MOST_COMMANDS, "create2", true));
        assert_eq!(told.last().map(String::as_str), Some("drop"));
        assert_eq!(commands(&sample, "shop.carts"), (vec!["drop".to_owned()], false));
    }

    #[test]
    fn a_rename_is_told_of_either_name_and_a_time_series_of_its_buckets() {
        let mut sample = Sample::empty();
        sample.append(optime(1000, 1), optime(1000, 1), |segment| {
            segment.commands = vec![
                CommandNote {
                    renamed_to: Some("t.o".to_owned()),
                    drops_target: true,
                    ..command(optime(1000, 1), "renameCollection", "t.tmp.agg_out.1")
                },
                command(optime(1000, 1), "collMod", "t.system.buckets.w"),
            ];
            let ns = "t.system.buckets.w".to_owned();
            segment.counts = vec![NamespaceCounts { ns, inserts: 7, ..NamespaceCounts::default() }];
        });
        let rename = (vec!["renameCollection".to_owned()], false);
        assert_eq!(commands(&sample, "t.o"), rename);
        assert_eq!(commands(&sample, "t.tmp.agg_out.1"), rename);
        assert_eq!(commands(&sample, "t.tmp"), (vec![], false));
        assert_eq!(commands(&sample, "t.w"), (vec!["collMod".to_owned()], false));
        let pattern = NamespacePattern::parse("t.w");
        let found = sample.engine.timeline(Some(&pattern), None, None, None).expect("a timeline");
        assert_eq!(found.rows.iter().map(|row| row.counts.inserts).collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn only_changes_of_what_is_asked_for_are_counted() {
        let mut sample = Sample::empty();
        sample.append(optime(1000, 1), optime(1000, 1), |segment| {
            let counts = |ns: &str, inserts, noops| NamespaceCounts {
                ns: ns.to_owned(),
                inserts,
                noops,
                ..NamespaceCounts::default()
            };
            segment.counts = vec![
                counts("", 0, 1),
                counts("shop.orders", 2, 0),
                counts("shop.orders2", 3, 0),
                counts("shopping.carts", 4, 0),
            ];
        });
        let told = |ns: Option<&str>| -> Vec<(String, u64)> {
            let pattern = ns.map(NamespacePattern::parse);
            let found = sample.engine.timeline(pattern.as_ref(), None, None, None);
            let rows = found.expect("a timeline").rows.into_iter();
            rows.map(|row| (row.ns, row.counts.inserts)).collect()
        };
        let row = |ns: &str, inserts| (ns.to_owned(), inserts);
        let (orders, others) = (row("shop.orders", 2), row("shop.orders2", 3));
        assert_eq!(told(Some("shop.orders")), std::slice::from_ref(&orders));
        assert_eq!(told(Some("shop.*")), [orders.clone(), others.clone()]);
        assert_eq!(told(None), [orders, others, row("shopping.carts", 4)]);
    }

    #[test]
    fn too_many_rows_are_no_damage() {
        let told = unanswered(IndexError::TooManyRows { limit: 7 });
        let QueryError::TooLarge(text) = told else { panic!("{told:?}") };
        for part in ["more than 7 rows", "longer buckets", "one namespace"] {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
        let damaged = IndexError::Contradiction { sequence: 1, reason: "other bytes".into() };
        assert!(matches!(unanswered(damaged), QueryError::Corrupt(_)));
    }

    #[test]
    fn buckets_are_as_short_as_their_number_allows() {
        for (seconds, length) in [(0, 1), (59, 1), (60, 5), (3599, 60), (3600, 120), (86_399, 1800)]
        {
            assert_eq!(length_for(seconds).get(), length, "{seconds}");
        }
        assert_eq!(length_for(u32::MAX).get(), 604_800);
    }
}
