use hindsight_oplog::{OpTime, Timestamp};
use tempfile::TempDir;

use super::*;
use crate::plan::NotRestorable;
use crate::sample::{after_gap, base, command, digest, optime, segment};
use crate::{NamespaceCounts, PlanError, ResumePoint};

type Change = fn(&mut SegmentSummary);

struct Fixture {
    index: Index,
    directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let index = Index::open(directory.path()).expect("open");
        Fixture { index, directory }
    }

    fn with(segments: &[SegmentSummary]) -> Self {
        let fixture = Self::new();
        fixture.absorb(segments);
        fixture
    }

    fn absorb(&self, segments: &[SegmentSummary]) {
        for segment in segments {
            assert_eq!(self.index.absorb(segment).expect("absorb"), Absorbed::New);
        }
    }

    fn digest(&self) -> [u8; 32] {
        self.index.digest().expect("digest")
    }

    fn reopened(self) -> Self {
        drop(self.index);
        let index = Index::open(self.directory.path()).expect("open again");
        Fixture { index, directory: self.directory }
    }
}

/// Three segments, a gap, two segments. Several of them share a minute. There are commands, and a
/// prepare in the third segment.
fn story() -> Vec<SegmentSummary> {
    let mut story = vec![
        segment(1, 10, 20),
        segment(2, 21, 30),
        segment(3, 31, 70),
        after_gap(segment(4, 100, 110), 70),
        segment(5, 111, 111),
    ];
    story[1].commands =
        vec![command(21, "create", "shop.orders"), command(21, "createIndexes", "shop.orders")];
    // No operation in the first segment, and one in the second, in the same minute.
    let some = NamespaceCounts { ns: "shop.carts".to_owned(), ..NamespaceCounts::default() };
    story[0].counts.push(some.clone());
    story[1].counts.push(NamespaceCounts { deletes: 1, ..some });
    story[3].commands = vec![command(105, "drop", "shop.orders")];
    story[1].oldest_prepared = Some(Timestamp::new(25, 0));
    story[1].oldest_unresolved = Some(optime(24));
    story
}

#[test]
fn absorbing_twice_equals_once() {
    let (once, twice) = (Fixture::with(&story()), Fixture::with(&story()));
    for segment in &story() {
        assert_eq!(twice.index.absorb(segment).expect("again"), Absorbed::AlreadyHeld);
    }
    assert_eq!(once.digest(), twice.digest());

    let base = base("a", 10, 15);
    assert_eq!(twice.index.absorb_base(&base).expect("new"), Absorbed::New);
    let with_base = twice.digest();
    assert_eq!(twice.index.absorb_base(&base).expect("again"), Absorbed::AlreadyHeld);
    assert_eq!(with_base, twice.digest());
    assert_ne!(with_base, once.digest());
}

#[test]
fn rebuilt_equals_survived() {
    let survived = Fixture::with(&story()[..3]).reopened();
    survived.absorb(&story()[3..]);
    let survived = survived.reopened();
    let expected = survived.digest();
    assert_eq!(Fixture::with(&story()).digest(), expected);

    survived.index.reset().expect("reset");
    assert_eq!(survived.digest(), Fixture::new().digest());
    survived.absorb(&story());
    assert_eq!(survived.digest(), expected);

    let Fixture { index, directory } = survived;
    drop(index);
    Index::delete(directory.path()).expect("delete");
    let rebuilt = Fixture { index: Index::open(directory.path()).expect("open"), directory };
    assert_eq!(rebuilt.index.resume_point().expect("read"), None);
    rebuilt.absorb(&story());
    assert_eq!(rebuilt.digest(), expected);
}

#[test]
fn every_part_of_a_segment_shows_in_the_digest() {
    let original = Fixture::with(&story()).digest();
    let changes: [Change; 6] = [
        |s| s.digest[31] ^= 1,
        |s| s.counts[0].noops += 1,
        |s| s.commands.push(command(111, "drop", "x")),
        |s| s.cut_reason.push('.'),
        |s| s.last_wall_ms = Some(-1),
        |s| s.oldest_prepared = Some(s.last.ts),
    ];
    for change in changes {
        let mut story = story();
        change(story.last_mut().expect("not empty"));
        assert_ne!(Fixture::with(&story).digest(), original);
    }
}

#[test]
fn truncating_equals_never_having_absorbed() {
    let story = story();
    for kept in 0..=story.len() {
        let fixture = Fixture::with(&story);
        let removed = fixture.index.truncate_to(kept as u64).expect("truncate");
        assert_eq!(removed, (story.len() - kept) as u64);
        assert_eq!(fixture.digest(), Fixture::with(&story[..kept]).digest(), "kept {kept}");
        fixture.absorb(&story[kept..]);
        assert_eq!(fixture.digest(), Fixture::with(&story).digest(), "kept {kept}, and again");
    }
}

#[test]
fn truncating_keeps_bases() {
    let fixture = Fixture::with(&story());
    fixture.index.absorb_base(&base("a", 10, 15)).expect("base");
    fixture.index.truncate_to(0).expect("truncate");
    assert_eq!(fixture.index.view().bases().expect("read"), [base("a", 10, 15)]);
}

#[test]
fn the_resume_point_is_the_last_segment_absorbed() {
    let fixture = Fixture::new();
    assert_eq!(fixture.index.resume_point().expect("read"), None);
    fixture.absorb(&story());
    let expected = ResumePoint { sequence: 5, epoch: 1, digest: digest(5), last: optime(111) };
    assert_eq!(fixture.reopened().index.resume_point().expect("read"), Some(expected));
}

#[test]
fn out_of_order_is_refused_and_changes_nothing() {
    let fixture = Fixture::with(&[segment(5, 50, 59), segment(6, 60, 69)]);
    let before = fixture.digest();
    for wrong in [segment(8, 80, 89), segment(4, 40, 49), segment(0, 1, 2)] {
        let error = fixture.index.absorb(&wrong).expect_err("out of order");
        let IndexError::OutOfOrder { expected, given } = error else { panic!("{error:?}") };
        assert_eq!((expected, given), (7, wrong.sequence));
    }
    assert_eq!(fixture.digest(), before);
}

#[test]
fn contradictions_are_refused_and_change_nothing() {
    let fixture = Fixture::with(&story());
    let before = fixture.digest();
    let mut other_digest = story().swap_remove(1);
    other_digest.digest[0] ^= 1;
    let mut other_content = story().swap_remove(1);
    other_content.entries += 1;
    let mut unchained = segment(6, 112, 120);
    unchained.predecessor[0] ^= 1;
    let overlapping = segment(6, 111, 120);
    for wrong in [other_digest, other_content, unchained, overlapping] {
        let error = fixture.index.absorb(&wrong).expect_err("contradiction");
        let IndexError::Contradiction { sequence, .. } = error else { panic!("{error:?}") };
        assert_eq!(sequence, wrong.sequence);
    }
    assert_eq!(fixture.digest(), before);

    fixture.index.absorb_base(&base("a", 10, 15)).expect("base");
    let error = fixture.index.absorb_base(&base("a", 10, 16)).expect_err("name taken");
    assert!(matches!(error, IndexError::BaseNameTaken { .. }), "{error:?}");
}

#[test]
fn impossible_summaries_are_refused_and_change_nothing() {
    let fixture = Fixture::with(&[segment(1, 10, 20)]);
    let before = fixture.digest();
    let changes: [(&str, Change); 10] = [
        ("empty", |s| s.entries = 0),
        ("one entry, two ends", |s| s.entries = 1),
        ("two entries, one end", |s| s.first = s.last),
        ("backwards", |s| std::mem::swap(&mut s.first, &mut s.last)),
        ("unresolved later", |s| s.oldest_unresolved = Some(optime(31))),
        ("prepared later", |s| s.oldest_prepared = Some(Timestamp::new(30, 1))),
        ("gap elsewhere", |s| {
            *s = SegmentSummary { first: optime(22), ..after_gap(s.clone(), 20) }
        }),
        ("command elsewhere", |s| s.commands = vec![command(31, "drop", "a.b")]),
        ("bytes beyond u64", |s| s.raw_bytes = u64::MAX),
        ("counts beyond u64", |s| {
            s.counts[0].inserts = u64::MAX;
            s.counts[1] = s.counts[0].clone();
        }),
    ];
    for (what, change) in changes {
        let mut wrong = segment(2, 21, 30);
        change(&mut wrong);
        let error = fixture.index.absorb(&wrong).expect_err(what);
        assert!(matches!(error, IndexError::Invalid(_)), "{what}: {error:?}");
    }
    for wrong in [base("", 1, 2), base("a", 3, 2)] {
        let error = fixture.index.absorb_base(&wrong).expect_err("invalid");
        assert!(matches!(error, IndexError::Invalid(_)), "{error:?}");
    }
    assert_eq!(fixture.digest(), before);
}

#[test]
fn runs_and_gaps_follow_the_story() {
    let fixture = Fixture::with(&story());
    let view = fixture.index.view();
    let runs = view.runs().expect("runs");
    let ends: Vec<_> = runs
        .iter()
        .map(|r| (r.first_sequence, r.last_sequence, r.first, r.last, r.entries, r.raw_bytes))
        .collect();
    assert_eq!(
        ends,
        [(1, 3, optime(10), optime(70), 6, 600), (4, 5, optime(100), optime(111), 3, 400)]
    );
    assert_eq!(view.gaps().expect("gaps"), [crate::sample::gap(70, 100)]);
}

#[test]
fn segments_are_found_by_number_and_by_position() {
    let fixture = Fixture::with(&story());
    let view = fixture.index.view();
    assert_eq!(view.segment(2).expect("read"), Some(story().swap_remove(1)));
    assert_eq!(view.segment(9).expect("read"), None);
    assert_eq!(view.oldest().expect("read").map(|s| s.sequence), Some(1));

    let holding = |at: OpTime| view.segment_holding(at).expect("read").map(|s| s.sequence);
    let expected = [(9, None), (10, Some(1)), (20, Some(1)), (21, Some(2)), (70, Some(3))];
    for (seconds, sequence) in expected.into_iter().chain([(80, None), (111, Some(5)), (112, None)])
    {
        assert_eq!(holding(optime(seconds)), sequence, "{seconds}");
    }
    assert_eq!(holding(OpTime::new(20, 5, 1)), None, "between two segments");

    let going_on = |at: OpTime| view.sequence_from(at).expect("read");
    for (seconds, sequence) in [(9, None), (10, Some(1)), (20, Some(1)), (21, Some(2))] {
        assert_eq!(going_on(optime(seconds)), sequence, "{seconds}");
    }
    let ends = [(OpTime::new(20, 5, 1), 2), (optime(80), 4), (optime(111), 5), (optime(112), 6)];
    for (at, sequence) in ends {
        assert_eq!(going_on(at), Some(sequence), "{at}");
    }

    let covering = |from: (u32, u32), to: (u32, u32)| -> Vec<u64> {
        let (from, to) = (Timestamp::new(from.0, from.1), Timestamp::new(to.0, to.1));
        let found = view.segments_covering(from, to).expect("read");
        found.map(|segment| segment.expect("read").sequence).collect()
    };
    assert_eq!(covering((0, 0), (9, 9)), [0_u64; 0]);
    assert_eq!(covering((0, 0), (10, 0)), [1]);
    assert_eq!(covering((20, 0), (21, 0)), [1, 2]);
    assert_eq!(covering((20, 1), (31, 0)), [2, 3]);
    assert_eq!(covering((71, 0), (99, 0)), [0_u64; 0]);
    assert_eq!(covering((0, 0), (u32::MAX, 0)), [1, 2, 3, 4, 5]);
    assert_eq!(covering((111, 1), (u32::MAX, 0)), [0_u64; 0]);
}

#[test]
fn commands_are_found_by_time_the_newest_first() {
    let fixture = Fixture::with(&story());
    let view = fixture.index.view();
    let between = |from: u32, to: u32| -> Vec<String> {
        let notes = view.commands_newest_first(Timestamp::new(from, 0), Timestamp::new(to, 0));
        notes.map(|note| note.expect("read").command).collect()
    };
    assert_eq!(between(0, 200), ["drop", "createIndexes", "create"]);
    assert_eq!(between(0, u32::MAX), ["drop", "createIndexes", "create"]);
    assert_eq!(between(21, 104), ["createIndexes", "create"]);
    assert_eq!(between(22, 105), ["drop"]);
    assert_eq!(between(106, 200), [""; 0]);
    assert_eq!(between(105, 21), [""; 0]);
}

#[test]
fn a_plan_names_the_segments_from_the_base_to_the_last_answer() {
    let fixture = Fixture::with(&story());
    fixture.index.absorb_base(&base("a", 12, 15)).expect("base");
    let plan = fixture.index.plan(Timestamp::new(24, 0)).expect("before the prepare");
    assert_eq!((plan.first_sequence, plan.last_sequence), (1, 2));
    assert_eq!((plan.read_from, plan.read_through), (optime(12), optime(30)));
    // The prepare of 25 is committed or aborted only in segment 3.
    let plan = fixture.index.plan(Timestamp::new(25, 0)).expect("answered later");
    assert_eq!((plan.first_sequence, plan.last_sequence), (1, 3));
    // This time is between the last entry of segment 1 and the first entry of segment 2: everything
    // needed is in segment 1.
    let plan = fixture.index.plan(Timestamp::new(20, 7)).expect("between two segments");
    assert_eq!((plan.first_sequence, plan.last_sequence), (1, 1));

    let error = fixture.index.plan(Timestamp::new(80, 0)).expect_err("gap");
    let PlanError::NotRestorable(reason) = error else { panic!("{error:?}") };
    assert!(matches!(*reason, NotRestorable::InGap { .. }), "{reason:?}");
}

#[test]
fn forgetting_a_base_closes_its_window() {
    let fixture = Fixture::with(&story());
    fixture.index.absorb_base(&base("a", 12, 15)).expect("base");
    assert_eq!(fixture.index.windows().expect("read").len(), 1);
    assert!(fixture.index.forget_base("a").expect("forget"));
    assert!(!fixture.index.forget_base("a").expect("forget again"));
    assert_eq!(fixture.index.windows().expect("read"), []);
    assert_eq!(fixture.digest(), Fixture::with(&story()).digest());
}

#[test]
fn a_view_does_not_see_what_is_absorbed_beside_it() {
    let fixture = Fixture::with(&story()[..2]);
    let view = fixture.index.view();
    fixture.absorb(&story()[2..]);
    assert_eq!(view.newest().expect("read").map(|s| s.sequence), Some(2));
    assert_eq!(view.segments_from(0).count(), 2);
    assert_eq!(view.gaps().expect("read"), []);
}

#[test]
fn a_directory_in_use_says_so() {
    let fixture = Fixture::new();
    let error = Index::open(fixture.directory.path()).expect_err("in use");
    assert!(matches!(error, IndexError::InUse { .. }), "{error:?}");
}

#[test]
fn another_format_is_refused_with_the_remedy() {
    let fixture = Fixture::with(&story());
    fixture.index.db.put(Key::Format.encode(), "1").expect("put");
    let Fixture { index, directory } = fixture;
    drop(index);
    let error = Index::open(directory.path()).expect_err("other format");
    assert!(error.to_string().contains("has format 1, this program writes format 3"), "{error}");

    Index::delete(directory.path()).expect("delete");
    let fixture = Fixture { index: Index::open(directory.path()).expect("open"), directory };
    fixture.index.db.delete(Key::Format.encode()).expect("delete");
    fixture.index.db.put(b"\x09foreign", "x").expect("put");
    let Fixture { index, directory } = fixture;
    drop(index);
    let error = Index::open(directory.path()).expect_err("no format, but content");
    assert!(matches!(error, IndexError::OtherFormat { found: 0, .. }), "{error:?}");
}

/// The form in which segments were stored before a rename kept its new name.
#[test]
fn an_earlier_format_tells_its_end_and_then_begins_anew() {
    let fixture = Fixture::with(&story());
    let index = &fixture.index;
    index.db.put(Key::Format.encode(), "2").expect("put");
    for segment in story() {
        let mut json = serde_json::to_value(&segment).expect("JSON");
        for note in json["commands"].as_array_mut().expect("an array") {
            let note = note.as_object_mut().expect("an object");
            assert!(note.remove("renamed_to").is_some() && note.remove("drops_target").is_some());
        }
        index.db.put(Key::Segment(segment.sequence).encode(), json.to_string()).expect("put");
    }
    let outdated = fixture.reopened();
    let end = outdated.index.resume_point().expect("read").map(|end| (end.sequence, end.last));
    assert_eq!(end, Some((5, optime(111))));
    let refused = outdated.index.absorb(&segment(6, 112, 113)).expect_err("another format");
    assert!(matches!(refused, IndexError::OtherFormat { found: 2, .. }), "{refused:?}");

    assert!(outdated.index.begin_anew_if_outdated().expect("emptied"));
    assert_eq!(outdated.index.resume_point().expect("read"), None);
    outdated.absorb(&story());
    let rebuilt = outdated.reopened();
    assert!(!rebuilt.index.begin_anew_if_outdated().expect("it is current"));
    assert_eq!(rebuilt.digest(), Fixture::with(&story()).digest());
}

#[test]
fn damaged_values_are_named_never_skipped() {
    let fixture = Fixture::with(&story());
    let put = |key: Key, value: &[u8]| fixture.index.db.put(key.encode(), value).expect("put");
    put(Key::Segment(3), b"{}");
    let view = fixture.index.view();
    assert!(view.segments_from(0).any(|segment| segment.is_err()));
    let error = view.segment(3).expect_err("damaged");
    assert!(error.to_string().contains("index is damaged at key"), "{error}");
    put(Key::FirstOpTime(optime(21)), b"short");
    let error = fixture.index.view().segment_holding(optime(22)).expect_err("damaged");
    assert!(matches!(error, IndexError::Damaged { .. }), "{error:?}");
    fixture.index.db.delete(Key::Run(4).encode()).expect("delete");
    let error = fixture.index.absorb(&segment(6, 120, 130)).expect_err("run missing");
    assert!(matches!(error, IndexError::Damaged { .. }), "{error:?}");
}

/// Copies the files as a killed process leaves them, with `cut` bytes missing from the end of the
/// write-ahead log.
fn copy_of_killed(open: &Fixture, cut: u64) -> TempDir {
    let copy = tempfile::tempdir().expect("temporary directory");
    for file in std::fs::read_dir(open.directory.path()).expect("list") {
        let file = file.expect("list");
        let to = copy.path().join(file.file_name());
        std::fs::copy(file.path(), &to).expect("copy");
        if cut > 0 && to.extension().is_some_and(|extension| extension == "log") {
            let copied = std::fs::File::options().write(true).open(&to).expect("open");
            let length = copied.metadata().expect("length").len();
            copied.set_len(length.saturating_sub(cut)).expect("cut");
        }
    }
    copy
}

#[test]
fn a_killed_process_loses_nothing_absorbed() {
    let open = Fixture::with(&story());
    let copy = copy_of_killed(&open, 0);
    let survived = Index::open(copy.path()).expect("open");
    assert_eq!(survived.digest().expect("digest"), open.digest());
}

#[test]
fn after_a_power_failure_the_index_is_behind_never_torn() {
    let story = story();
    let open = Fixture::with(&story);
    let prefixes: Vec<_> =
        (0..=story.len()).map(|kept| Fixture::with(&story[..kept]).digest()).collect();
    let mut seen = std::collections::BTreeSet::new();
    for cut in (1..6000).step_by(250) {
        let copy = copy_of_killed(&open, cut);
        let survived = Index::open(copy.path()).expect("open");
        let digest = survived.digest().expect("digest");
        let kept = prefixes.iter().position(|prefix| *prefix == digest).expect("a prefix");
        seen.insert(kept);
        let next = survived.resume_point().expect("read").map_or(0, |point| point.sequence);
        assert_eq!(next, kept as u64);
        for segment in &story[kept..] {
            survived.absorb(segment).expect("absorb again");
        }
        assert_eq!(survived.digest().expect("digest"), open.digest());
    }
    assert!(seen.len() > 2, "the cuts should lose different numbers of segments: {seen:?}");
}
