use proptest::prelude::*;

use super::*;
use crate::Index;
use crate::sample::segment;

fn counts(ns: &str, inserts: u64, noops: u64) -> NamespaceCounts {
    NamespaceCounts { ns: ns.to_owned(), inserts, noops, ..NamespaceCounts::default() }
}

fn index_of(segments: &[SegmentSummary]) -> (Index, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let index = Index::open(directory.path()).expect("open");
    for segment in segments {
        index.absorb(segment).expect("absorb");
    }
    (index, directory)
}

/// Returns `(bucket, namespace, inserts, noops)` of each row.
fn rows(index: &Index, ns: &str, from: u32, to: u32, length: u32) -> Vec<(u32, String, u64, u64)> {
    let (from, to) = (Timestamp::new(from, 0), Timestamp::new(to, 0));
    let length = NonZeroU32::new(length).expect("not zero");
    let rows = index.view().timeline(ns, from, to, length, &|_, _| true).expect("timeline");
    let row = |r: TimelineRow| (r.start_seconds, r.ns, r.counts.inserts, r.counts.noops);
    rows.into_iter().map(row).collect()
}

#[test]
fn sums_per_bucket_and_namespace() {
    let with =
        |sequence, first, counts| SegmentSummary { counts, ..segment(sequence, first, first) };
    let (index, _directory) = index_of(&[
        with(1, 60, vec![counts("a.x", 1, 0), counts("", 0, 1)]),
        with(2, 119, vec![counts("a.x", 2, 0), counts("a.xy", 5, 0), counts("a.x", 10, 0)]),
        with(3, 120, vec![counts("b.z", 7, 0), counts("a.never", 0, 0)]),
        with(4, 300, vec![counts("a.x", 100, 0)]),
    ]);
    let row = |start, ns: &str, inserts, noops| (start, ns.to_owned(), inserts, noops);
    let minutes = [row(60, "", 0, 1), row(60, "a.x", 13, 0), row(60, "a.xy", 5, 0)];
    assert_eq!(rows(&index, "", 61, 100, 60), minutes, "widened to whole buckets");
    assert_eq!(rows(&index, "a.x", 0, 119, 60), minutes[1..]);
    assert_eq!(rows(&index, "a", 120, 299, 60), []);
    assert_eq!(rows(&index, "b", 120, 120, 60), [row(120, "b.z", 7, 0)]);
    assert_eq!(
        rows(&index, "a.x", 0, u32::MAX, 120),
        [row(0, "a.x", 13, 0), row(0, "a.xy", 5, 0), row(240, "a.x", 100, 0)]
    );
    assert_eq!(
        rows(&index, "a.x", 0, 299, 59),
        [
            row(59, "a.x", 1, 0),
            row(118, "a.x", 12, 0),
            row(118, "a.xy", 5, 0),
            row(295, "a.x", 100, 0)
        ]
    );
}

#[test]
fn only_what_is_asked_for_counts_towards_the_limit() {
    let wanted = |ns: &str, counts: &OperationCounts| ns != "a.y" && counts.changes() > 0;
    let mut rows = Rows { length: 60, most: 2, wanted: &wanted, found: BTreeMap::new() };
    for (seconds, ns, inserts) in
        [(60, "a.x", 1), (60, "a.y", 1), (60, "", 0), (120, "a.x", 1), (121, "a.x", 5)]
    {
        let counts = OperationCounts { inserts, noops: 1, ..OperationCounts::default() };
        rows.add(seconds, ns, counts).expect("two rows fit");
    }
    let counts = OperationCounts { inserts: 1, ..OperationCounts::default() };
    let error = rows.add(180, "a.x", counts).expect_err("three do not");
    assert!(matches!(error, IndexError::TooManyRows { limit: 2 }), "{error}");
    let inserts: Vec<_> = rows.into_rows().iter().map(|row| row.counts.inserts).collect();
    assert_eq!(inserts[..2], [1, 6]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Both ways to answer equal adding up by hand, whatever the namespaces look like.
    #[test]
    fn stored_sums_and_segments_tell_the_same(
        segments in proptest::collection::vec(
            (1u32..200, 0u32..200, proptest::collection::vec(("[a\0.]{0,3}", 0u64..5), 0..4)), 1..12),
        prefix in "[a\0.]{0,2}",
        (from, span) in (0u32..1500, 0u32..1500),
        length in prop_oneof![Just(60u32), Just(180), 1u32..200],
    ) {
        let mut at = 0;
        let mut summaries = Vec::new();
        for (sequence, (step, span, found)) in (1..).zip(&segments) {
            at += step;
            let counts = found.iter().map(|(ns, inserts)| counts(ns, *inserts, 0)).collect();
            summaries.push(SegmentSummary { counts, ..segment(sequence, at, at + span) });
            at += span;
        }
        let (index, _directory) = index_of(&summaries);
        let bucket = |seconds: u32| seconds / length * length;
        let mut expected = BTreeMap::new();
        for summary in &summaries {
            let start = bucket(summary.first.ts.seconds());
            if start < bucket(from) || start > bucket(from + span) {
                continue;
            }
            for counts in &summary.counts {
                if counts.ns.starts_with(&prefix) && counts.inserts > 0 {
                    *expected.entry((start, counts.ns.clone())).or_insert(0) += counts.inserts;
                }
            }
        }
        let expected: Vec<_> =
            expected.into_iter().map(|((start, ns), inserts)| (start, ns, inserts, 0)).collect();
        prop_assert_eq!(rows(&index, &prefix, from, from + span, length), expected);
    }
}
