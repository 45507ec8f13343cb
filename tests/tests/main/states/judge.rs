//! Restores what a source holds, and says for each state whether the target holds it.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use hindsight_tests::{RunOutput, dbhash};

use super::answers;
use super::recipe::{Side, State};
use super::servers_own::{Pair, take_away};
use super::source::{Chain, Source, owner, target};

/// What is wrong with states, by the names of the states.
pub(super) type Faults = BTreeMap<String, String>;

/// The most characters that are shown of what is wrong with a state.
const SAID_AT_MOST: usize = 1000;

/// Starts a source of these states. A state that cannot be made or followed, according to the
/// error, is a fault, and the source is started without that state.
pub(super) async fn start(chain: &Chain, states: &[State]) -> Result<(Source, Faults)> {
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

/// Restores into a fresh target. A restore that fails names what it failed on. This is a fault of
/// the state that it belongs to, and the restore is tried again without that state.
pub(super) async fn judge(source: &mut Source, pair: &Pair<'_>) -> Result<Faults> {
    let mut faults = Faults::new();
    while !source.states.is_empty() {
        let target = target(pair.target).await?;
        let output = source.restore(&target, &[]).await?;
        if output.code == Some(0) {
            ensure!(output.json()?["verified"] == true, "not verified: {}", output.stdout);
            faults.extend(compare(source, &target.client().await?, pair).await?);
            return Ok(faults);
        }
        // The plan comes before the error, and the plan's warnings name collections, too.
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

/// Checks that the plan refuses the states that a target cannot hold, each with its collection and
/// reason.
pub(super) async fn judge_refusals(source: &Source, pair: &Pair<'_>) -> Result<Faults> {
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
    // Later steps on the base's copy may turn it into another state.
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

/// Returns what is said of each state, by the databases that the lines name.
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
