//! What the index is told: a summary of each durable segment, and of each base.

use hindsight_oplog::{OpTime, Timestamp};
use serde::{Deserialize, Serialize};

use crate::serial;

mod of_segment;

/// BLAKE3 of a segment, which links the chain.
pub type Digest = [u8; 32];

/// What the index keeps of one durable segment. Taken from the segment's header and seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentSummary {
    /// Position in the chain; the next segment has the next number.
    pub sequence: u64,
    /// Writer epoch; never falls along the chain (I6).
    pub epoch: u64,
    #[serde(with = "serial::digest")]
    pub digest: Digest,
    /// Digest of segment `sequence - 1`, also across a gap; not looked at for the first segment
    /// held.
    #[serde(with = "serial::digest")]
    pub predecessor: Digest,
    #[serde(with = "serial::optime")]
    pub first: OpTime,
    #[serde(with = "serial::optime")]
    pub last: OpTime,
    /// The source's majority point at the cut.
    #[serde(with = "serial::optime")]
    pub majority: OpTime,
    /// `wall` of the first and last entry, milliseconds since 1970; entries need not have one.
    pub first_wall_ms: Option<i64>,
    pub last_wall_ms: Option<i64>,
    pub entries: u64,
    pub raw_bytes: u64,
    pub stored_bytes: u64,
    /// First optime of the oldest transaction that is unresolved at this segment's end.
    #[serde(with = "serial::optime_or_none")]
    pub oldest_unresolved: Option<OpTime>,
    /// `ts` of the oldest prepare that is neither committed nor aborted at this segment's end.
    /// States from here on are not known yet (I7). Whoever tracks it starts afresh after a gap: the
    /// answer to an older prepare may lie in the gap.
    #[serde(with = "serial::timestamp_or_none")]
    pub oldest_prepared: Option<Timestamp>,
    /// Present when entries are missing between the predecessor's last entry and our first.
    pub gap_before: Option<GapNotice>,
    pub counts: Vec<NamespaceCounts>,
    /// The commands (DDL) in the segment, in order.
    pub commands: Vec<CommandNote>,
    pub cut_reason: String,
}

/// Entries that existed and that we do not hold: all those between two held ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapNotice {
    /// The last entry held before the gap.
    #[serde(with = "serial::optime")]
    pub after: OpTime,
    /// The first entry held after it.
    #[serde(with = "serial::optime")]
    pub before: OpTime,
    pub reason: String,
    pub noticed_wall_ms: i64,
}

/// Operations on one namespace in one segment; a transaction counts as the operations within it,
/// and a rename as a command on either name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceCounts {
    pub ns: String,
    pub inserts: u64,
    pub updates: u64,
    pub deletes: u64,
    pub commands: u64,
    pub noops: u64,
}

/// A command (DDL) and the entry it is in. Several may share one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandNote {
    #[serde(with = "serial::optime")]
    pub optime: OpTime,
    pub command: String,
    pub ns: String,
    /// The new name, for `renameCollection`.
    #[serde(default)]
    pub renamed_to: Option<String>,
    /// That rename dropped the collection which had the new name. Segments of earlier programs do
    /// not tell.
    #[serde(default)]
    pub drops_target: bool,
}

/// What the index keeps of one base. Taken from its manifest, so it exists only for a finished
/// base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseSummary {
    /// Unique; names the base's directory.
    pub name: String,
    /// Oplog top when the copy started.
    #[serde(with = "serial::timestamp")]
    pub start: Timestamp,
    /// The log is needed from here on to use the base: the smaller of `start` and the first optime
    /// of the oldest transaction open then.
    #[serde(with = "serial::optime")]
    pub capture_from: OpTime,
    /// E: from here on (inclusive), base plus log give exact states.
    #[serde(with = "serial::optime")]
    pub exact_from: OpTime,
    pub created_wall_ms: i64,
    pub documents: u64,
    pub bytes: u64,
}

/// A summary that cannot be of a real segment or base, whatever else is held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject} describes itself wrongly: {reason}")]
pub struct InvalidSummary {
    /// `segment 7` or `base "x"`.
    pub subject: String,
    pub reason: String,
}

impl SegmentSummary {
    /// Checks what must hold of a segment on its own.
    pub(crate) fn check(&self) -> Result<(), InvalidSummary> {
        let plausible = match self.entries {
            0 => false,
            1 => self.first == self.last,
            _ => self.first.ts < self.last.ts,
        };
        if !plausible {
            let (first, last) = (self.first, self.last);
            return self.invalid(format!("{} entries from {first} to {last}", self.entries));
        }
        if let Some(unresolved) = self.oldest_unresolved.filter(|at| at.ts > self.last.ts) {
            return self.invalid(format!("unresolved transaction {unresolved} is after its end"));
        }
        if let Some(prepared) = self.oldest_prepared.filter(|at| *at > self.last.ts) {
            return self.invalid(format!("unresolved prepare {prepared} is after its end"));
        }
        if let Some(gap) = &self.gap_before
            && (gap.before != self.first || gap.after.ts >= gap.before.ts)
        {
            let (after, before) = (gap.after, gap.before);
            return self.invalid(format!("gap from {after} to {before} does not end at its start"));
        }
        self.check_commands()
    }

    fn check_commands(&self) -> Result<(), InvalidSummary> {
        if u32::try_from(self.commands.len()).is_err() {
            return self.invalid(format!("{} commands", self.commands.len()));
        }
        for note in &self.commands {
            if note.optime.ts < self.first.ts || note.optime.ts > self.last.ts {
                let (command, at) = (&note.command, note.optime);
                return self.invalid(format!("command {command:?} at {at} is outside its range"));
            }
        }
        Ok(())
    }

    pub(crate) fn invalid<T>(&self, reason: String) -> Result<T, InvalidSummary> {
        Err(InvalidSummary { subject: format!("segment {}", self.sequence), reason })
    }
}

impl BaseSummary {
    /// Checks what must hold of a base on its own.
    pub(crate) fn check(&self) -> Result<(), InvalidSummary> {
        let subject = || format!("base {:?}", self.name);
        if self.name.is_empty() {
            return Err(InvalidSummary { subject: subject(), reason: "it has no name".to_owned() });
        }
        if self.capture_from.ts > self.exact_from.ts {
            let (capture, exact) = (self.capture_from, self.exact_from);
            let reason = format!("needs the log from {capture}, but is exact from {exact} already");
            return Err(InvalidSummary { subject: subject(), reason });
        }
        Ok(())
    }
}
