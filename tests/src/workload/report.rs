//! What a workload did.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Statements of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub done: u64,
    pub failed: u64,
    /// The first refusal, to tell a legitimate one from a mistake here.
    pub first_failure: Option<String>,
}

/// Statements by kind.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub counts: BTreeMap<&'static str, Count>,
    /// Time spent on operations, quiet points excluded.
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

    pub fn total(&self) -> u64 {
        self.counts.values().map(|count| count.done + count.failed).sum()
    }

    pub fn per_second(&self) -> f64 {
        self.total() as f64 / self.busy.as_secs_f64().max(1e-9)
    }

    /// Kinds of which not one statement succeeded.
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
