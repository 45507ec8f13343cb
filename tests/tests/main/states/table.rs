//! Checks that the table of pairs in `docs/COMPATIBILITY.md` says what was run.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use hindsight_tests::tools;

/// If this variable is set, rows are written; otherwise they are compared.
const WRITE: &str = "HINDSIGHT_STATES_WRITE";
const START: &str = "<!-- pairs: written by the tests, see tests/tests/main/states -->\n";
const END: &str = "<!-- end of pairs -->";
const HEAD: &str = "| states made by | restored into | states | copies equal | refused in the plan |\n|---|---|---|---|---|\n";

/// The result of one pair.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// The versions that made the states, such as `4.4.2, 5.0.4, 6.0.5`. The last one was the
    /// source.
    pub made_by: String,
    pub target: String,
    pub states: usize,
    pub copies: usize,
    pub refused: usize,
}

impl Row {
    pub(super) fn add(&mut self, other: &Row) {
        self.states += other.states;
        self.copies += other.copies;
    }

    fn start(&self) -> String {
        format!("| {} | {} |", self.made_by, self.target)
    }

    fn line(&self) -> String {
        format!("{} {} | {} | {} |", self.start(), self.states, self.copies, self.refused)
    }
}

/// Compares a row with that in the documentation, or writes it there.
pub(super) fn record(row: &Row) -> Result<()> {
    let path = document()?;
    let text = std::fs::read_to_string(&path)?;
    let (before, rest) = text.split_once(START).context("the table's start is missing")?;
    let (table, after) = rest.split_once(END).context("the table's end is missing")?;
    let mut lines: Vec<&str> = table.lines().skip(2).collect();
    let line = row.line();
    if std::env::var_os(WRITE).is_none() {
        ensure!(
            lines.contains(&line.as_str()),
            "{} does not say what was run: {line}\nRun the test with {WRITE}=1 to write it",
            path.display()
        );
        return Ok(());
    }
    lines.retain(|other| !other.starts_with(&row.start()));
    lines.push(&line);
    lines.sort_unstable();
    let table = format!("{before}{START}{HEAD}{}\n{END}{after}", lines.join("\n"));
    Ok(std::fs::write(&path, table)?)
}

fn document() -> Result<PathBuf> {
    Ok(tools::checkout()?.join("docs/COMPATIBILITY.md"))
}
