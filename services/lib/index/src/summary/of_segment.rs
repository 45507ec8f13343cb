//! What the index keeps of a segment, taken from its header and seal.

use hindsight_segment::SegmentInfo;

use super::{CommandNote, GapNotice, NamespaceCounts, SegmentSummary};

impl SegmentSummary {
    /// What the index keeps of this segment.
    pub fn of(info: &SegmentInfo) -> Self {
        let seal = &info.seal;
        let counts = seal.namespaces.iter().map(|it| NamespaceCounts {
            ns: it.namespace.clone(),
            inserts: it.counts.inserts.into(),
            updates: it.counts.updates.into(),
            deletes: it.counts.deletes.into(),
            commands: it.counts.commands.into(),
            noops: it.counts.noops.into(),
        });
        let commands = seal.commands.iter().map(|note| CommandNote {
            optime: note.optime,
            command: note.name.clone(),
            ns: note.namespace.clone(),
        });
        Self {
            sequence: info.sequence().0,
            epoch: info.header.epoch.0,
            digest: info.digest.0,
            predecessor: info.header.predecessor.0,
            first: seal.first,
            last: seal.last,
            majority: seal.majority,
            first_wall_ms: seal.first_wall_ms,
            last_wall_ms: seal.last_wall_ms,
            entries: seal.entries,
            raw_bytes: seal.raw_bytes,
            stored_bytes: info.segment_bytes,
            oldest_unresolved: seal.oldest_unresolved,
            oldest_prepared: seal.oldest_prepared,
            gap_before: info.header.gap.as_ref().map(|gap| GapNotice {
                after: gap.after,
                before: gap.before,
                reason: gap.detail.clone(),
                noticed_wall_ms: gap.detected_at_ms,
            }),
            counts: counts.collect(),
            commands: commands.collect(),
            cut_reason: seal.reason.to_string(),
        }
    }
}
