//! The matrix of states: each state that servers are known to hold is made before the base and
//! after it, restored into the same version, the next patch and the next major version, and
//! compared in options, indexes, `dbHash` and answers.
//!
//! States are data: `states/*.json`. One source and one restore serve all of them.

use anyhow::{Context, Result, ensure};
use hindsight_tests::{Mongod, MongodOptions};

mod answers;
mod faults;
mod forms;
mod judge;
mod make;
mod recipe;
mod servers_own;
mod source;
mod table;
mod values;

use faults::row_of;
use judge::{Faults, judge, judge_refusals};
use recipe::State;
use servers_own::Pair;
use source::Chain;
use table::Row;

/// One source, and the targets into which its states are restored.
struct Run {
    /// The run takes place when this is the version under test.
    tested: &'static str,
    /// The versions that ran on the source's files, each with its feature compatibility version.
    chain: &'static Chain,
    targets: &'static [&'static str],
}

/// Runs with states that one server makes.
const RUNS: [Run; 6] = [
    Run { tested: "6.0.5", chain: &[("6.0.5", "6.0")], targets: &["6.0.5", "6.0.27"] },
    Run { tested: "4.4.2", chain: &[("4.4.2", "4.4")], targets: &["4.4.2", "5.0.4"] },
    Run { tested: "5.0.4", chain: &[("5.0.4", "5.0")], targets: &["5.0.4", "6.0.5", "6.0.27"] },
    Run { tested: "6.0.27", chain: &[("6.0.27", "6.0")], targets: &["6.0.27", "7.0.28"] },
    Run { tested: "7.0.28", chain: &[("7.0.28", "7.0")], targets: &["7.0.28"] },
    Run { tested: "7.0.28", chain: &[("6.0.5", "6.0")], targets: &["7.0.28"] },
];

/// Runs with states that older servers made and newer servers opened, with the feature
/// compatibility version raised and not raised.
const LEFTOVERS: [Run; 4] = [
    Run {
        tested: "6.0.27",
        chain: &[("4.4.2", "4.4"), ("5.0.4", "5.0"), ("6.0.5", "6.0")],
        targets: &["6.0.5", "6.0.27"],
    },
    Run { tested: "5.0.4", chain: &[("4.4.2", "4.4"), ("5.0.4", "4.4")], targets: &["5.0.4"] },
    Run { tested: "6.0.27", chain: &[("5.0.4", "5.0"), ("6.0.27", "5.0")], targets: &["6.0.27"] },
    Run {
        tested: "7.0.28",
        chain: &[("5.0.4", "5.0"), ("6.0.27", "6.0"), ("7.0.28", "7.0")],
        targets: &["7.0.28"],
    },
];

/// This variable holds a part of the names of the states to run, for work on some of the states.
const ONLY: &str = "HINDSIGHT_STATES";

/// When this variable is set, every server is the same one.
const SERVER_OF_YOUR_OWN: &str = "HINDSIGHT_MONGOD";

#[tokio::test(flavor = "multi_thread")]
async fn every_state_comes_back() -> Result<()> {
    run_all(&RUNS).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_older_servers_made_comes_back() -> Result<()> {
    if std::env::var_os(SERVER_OF_YOUR_OWN).is_some() {
        println!("not run: {SERVER_OF_YOUR_OWN} names one server, and older ones are needed too");
        return Ok(());
    }
    run_all(&LEFTOVERS).await
}

async fn run_all(runs: &[Run]) -> Result<()> {
    let tested = version_under_test().await?;
    let mut wrong = Vec::new();
    if std::env::var_os(SERVER_OF_YOUR_OWN).is_some() {
        // There is no other version that could make states, or into which they could be restored.
        let version: &'static str = tested.leak();
        let major = version.rsplit_once('.').context("a version of three numbers")?.0;
        let run = Run {
            tested: version,
            chain: Box::leak(Box::new([(version, major)])),
            targets: Box::leak(Box::new([version])),
        };
        run.run(&mut wrong).await?;
    } else {
        for run in runs.iter().filter(|run| run.tested == tested) {
            run.run(&mut wrong).await?;
        }
    }
    ensure!(wrong.is_empty(), "{} states are wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// Asks the server itself for its version, because `HINDSIGHT_MONGOD` may name any server.
async fn version_under_test() -> Result<String> {
    let server = Mongod::standalone(&MongodOptions::default()).await?;
    let client = server.client().await?;
    let info = client.database("admin").run_command(bson::doc! {"buildInfo": 1}).await?;
    Ok(info.get_str("version")?.to_owned())
}

impl Run {
    /// Runs all states. One source holds the states that every target takes; states that are
    /// refused or known to be wrong have other sources.
    async fn run(&self, wrong: &mut Vec<String>) -> Result<()> {
        let ((source, _), (last, feature_version)) =
            self.chain.first().zip(self.chain.last()).context("a version")?;
        let pair = |target: &&'static str| Pair { source, last, feature_version, target };
        let pairs: Vec<Pair<'_>> = self.targets.iter().map(pair).collect();
        let (plain, special) = partition(&self.states()?, |state| {
            pairs
                .iter()
                .all(|pair| row_of(&state.name(), pair).is_none() && state.refusal(pair).is_none())
        });
        let (mut source, not_followed) = judge::start(self.chain, &plain).await?;
        let mut rows = Vec::new();
        for pair in &pairs {
            let mut faults = judge(&mut source, pair).await?;
            faults.extend(not_followed.clone());
            rows.push(self.row(pair, &plain, &faults));
            tell(wrong, pair, faults);
        }
        source.stop().await?;
        for (pair, row) in pairs.iter().zip(&mut rows) {
            self.run_special(&special, pair, row, wrong).await?;
        }
        let all = [ONLY, SERVER_OF_YOUR_OWN].iter().all(|name| std::env::var_os(name).is_none());
        if all && wrong.is_empty() {
            rows.iter().try_for_each(table::record)?;
        }
        Ok(())
    }

    async fn run_special(
        &self,
        special: &[State],
        pair: &Pair<'_>,
        row: &mut Row,
        wrong: &mut Vec<String>,
    ) -> Result<()> {
        let (refused, held) = partition(special, |state| state.refusal(pair).is_some());
        if !refused.is_empty() {
            let (source, not_followed) = judge::start(self.chain, &refused).await?;
            tell(wrong, pair, not_followed);
            tell(wrong, pair, judge_refusals(&source, pair).await?);
            source.stop().await?;
            row.refused = refused.len();
        }
        if held.is_empty() {
            return Ok(());
        }
        let (mut source, not_followed) = judge::start(self.chain, &held).await?;
        let mut faults = judge(&mut source, pair).await?;
        faults.extend(not_followed);
        source.stop().await?;
        row.add(&self.row(pair, &held, &faults));
        for state in &held {
            let Some(known) = row_of(&state.name(), pair) else { continue };
            match faults.remove(&state.name()) {
                Some(fault) => {
                    println!("{pair:?}: {} is wrong, as {known} says: {fault}", state.name())
                }
                None => wrong.push(format!(
                    "{pair:?}: {} is right now: take it out of {known}",
                    state.name()
                )),
            }
        }
        tell(wrong, pair, faults);
        Ok(())
    }

    /// Returns the states that a server of the chain takes; for a chain of several servers, the
    /// states that an older server made.
    fn states(&self) -> Result<Vec<State>> {
        let only = std::env::var(ONLY).ok();
        let mut states = recipe::all()?;
        states.retain(|state| only.as_ref().is_none_or(|only| state.name().contains(only)));
        match self.chain {
            [(version, _)] => states.retain(|state| state.exists_on(version)),
            [older @ .., _] => states.retain(|state| {
                state.is_left_behind() && older.iter().any(|(version, _)| state.exists_on(version))
            }),
            [] => {}
        }
        Ok(states)
    }

    fn row(&self, pair: &Pair<'_>, states: &[State], faults: &Faults) -> Row {
        let made_by: Vec<&str> = self.chain.iter().map(|(version, _)| *version).collect();
        let equal = states.iter().filter(|state| !faults.contains_key(&state.name())).count();
        Row {
            made_by: made_by.join(", "),
            target: pair.target.to_owned(),
            states: equal,
            copies: if self.chain.len() == 1 { 2 * equal } else { equal },
            refused: 0,
        }
    }
}

fn partition(states: &[State], is_first: impl Fn(&State) -> bool) -> (Vec<State>, Vec<State>) {
    states.iter().cloned().partition(|state| is_first(state))
}

fn tell(wrong: &mut Vec<String>, pair: &Pair<'_>, faults: Faults) {
    let lines = faults.into_iter();
    wrong.extend(
        lines.map(|(name, what)| format!("{} > {}: {name}: {what}", pair.source, pair.target)),
    );
}
