//! Small summaries for tests. Every segment follows the segment with the number before.

use hindsight_oplog::OpTime;

use crate::summary::{
    BaseSummary, CommandNote, Digest, GapNotice, NamespaceCounts, SegmentSummary,
};

pub(crate) fn optime(seconds: u32) -> OpTime {
    OpTime::new(seconds, 0, 1)
}

pub(crate) fn digest(sequence: u64) -> Digest {
    *blake3::hash(&sequence.to_be_bytes()).as_bytes()
}

/// Returns a segment of two entries (one if both ends are the same), with one insert into
/// `shop.orders` and one update.
pub(crate) fn segment(sequence: u64, first: u32, last: u32) -> SegmentSummary {
    let count = |ns: &str, inserts, updates| NamespaceCounts {
        ns: ns.to_owned(),
        inserts,
        updates,
        ..NamespaceCounts::default()
    };
    SegmentSummary {
        sequence,
        epoch: 1,
        digest: digest(sequence),
        predecessor: digest(sequence.wrapping_sub(1)),
        first: optime(first),
        last: optime(last),
        majority: optime(last),
        first_wall_ms: Some(i64::from(first) * 1000),
        last_wall_ms: None,
        entries: if first == last { 1 } else { 2 },
        raw_bytes: 200,
        stored_bytes: 100,
        oldest_unresolved: None,
        oldest_prepared: None,
        gap_before: None,
        counts: vec![count("shop.orders", 1, 0), count("shop.users", 0, 1)],
        commands: Vec::new(),
        cut_reason: "age".to_owned(),
    }
}

pub(crate) fn gap(after: u32, before: u32) -> GapNotice {
    GapNotice {
        after: optime(after),
        before: optime(before),
        reason: "rolled over".to_owned(),
        noticed_wall_ms: 1,
    }
}

pub(crate) fn after_gap(segment: SegmentSummary, after: u32) -> SegmentSummary {
    let before = segment.first.ts.seconds();
    SegmentSummary { gap_before: Some(gap(after, before)), ..segment }
}

pub(crate) fn command(at: u32, command: &str, ns: &str) -> CommandNote {
    CommandNote {
        optime: optime(at),
        command: command.to_owned(),
        ns: ns.to_owned(),
        renamed_to: None,
        drops_target: false,
    }
}

pub(crate) fn base(name: &str, capture_from: u32, exact_from: u32) -> BaseSummary {
    BaseSummary {
        name: name.to_owned(),
        start: optime(capture_from).ts,
        capture_from: optime(capture_from),
        exact_from: optime(exact_from),
        created_wall_ms: 0,
        documents: 1,
        bytes: 1,
    }
}
