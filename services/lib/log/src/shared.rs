//! Logs that several processes have open at once: one of them leads and appends, the others look
//! on.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use hindsight_segment::WriterEpoch;

use crate::SegmentLog;
use crate::error::LogError;
use crate::kafka::Ignored;

/// A log that any number of processes may have open, of which at most one leads.
///
/// Whoever leads writes with an epoch. Taking the log over ends the epoch before: whoever had it
/// learns so by [`LogError::Fenced`], at the latest when it appends, and what it appends is no part
/// of the log (I6).
#[async_trait]
pub trait SharedLog: SegmentLog {
    /// Takes in what was written since, by whomever, and tells who leads.
    async fn observe(&self) -> Result<Leader, LogError>;

    /// Takes the log over. Whether the one who leads is gone is the caller's to judge.
    ///
    /// # Errors
    /// [`LogError::Fenced`] when yet another process was sooner.
    async fn lead(&self) -> Result<WriterEpoch, LogError>;

    /// Lets the others see that the leader lives though it has nothing to append. True when that
    /// was written; false when nothing was said, because a segment is on its way, whose records say
    /// as much if they arrive.
    ///
    /// # Errors
    /// [`LogError::Fenced`] when it leads no more.
    async fn beat(&self) -> Result<bool, LogError>;

    /// Gives the log up: another process need not wait until it counts as dead.
    async fn resign(&self) -> Result<(), LogError>;

    /// Says that a base belongs to this log, so that whoever has the log knows which bases are its
    /// own.
    async fn announce(&self, base: BaseNotice) -> Result<(), LogError>;

    /// The bases announced so far, oldest first.
    async fn announced(&self) -> Result<Vec<BaseNotice>, LogError>;

    /// What was read so far and is no part of the log.
    fn ignored(&self) -> Ignored;

    /// What endangers segments that are held: settings changed for the worse since the log was
    /// opened, segments that are gone or damaged.
    async fn risks(&self) -> Risks;
}

/// What was found when it was looked whether a log is safe where it lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Risks {
    /// Each says what mends it.
    pub found: Vec<String>,
    /// What could not be looked at, each with the reason: nothing is known of it.
    pub unchecked: Vec<String>,
}

/// Who leads a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// 0 when nobody ever led.
    pub epoch: WriterEpoch,
    pub instance: Instance,
    /// For people.
    pub name: String,
    /// It gave the log up.
    pub has_resigned: bool,
    /// Grows with everything that the leader writes.
    pub signs: u64,
}

impl Leader {
    pub(crate) fn nobody() -> Self {
        let name = "nobody".to_owned();
        let (epoch, instance) = (WriterEpoch(0), Instance::UNKNOWN);
        Self { epoch, instance, name, has_resigned: false, signs: 0 }
    }
}

/// An installation: a data directory, across restarts of the process that runs on it. One process
/// at a time runs on a data directory, so whoever runs there knows that the leader of the same
/// instance is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance(pub u64);

impl Instance {
    /// Never the same as any other.
    pub const UNKNOWN: Self = Self(0);

    /// Whether both are known to be one installation.
    pub fn is(self, other: Self) -> bool {
        self == other && self != Self::UNKNOWN
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Instance {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// A base that belongs to a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseNotice {
    /// As in the directory of bases.
    pub name: String,
    pub digest: BaseDigest,
}

/// BLAKE3 of a base's manifest, which holds digests of everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseDigest(pub [u8; 32]);

impl fmt::Display for BaseDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for BaseDigest {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut digest = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(());
        }
        for (byte, at) in digest.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(drop)?;
        }
        Ok(Self(digest))
    }
}
