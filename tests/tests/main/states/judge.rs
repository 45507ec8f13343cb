//! Restores what a source holds and says of each state whether the target holds it.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use hindsight_tests::{RunOutput, dbhash};

use super::answers;
use super::recipe::{Side, State};
use super::servers_own::{Pair, take_away};
use super::source::{Chain, Source, owner, target};

/// What is wrong with states, by their names.
pub type Faults = BTreeMap<String, String>;

/// Letters that are shown of what is wrong with a state.
const SAID_AT_MOST: usize = 1000;

/// A source of these states. One that cannot be made or followed, as the error names it, is a
/// fault, and there is a source without it.
pub async fn start(chain: &Chain, states: &[State]) -> Result<(Source, Faults)> {
    let (mut states, mut faults) = (states.to_vec(), Faults::new());
    loop {
        let error = match Source::start(chain, &states).await {
            Ok(source) => return Ok((source, faults)),
            Err(error) => error,
        };
        let found = blamed(&states, [format!("{error:#}").as_str()].into_iter());
        if found.is_empty() {
            return Err(error);
        }
        println!("  {chain:?}: not to be followed: {found:?}");
        states.retain(|state| !found.contains_key(&state.name()));
        faults.extend(found);
    }
}

/// Restores into a fresh target. A restore that fails names what it fails on: that is a fault of
/// the state it belongs to, and without that state the restore is tried again.
pub async fn judge(source: &mut Source, pair: &Pair<'_>) -> Result<Faults> {
    let mut faults = Faults::new();
    while !source.states.is_empty() {
        let target = target(pair.target).await?;
        let output = source.restore(&target, &[]).await?;
        if output.code == Some(0) {
            ensure!(output.json()?["verified"] == true, "not verified: {}", output.stdout);
            faults.extend(compare(source, &target.client().await?, pair).await?);
            return Ok(faults);
        }
        // Before the error stands the plan, whose warnings name collections too.
        let error = output.stderr.rsplit("error: ").next().unwrap_or_default();
        let found = blamed(&source.states, error.split("; "));
        if found.is_empty() {
            bail!("no state is to blame for: {}", shown(&output));
        }
        println!("  {pair:?}: the restore failed on {:?}", found.keys().collect::<Vec<_>>());
        let names = found.keys().cloned().collect();
        let code = output.code;
        faults.extend(
            found.into_iter().map(|(name, line)| (name, format!("exit code {code:?}: {line}"))),
        );
        source.drop_states(&names).await?;
    }
    Ok(faults)
}

/// The states that a target cannot hold must be refused in the plan, each with its collection and
/// reason.
pub async fn judge_refusals(source: &Source, pair: &Pair<'_>) -> Result<Faults> {
    let target = target(pair.target).await?;
    let mut faults = Faults::new();
    for more in [&["--dry-run"][..], &[]] {
        let output = source.restore(&target, more).await?;
        for state in &source.states {
            if let Some(missing) = not_refused(source, state, pair, &output) {
                faults.insert(state.name(), format!("{missing} in {}", shown(&output)));
            }
        }
    }
    let held = dbhash::snapshot(&target.client().await?).await?;
    ensure!(held.collections.is_empty(), "a refused restore has written: {held:?}");
    Ok(faults)
}

fn not_refused(
    source: &Source,
    state: &State,
    pair: &Pair<'_>,
    output: &RunOutput,
) -> Option<String> {
    let refusal = state.refusal(pair)?;
    if matches!(output.code, None | Some(0)) {
        return Some("it is not refused".to_owned());
    }
    let collection = |side: &Side| format!("{}.{}", state.database(*side), refusal.collection);
    // What is done to the base's copy later may make it another state.
    let named = |side: &&Side| state.later.is_empty() || **side == Side::Log;
    let collections: Vec<String> = source.sides.iter().filter(named).map(collection).collect();
    let mut wanted = collections.iter().chain(&refusal.words);
    wanted.find(|word| !output.stderr.contains(*word)).map(|word| format!("{word:?} is missing"))
}

async fn compare(source: &Source, target: &mongodb::Client, pair: &Pair<'_>) -> Result<Faults> {
    let mut held = dbhash::snapshot(source.client()).await?;
    let mut restored = dbhash::snapshot(target).await?;
    let asked = answers::of(source.client(), &held, &source.states).await?;
    let answered = answers::of(target, &restored, &source.states).await?;
    take_away(pair, &mut held);
    take_away(pair, &mut restored);
    let different = dbhash::diff(&held, &restored).unwrap_or_default();
    let different_answers = answers::diff(&asked, &answered);
    let lines = different.lines().chain(different_answers.iter().map(String::as_str));
    let lines: Vec<&str> = lines.collect();
    let faults = blamed(&source.states, lines.iter().copied());
    ensure!(
        lines.is_empty() || !faults.is_empty(),
        "no state is to blame for: {}",
        lines.join("\n")
    );
    Ok(faults)
}

/// What is said of each state, by the databases that are named.
fn blamed<'a>(states: &[State], lines: impl Iterator<Item = &'a str>) -> Faults {
    let mut faults = Faults::new();
    for line in lines {
        let Some(state) = owner(states, line) else { continue };
        let said = faults.entry(state.name()).or_default();
        if said.len() < SAID_AT_MOST {
            said.extend(line.chars().take(SAID_AT_MOST));
            said.push('\n');
        }
    }
    faults
}

fn shown(output: &RunOutput) -> String {
    let text = format!("{:?}\n{}\n{}", output.code, output.stdout, output.stderr);
    text.chars().take(3000).collect()
}
