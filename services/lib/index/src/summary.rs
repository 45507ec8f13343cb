//! The input of the index: a summary of each durable segment, and of each base.

use hindsight_oplog::{OpTime, Timestamp};
use serde::{Deserialize, Serialize};

use crate::serial;

mod of_segment;

/// BLAKE3 of a segment, which links the chain.
pub type Digest = [u8; 32];

/// What the index keeps of one durable segment. It is taken from the segment's header and seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentSummary {
    /// The position in the chain. The next segment has the next number.
    pub sequence: u64,
    /// The writer epoch. It never falls along the chain (I6).
    pub epoch: u64,
    /// The segment's digest.
    #[serde(with = "serial::digest")]
    pub digest: Digest,
    /// The digest of segment `sequence - 1`, also across a gap. It is not checked for the first
    /// segment held.
    #[serde(with = "serial::digest")]
    pub predecessor: Digest,
    /// The first entry's optime.
    #[serde(with = "serial::optime")]
    pub first: OpTime,
    /// The last entry's optime.
    #[serde(with = "serial::optime")]
    pub last: OpTime,
    /// The source's majority point at the cut.
    #[serde(with = "serial::optime")]
    pub majority: OpTime,
    /// `wall` of the first entry, in milliseconds since 1970. None when the entry has none.
    pub first_wall_ms: Option<i64>,
    /// `wall` of the last entry, in milliseconds since 1970. None when the entry has none.
    pub last_wall_ms: Option<i64>,
    /// The number of entries.
    pub entries: u64,
    /// The length of all entries in bytes, uncompressed.
    pub raw_bytes: u64,
    /// The length of the whole segment in bytes, as it is stored.
    pub stored_bytes: u64,
    /// The first optime of the oldest transaction that is unresolved at this segment's end.
    #[serde(with = "serial::optime_or_none")]
    pub oldest_unresolved: Option<OpTime>,
    /// `ts` of the oldest prepare that is neither committed nor aborted at this segment's end.
    /// States from here on are not known yet (I7). The writer that tracks it starts afresh after a
    /// gap, because the commit or abort of an older prepare may lie in the gap.
    #[serde(with = "serial::timestamp_or_none")]
    pub oldest_prepared: Option<Timestamp>,
    /// Present when entries are missing between the predecessor's last entry and this segment's
    /// first entry.
    pub gap_before: Option<GapNotice>,
    /// Operations per namespace.
    pub counts: Vec<NamespaceCounts>,
    /// The commands (DDL) in the segment, in order.
    pub commands: Vec<CommandNote>,
    /// Why the segment was closed where it was, as text.
    pub cut_reason: String,
}

/// Entries that existed and that are not held: all those between two held entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapNotice {
    /// The last entry held before the gap.
    #[serde(with = "serial::optime")]
    pub after: OpTime,
    /// The first entry held after the gap.
    #[serde(with = "serial::optime")]
    pub before: OpTime,
    /// Why the entries are missing, as text for people.
    pub reason: String,
    /// When the writer noticed the gap, in milliseconds since 1970.
    pub noticed_wall_ms: i64,
}

/// Operations on one namespace in one segment. A transaction counts as the operations within it. A
/// rename counts as a command on both names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceCounts {
    /// The namespace.
    pub ns: String,
    pub inserts: u64,
    pub updates: u64,
    pub deletes: u64,
    pub commands: u64,
    pub noops: u64,
}

/// A command (DDL) and the entry that holds it. Several commands may share one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandNote {
    /// The entry's optime.
    #[serde(with = "serial::optime")]
    pub optime: OpTime,
    /// The command's name: `create`, `drop`, `renameCollection`, …
    pub command: String,
    /// The namespace that the command works on.
    pub ns: String,
    /// The new name, for `renameCollection`.
    #[serde(default)]
    pub renamed_to: Option<String>,
    /// True when the rename dropped the collection that had the new name. Segments of earlier
    /// programs do not record this.
    #[serde(default)]
    pub drops_target: bool,
}

/// What the index keeps of one base. It is taken from the base's manifest, so it exists only for a
/// finished base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseSummary {
    /// The base's unique name, which is also its directory's name.
    pub name: String,
    /// The top of the oplog when the copy started.
    #[serde(with = "serial::timestamp")]
    pub start: Timestamp,
    /// The optime from which the log is needed to use the base: the smaller of `start` and the
    /// first optime of the oldest transaction that was open then.
    #[serde(with = "serial::optime")]
    pub capture_from: OpTime,
    /// E: from here on (inclusive), base plus log determine exact states.
    #[serde(with = "serial::optime")]
    pub exact_from: OpTime,
    /// When the copy ended, in milliseconds since 1970.
    pub created_wall_ms: i64,
    /// The number of documents in the base.
    pub documents: u64,
    /// The length of the base's data files in bytes, as they are stored.
    pub bytes: u64,
}

/// A summary that cannot describe a real segment or base, whatever else is held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject} describes itself wrongly: {reason}")]
pub struct InvalidSummary {
    /// What the summary is of: `segment 7` or `base "x"`.
    pub subject: String,
    /// What is wrong with the summary.
    pub reason: String,
}

impl SegmentSummary {
    /// Checks what must hold for a segment on its own.
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
    /// Checks what must hold for a base on its own.
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
