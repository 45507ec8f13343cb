use super::*;
use crate::sample::{after_gap, base, gap, optime, segment};

fn at(seconds: u32) -> Timestamp {
    Timestamp::new(seconds, 0)
}

fn run(first: u32, last: u32) -> Run {
    Run::start(&segment(1, first, last))
}

fn prepared(run: Run, seconds: u32) -> Run {
    Run { oldest_prepared: Some(at(seconds)), ..run }
}

/// Returns `(from, through, base)` of each window, for windows that end on a whole second.
fn listed(runs: &[Run], bases: &[BaseSummary]) -> Vec<(u32, u32, String)> {
    let row = |w: Window| (w.from.ts.seconds(), w.through.seconds(), w.base);
    windows(runs, bases).into_iter().map(row).collect()
}

/// Name, capture from, exact from.
type DrawnBase = (&'static str, u32, u32);
/// From, through, base.
type DrawnWindow = (u32, u32, &'static str);

#[test]
fn a_window_reaches_from_the_oldest_usable_base_to_the_end_of_its_run() {
    let runs = [run(10, 50), run(60, 90)];
    let cases: &[(&[DrawnBase], &[DrawnWindow])] = &[
        (&[], &[]),
        (&[("a", 10, 20)], &[(20, 50, "a")]),
        (&[("a", 20, 30), ("b", 12, 15)], &[(15, 50, "b")]),
        (&[("a", 12, 50)], &[(50, 50, "a")]),
        // The base is exact only after the run's end: in the gap, or beyond it.
        (&[("a", 12, 51)], &[]),
        (&[("a", 12, 70)], &[]),
        // The base needs entries that are not held: before the run, or in the gap.
        (&[("a", 9, 20)], &[]),
        (&[("a", 55, 70)], &[]),
        (&[("a", 60, 60), ("b", 10, 10)], &[(10, 50, "b"), (60, 90, "a")]),
        (&[("a", 90, 91)], &[]),
        // The times are the same: the name decides, so that the answer does not depend on the
        // order.
        (&[("b", 12, 20), ("a", 12, 20)], &[(20, 50, "a")]),
    ];
    for (bases, expected) in cases {
        let bases: Vec<_> =
            bases.iter().map(|(name, from, exact)| base(name, *from, *exact)).collect();
        let expected: Vec<_> = expected.iter().map(|(f, t, b)| (*f, *t, b.to_string())).collect();
        assert_eq!(listed(&runs, &bases), expected, "{bases:?}");
    }
}

#[test]
fn a_base_of_another_term_at_the_runs_first_entry_is_not_of_this_log() {
    let mut other = base("a", 10, 20);
    other.capture_from.term = 0;
    assert_eq!(windows(&[run(10, 50)], &[other]), []);
}

#[test]
fn an_open_prepare_ends_the_window_just_before_it() {
    let runs = [prepared(run(10, 50), 40)];
    let found = windows(&runs, &[base("a", 10, 20)]);
    assert_eq!(found[0].through, at(40).predecessor());
    assert_eq!(windows(&runs, &[base("a", 10, 39)]).len(), 1);
    assert_eq!(windows(&runs, &[base("a", 10, 40)]), []);
}

#[test]
fn a_plan_takes_the_latest_base_that_is_exact_by_then() {
    let runs = [run(10, 50), run(60, 90)];
    let bases = [base("old", 10, 20), base("new", 25, 30), base("next", 60, 65)];
    let chosen = |seconds| {
        let choice = decide(&runs, &[gap(50, 60)], &bases, at(seconds)).expect("in a window");
        (choice.base.name.as_str(), choice.run.first.ts.seconds())
    };
    assert_eq!(chosen(20), ("old", 10));
    assert_eq!(chosen(29), ("old", 10));
    assert_eq!(chosen(30), ("new", 10));
    assert_eq!(chosen(50), ("new", 10));
    assert_eq!(chosen(65), ("next", 60));
    assert_eq!(chosen(90), ("next", 60));
}

fn refusal(
    runs: &[Run],
    gaps: &[GapNotice],
    bases: &[BaseSummary],
    when: Timestamp,
) -> NotRestorable {
    *decide(runs, gaps, bases, when).expect_err("not restorable")
}

#[test]
fn every_refusal_says_why_and_what_there_is_instead() {
    let runs = [run(10, 50), run(60, 90), prepared(run(95, 120), 110)];
    let gaps = [gap(50, 60), gap(90, 95)];
    let bases = [base("a", 10, 20), base("c", 95, 100)];
    let message = |seconds| refusal(&runs, &gaps, &bases, at(seconds)).to_string();
    let around = "the windows around it are 1970-01-01T00:00:20Z (20,0) through 1970-01-01T00:00:50Z (50,0) and 1970-01-01T00:01:40Z (100,0) through 1970-01-01T00:01:49Z (109,4294967295)";
    assert_eq!(
        message(5),
        "1970-01-01T00:00:05Z (5,0) is outside every restore window; the window after it is 1970-01-01T00:00:20Z (20,0) through 1970-01-01T00:00:50Z (50,0)"
    );
    assert_eq!(
        message(19),
        "1970-01-01T00:00:19Z (19,0) is outside every restore window; the window after it is 1970-01-01T00:00:20Z (20,0) through 1970-01-01T00:00:50Z (50,0)"
    );
    assert_eq!(
        message(55),
        "1970-01-01T00:00:55Z (55,0) lies in a gap: the entries after 50,0 (term 1) and before 60,0 (term 1) are not held \
         (rolled over); "
            .to_owned() + around
    );
    assert_eq!(
        message(60),
        "1970-01-01T00:01:00Z (60,0) has no base to start from: the log is held without a gap from 60,0 (term 1) to 90,0 \
         (term 1), but no finished base is usable in it; "
            .to_owned()
            + around
    );
    assert_eq!(
        message(110),
        "1970-01-01T00:01:50Z (110,0) is not decided: the outcome of the transaction prepared at 110,0 is not in the log \
         yet, so try again once it ended; the window before it is 1970-01-01T00:01:40Z (100,0) through 1970-01-01T00:01:49Z (109,4294967295)"
    );
    assert_eq!(
        message(121),
        "1970-01-01T00:02:01Z (121,0) is outside every restore window; the window before it is 1970-01-01T00:01:40Z (100,0) through 1970-01-01T00:01:49Z (109,4294967295)"
    );
}

#[test]
fn an_outcome_lost_in_a_gap_is_not_promised() {
    let runs = [prepared(run(10, 50), 40), run(60, 90)];
    let refused = refusal(&runs, &[gap(50, 60)], &[base("a", 10, 20)], at(45));
    assert!(refused.to_string().contains("would be in the gap that follows"), "{refused}");
    // The same holds when no window exists, because the base became exact after the prepare.
    let refused = refusal(&runs, &[gap(50, 60)], &[base("a", 10, 42)], at(45));
    let NotRestorable::UnresolvedTransaction { prepared_at, neighbours, .. } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((prepared_at, neighbours), (at(40), Neighbours::default()));
}

#[test]
fn nothing_held_is_outside_every_window() {
    let refused = refusal(&[], &[], &[base("a", 10, 20)], at(30));
    assert_eq!(
        refused.to_string(),
        "1970-01-01T00:00:30Z (30,0) is outside every restore window; there is no restore window yet"
    );
}

#[test]
fn a_gap_before_the_oldest_segment_held_is_still_a_gap() {
    let held = after_gap(segment(7, 60, 90), 50);
    let gaps = [held.gap_before.clone().expect("made with one")];
    let refused = refusal(&[Run::start(&held)], &gaps, &[], at(55));
    assert!(matches!(refused, NotRestorable::InGap { .. }), "{refused:?}");
    let refused = refusal(&[Run::start(&held)], &gaps, &[], at(50));
    assert!(matches!(refused, NotRestorable::OutsideWindows { .. }), "{refused:?}");
    assert_eq!(gaps[0].before, optime(60));
}
