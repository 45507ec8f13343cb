//! Runs seeds of the simulation: 2,000, or `HINDSIGHT_SIM_SEEDS` of them from
//! `HINDSIGHT_SIM_FIRST` on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use hindsight_sim::{Counts, Simulator, Violation};

fn setting(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is not a number: {text}")),
        Err(_) => Ok(default),
    }
}

#[test]
fn every_seed_keeps_the_invariants() -> Result<()> {
    let first = setting("HINDSIGHT_SIM_FIRST", 0)?;
    let seeds = setting("HINDSIGHT_SIM_SEEDS", 2000)?;
    let next = AtomicU64::new(first);
    let all = Mutex::new((Counts::new(), Vec::<Violation>::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || -> Result<()> {
        let mut simulator = Simulator::new()?;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return Ok(());
            }
            let outcome = simulator.run(seed)?;
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(outcome) => {
                    for (what, times) in outcome.counts {
                        *all.0.entry(what).or_default() += times;
                    }
                }
                Err(violation) => {
                    println!("{}", violation.0);
                    all.1.push(violation);
                }
            }
            if all.1.len() >= 20 {
                return Ok(());
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|it| it.join().expect("a simulation does not panic"))
    })?;
    let (counts, violations) = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{seeds} seeds from {first}");
    for (what, times) in &counts {
        println!("{times:>12} {what}");
    }
    if let Some(violation) = violations.first() {
        bail!("{} of {seeds} seeds broke a promise; the first: {}", violations.len(), violation.0);
    }
    Ok(())
}

#[test]
fn the_same_seed_gives_the_same_log() -> Result<()> {
    let mut simulators = [Simulator::new()?, Simulator::new()?];
    for seed in 0..setting("HINDSIGHT_SIM_TWICE", 60)? {
        let [first, second] = simulators.each_mut().map(|it| it.run(seed));
        let (first, second) = (first?, second?);
        let recorded = [&first, &second].map(|it| it.as_ref().map(|outcome| &outcome.recorded));
        assert_eq!(recorded[0], recorded[1], "seed {seed}");
    }
    Ok(())
}
