//! Logs that several processes have open at once. One process leads and appends; the others follow.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use hindsight_oplog::Hex;
use hindsight_remedy::Finding;
use hindsight_segment::WriterEpoch;

use crate::SegmentLog;
use crate::error::LogError;

/// A log that any number of processes may have open, and that at most one of them leads.
///
/// The leader writes with an epoch. Taking the log over ends the epoch before. The former leader
/// learns of it by [`LogError::Fenced`], at the latest when it appends, and what it appends is not
/// part of the log (I6).
#[async_trait]
pub trait SharedLog: SegmentLog {
    /// Takes in what any process has written since the last call, and returns who leads.
    ///
    /// # Errors
    /// Returns an error when the log cannot be read to its end, or is damaged.
    async fn observe(&self) -> Result<Leader, LogError>;

    /// Takes the log over and returns the new epoch. The caller decides whether the present leader
    /// is gone.
    ///
    /// # Errors
    /// Returns [`LogError::Fenced`] when another process took the log over first, and
    /// [`LogError::ReadOnly`] when this handle was opened for reading.
    async fn lead(&self) -> Result<WriterEpoch, LogError>;

    /// Writes a sign of life, so that the other processes see that the leader lives although it has
    /// nothing to append. Returns true when the sign was written. Returns false when nothing was
    /// written because a segment is being appended: the records of that segment are signs of life
    /// too, if they arrive.
    ///
    /// # Errors
    /// Returns [`LogError::Fenced`] when this process no longer leads.
    async fn beat(&self) -> Result<bool, LogError>;

    /// Gives the log up, so that another process does not have to wait until this one counts as
    /// dead.
    ///
    /// # Errors
    /// Returns [`LogError::Fenced`] when this process no longer leads.
    async fn resign(&self) -> Result<(), LogError>;

    /// Records that a base belongs to this log, so that every reader of the log knows which bases
    /// belong to it.
    ///
    /// # Errors
    /// Returns [`LogError::Fenced`] when this process no longer leads.
    async fn announce(&self, base: BaseNotice) -> Result<(), LogError>;

    /// Returns the bases announced so far, oldest first.
    ///
    /// # Errors
    /// Returns an error when the log cannot be read. A damaged log is read up to the damage.
    async fn announced(&self) -> Result<Vec<BaseNotice>, LogError>;

    /// Returns how many of the records read so far are not part of the log, by reason.
    fn ignored(&self) -> Ignored;

    /// Checks what endangers the segments that the log holds: settings that changed for the worse
    /// since the log was opened, and segments that are gone or damaged.
    async fn risks(&self) -> Risks;
}

/// What is in the topic and not part of the log, counted by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Records that Hindsight did not write.
    pub foreign: u64,
    /// Records that claim to be Hindsight's, but are not as this program writes them.
    pub malformed: u64,
    /// Records of a writer that another writer had superseded, or that never held the log.
    pub fenced: u64,
    /// Claims that came too late.
    pub late_claims: u64,
    /// Attempts whose seal never came.
    pub unsealed: u64,
    /// Records of an attempt that had been given up, or whose first records are gone.
    pub stale: u64,
    /// Segments that the log already had, or in whose place it had another segment.
    pub repeated: u64,
    /// Segments after damage, up to the next claim.
    pub after_damage: u64,
}

impl Ignored {
    /// Returns each reason with its count, for metrics.
    pub fn counts(&self) -> [(&'static str, u64); 8] {
        [
            ("foreign", self.foreign),
            ("malformed", self.malformed),
            ("fenced", self.fenced),
            ("late_claim", self.late_claims),
            ("unsealed", self.unsealed),
            ("stale", self.stale),
            ("repeated", self.repeated),
            ("after_damage", self.after_damage),
        ]
    }
}

/// The result of checking whether a log is safe where it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Risks {
    /// The problems found. Each text says how to fix the problem.
    pub found: Vec<Finding>,
    /// What could not be checked, each with the reason. Nothing is known about these.
    pub unchecked: Vec<String>,
}

/// The process that leads a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The leader's epoch; 0 when no process ever led.
    pub epoch: WriterEpoch,
    /// The installation that the leader belongs to.
    pub instance: Instance,
    /// The leader's name, for people.
    pub name: String,
    /// True when the leader has given the log up.
    pub has_resigned: bool,
    /// A count that grows with everything the leader writes.
    pub signs: u64,
}

impl Leader {
    pub(crate) fn nobody() -> Self {
        let name = "nobody".to_owned();
        let (epoch, instance) = (WriterEpoch(0), Instance::UNKNOWN);
        Self { epoch, instance, name, has_resigned: false, signs: 0 }
    }
}

/// An installation: a data directory, across restarts of the process that runs on it. At most one
/// process runs on a data directory at a time. So a process knows that a former leader with the
/// same instance is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance(pub u64);

impl Instance {
    /// An unknown installation. [`Instance::is`] is false for it, whatever it is compared with.
    pub const UNKNOWN: Self = Self(0);

    /// Returns whether both are known to be the same installation.
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

/// A notice that a base belongs to a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseNotice {
    /// The base's name in the directory of bases.
    pub name: String,
    /// The digest of the base's manifest.
    pub digest: BaseDigest,
}

/// BLAKE3 of a base's manifest, which holds digests of everything else in the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseDigest(pub [u8; 32]);

impl fmt::Display for BaseDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Hex(&self.0))
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
