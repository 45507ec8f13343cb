//! What a seed decides at the beginning: the set, the tailers, and how much goes wrong.

use std::time::Duration;

use hindsight_segment::Codec;
use hindsight_tailer::{CutSettings, Preference};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The course of one simulation.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) members: usize,
    /// The most entries that a member keeps.
    pub(crate) capacity: usize,
    pub(crate) tailers: usize,
    /// Whether the log is one that several processes may have open.
    pub(crate) is_shared: bool,
    pub(crate) preference: Preference,
    pub(crate) cut: CutSettings,
    /// How long things go wrong.
    pub(crate) duration: Duration,
    /// The most entries that a primary writes in a step.
    pub(crate) writes: u32,
    /// How likely a fault is, per step.
    pub(crate) trouble: f64,
    /// Whether the set is replaced by a clone with another past, after everything else.
    pub(crate) ends_cloned: bool,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let members = [1, 3, 3, 3, 3, 5][random.random_range(0..6)];
        let is_shared = random.random_bool(0.6);
        Self {
            members,
            capacity: random.random_range(20..200),
            tailers: if is_shared { random.random_range(1..=3) } else { 1 },
            is_shared,
            preference: Preference {
                allow_primary: random.random_bool(0.5),
                ..Preference::default()
            },
            cut: CutSettings {
                bytes: random.random_range(400..20_000),
                age: Duration::from_millis(random.random_range(20..1000)),
                codec: Codec::Lz4,
            },
            duration: Duration::from_secs(random.random_range(5..40)),
            writes: random.random_range(1..6),
            trouble: [0.02, 0.05, 0.1, 0.2][random.random_range(0..4)],
            ends_cloned: random.random_bool(0.05),
        }
    }
}
