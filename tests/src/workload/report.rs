//! What a workload did.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How many statements of one kind were done and failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Statements that succeeded.
    pub done: u64,
    /// Statements that failed.
    pub failed: u64,
    /// The first failure, to distinguish a legitimate refusal from a mistake in the workload.
    pub first_failure: Option<String>,
}

/// The statements of a workload, by kind.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The counts, by the name of the operation.
    pub counts: BTreeMap<&'static str, Count>,
    /// The time spent on operations, without the quiet points.
    pub busy: Duration,
}

impl Report {
    pub(super) fn done(&mut self, name: &'static str) {
        self.counts.entry(name).or_default().done += 1;
    }

    pub(super) fn failed(&mut self, name: &'static str, error: &mongodb::error::Error) {
        let count = self.counts.entry(name).or_default();
        count.failed += 1;
        count.first_failure.get_or_insert_with(|| describe(error));
    }

    pub(super) fn merge(&mut self, other: Report) {
        for (name, count) in other.counts {
            let into = self.counts.entry(name).or_default();
            into.done += count.done;
            into.failed += count.failed;
            into.first_failure = into.first_failure.take().or(count.first_failure);
        }
    }

    /// Returns the number of all statements, including those that failed.
    pub fn total(&self) -> u64 {
        self.counts.values().map(|count| count.done + count.failed).sum()
    }

    /// Returns the statements per second, including those that failed.
    pub fn per_second(&self) -> f64 {
        self.total() as f64 / self.busy.as_secs_f64().max(1e-9)
    }

    /// Returns the kinds of which no statement succeeded.
    pub fn never_done(&self) -> Vec<&'static str> {
        self.counts.iter().filter(|(_, count)| count.done == 0).map(|(name, _)| *name).collect()
    }
}

fn describe(error: &mongodb::error::Error) -> String {
    let text = match error.get_custom::<super::writes::Refused>() {
        Some(refused) => refused.0.clone(),
        None => error.kind.to_string(),
    };
    text.chars().take(300).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} operations in {:.1?}, {:.0} a second",
            self.total(),
            self.busy,
            self.per_second()
        )?;
        for (name, count) in &self.counts {
            write!(f, "{name:26} {:6} done {:5} failed", count.done, count.failed)?;
            if let Some(failure) = &count.first_failure {
                write!(f, "  {}", failure.replace('\n', " "))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
