#![allow(clippy::unwrap_used)]

mod entries;
mod model;

use bson::spec::BinarySubtype;
use bson::{RawDocumentBuf, rawdoc};

use super::*;
use entries::*;

/// Pushes all entries. Returns what becomes visible, in the order in which that is known.
fn run(keeper: &mut Keeper, entries: &[Vec<u8>]) -> Vec<(u64, Vec<i32>)> {
    let mut visible = Vec::new();
    for bytes in entries {
        let step = push(keeper, bytes).unwrap();
        assert!(!matches!(step, Step::Incomplete(_)), "{step:?}");
        visible.extend(writes(&step, bytes));
    }
    visible
}

fn assert_idle(keeper: &Keeper) {
    assert_eq!(
        (keeper.oldest_unresolved(), keeper.oldest_prepared(), keeper.open(), keeper.kept()),
        (None, None, 0, 0)
    );
    assert!(keeper.by_last.is_empty() && keeper.by_session.is_empty());
}

fn partial() -> RawDocumentBuf {
    rawdoc! { "partialTxn": true }
}

fn prepare() -> RawDocumentBuf {
    rawdoc! { "prepare": true }
}

fn none() -> RawDocumentBuf {
    RawDocumentBuf::new()
}

fn optime(ts: u64) -> OpTime {
    OpTime { ts: Timestamp::from_u64(ts), term: 1 }
}

/// The worked example of a cut: the large transaction L1 (1, 2), the prepared transaction L2 (3,
/// 4), and the single writes 11 and 14.
fn worked_example() -> Vec<Vec<u8>> {
    let (l1, l2) = (session(1), session(2));
    vec![
        Build::apply_ops(10, [1], partial()).on(l1.clone(), 5).after(0).bytes(),
        crud(11, 1, 11, None),
        Build::apply_ops(12, [3, 4], prepare()).on(l2.clone(), 9).after(0).bytes(),
        Build::apply_ops(13, [2], rawdoc! { "count": 2_i64 }).on(l1, 5).after(10).bytes(),
        crud(14, 1, 14, None),
        Build::commit(17, 14).on(l2, 9).after(12).bytes(),
    ]
}

#[test]
fn a_cut_of_the_worked_example_holds_what_is_visible_at_every_time() {
    let visible = run(&mut keeper(), &worked_example());
    let table: [(u64, &[i32]); 10] = [
        (9, &[]),
        (10, &[]),
        (11, &[11]),
        (12, &[11]),
        (13, &[1, 2, 11]),
        (14, &[1, 2, 3, 4, 11, 14]),
        (15, &[1, 2, 3, 4, 11, 14]),
        (16, &[1, 2, 3, 4, 11, 14]),
        (17, &[1, 2, 3, 4, 11, 14]),
        (18, &[1, 2, 3, 4, 11, 14]),
    ];
    for (time, expected) in table {
        let seen = visible.iter().filter(|(at, _)| *at <= time);
        let mut state: Vec<i32> = seen.flat_map(|(_, ids)| ids.clone()).collect();
        state.sort_unstable();
        assert_eq!(state, expected, "at {time}");
    }
}

#[test]
fn what_is_unresolved_is_known_after_every_entry() {
    let mut keeper = keeper();
    let expected =
        [(10, None), (10, None), (10, Some(12)), (12, Some(12)), (12, Some(12)), (0, None)];
    for (bytes, (oldest, prepared)) in worked_example().iter().zip(expected) {
        push(&mut keeper, bytes).unwrap();
        assert_eq!(keeper.oldest_unresolved(), (oldest > 0).then(|| optime(oldest)));
        assert_eq!(keeper.oldest_prepared(), prepared.map(Timestamp::from_u64));
    }
    assert_idle(&keeper);
}

#[test]
fn what_stands_alone_is_visible_at_once() {
    let applied_separately = rawdoc! { "multiOpType": 1_i32 };
    let entries = [
        crud(1, 1, 1, None),
        crud(2, 1, 2, Some((session(1), 4))),
        // A small transaction of 4.2 and later, and a small transaction of 4.0.
        Build::apply_ops(3, [3, 4], none()).on(session(1), 5).after(0).bytes(),
        Build::apply_ops(4, [5], none()).on(session(1), 6).bytes(),
        // A batched write; a user's command with the user's own options.
        Build::apply_ops(5, [6, 7], none()).bytes(),
        Build::apply_ops(6, [8], rawdoc! { "count": "many", "alwaysUpsert": false }).bytes(),
        // Vectored inserts, whose prevOpTime links the retryable write and not a transaction.
        Build::apply_ops(7, [9], none())
            .on(session(1), 7)
            .after(0)
            .extra(applied_separately.clone())
            .bytes(),
        Build::apply_ops(8, [10], none())
            .on(session(1), 7)
            .after(7)
            .extra(applied_separately)
            .bytes(),
        Build::apply_ops(9, [], none()).on(session(1), 8).after(0).bytes(),
        Build::command(10, rawdoc! { "drop": "orders" }).bytes(),
        Build::command(11, rawdoc! { "commandOfTomorrow": "orders" }).bytes(),
        // A retryable write that is applied as one (9.0; made by hand).
        Build::apply_ops(12, [11], none())
            .on(session(1), 9)
            .after(9)
            .extra(rawdoc! { "multiOpType": 2_i32 })
            .bytes(),
    ];
    let mut keeper = keeper();
    for bytes in &entries {
        assert_eq!(push(&mut keeper, bytes).unwrap(), Step::Single);
        assert_idle(&keeper);
    }
}

#[test]
fn a_large_prepared_transaction_is_visible_at_its_commit_timestamp() {
    let on = |build: Build| build.on(session(1), 1).bytes();
    let entries = [
        on(Build::apply_ops(10, [1, 2], partial()).after(0)),
        on(Build::apply_ops(11, [1], partial()).after(10)),
        on(Build::apply_ops(12, [3], rawdoc! { "prepare": true, "count": 4_i64 }).after(11)),
    ];
    let mut keeper = keeper();
    assert_eq!(run(&mut keeper, &entries), []);
    assert_eq!(keeper.kept(), entries.iter().map(|bytes| bytes.len() as u64).sum::<u64>());
    // Committed by another primary, which names the prepare by the term in which it was written.
    let mut commit = Build::commit(20, 15).on(session(1), 1).after(12).term(2);
    commit.previous = Some(OpTime { term: 2, ..optime(12) });
    let error = push(&mut keeper, &commit.bytes()).unwrap_err();
    assert!(matches!(error, AssemblyError::Contradiction { .. }), "{error}");
    commit.previous = Some(optime(12));
    assert_eq!(run(&mut keeper, &[commit.bytes()]), [(15, vec![1, 2, 1, 3])]);
    assert_idle(&keeper);
}

#[test]
fn a_read_only_participant_commits_nothing() {
    let entries = [
        Build::apply_ops(10, [], prepare()).on(session(1), 1).after(0).bytes(),
        Build::commit(12, 11).on(session(1), 1).after(10).bytes(),
    ];
    assert_eq!(run(&mut keeper(), &entries), [(11, vec![])]);
}

#[test]
fn an_aborted_transaction_shows_nothing() {
    let on = |build: Build| build.on(session(1), 1).bytes();
    let prepared = [
        on(Build::apply_ops(10, [1], partial()).after(0)),
        on(Build::apply_ops(11, [2], prepare()).after(10)),
        on(Build::abort(12).after(11)),
    ];
    let at_step_up = [
        on(Build::apply_ops(10, [1], partial()).after(0)),
        on(Build::apply_ops(11, [2], partial()).after(10)),
        on(Build::abort(12).after(0)),
    ];
    for entries in [prepared, at_step_up] {
        let mut keeper = keeper();
        assert_eq!(run(&mut keeper, &entries), []);
        assert_idle(&keeper);
        assert_eq!(keeper.abandoned(), 0);
    }
    // Aborted by the primary of a new term, after that term has ended the chain.
    let mut keeper = keeper();
    push(&mut keeper, &on(Build::apply_ops(10, [1], partial()).after(0))).unwrap();
    push(&mut keeper, &crud(11, 2, 2, None)).unwrap();
    assert_idle(&keeper);
    assert_eq!(push(&mut keeper, &on(Build::abort(12).after(0).term(2))), Ok(Step::Aborted));
}

#[test]
fn a_chain_without_session_is_one_write() {
    let count = rawdoc! { "count": 4_i64 };
    let entries = [
        Build::apply_ops(10, [1, 2], partial()).after(0).bytes(),
        Build::apply_ops(11, [7], partial()).after(0).bytes(),
        Build::apply_ops(12, [3], partial()).after(10).bytes(),
        Build::apply_ops(13, [4], count).after(12).bytes(),
        Build::apply_ops(14, [8], rawdoc! { "count": 2_i64 }).after(11).bytes(),
    ];
    let mut keeper = keeper();
    assert_eq!(run(&mut keeper, &entries), [(13, vec![1, 2, 3, 4]), (14, vec![7, 8])]);
    assert_idle(&keeper);
}

#[test]
fn a_newer_number_on_the_same_session_buries_a_chain() {
    let begun = Build::apply_ops(10, [1], partial()).on(session(1), 5).after(0).bytes();
    let retry = rawdoc! { "txnRetryCounter": 1_i32 };
    let burying = [
        crud(11, 1, 2, Some((session(1), 6))),
        Build::apply_ops(11, [2], none()).on(session(1), 6).after(0).bytes(),
        // The same number, begun again, or with a higher retry counter.
        Build::apply_ops(11, [2], none()).on(session(1), 5).after(0).bytes(),
        Build::apply_ops(11, [2], none()).on(session(1), 5).after(0).extra(retry).bytes(),
    ];
    for next in burying {
        let mut keeper = keeper();
        assert_eq!(run(&mut keeper, &[begun.clone(), next]), [(11, vec![2])]);
        assert_idle(&keeper);
        assert_eq!(keeper.abandoned(), 1);
    }
}

#[test]
fn a_new_chain_on_the_session_takes_the_place_of_the_old_one() {
    let on = |build: Build, number: i64| build.on(session(1), number).bytes();
    let entries = [
        on(Build::apply_ops(10, [1], partial()).after(0), 5),
        on(Build::apply_ops(11, [2], partial()).after(0), 5),
        on(Build::apply_ops(12, [3], partial()).after(0), 6),
        on(Build::apply_ops(13, [4], rawdoc! { "count": 2_i64 }).after(12), 6),
    ];
    let mut keeper = keeper();
    assert_eq!(run(&mut keeper, &entries), [(13, vec![3, 4])]);
    assert_idle(&keeper);
    assert_eq!(keeper.abandoned(), 2);
}

/// No server does this, but the assembler could not keep two open transactions in one session
/// apart.
#[test]
fn an_older_number_takes_the_session_as_well() {
    let on = |build: Build, number: i64| build.on(session(1), number).bytes();
    let entries = [
        on(Build::apply_ops(10, [1], partial()).after(0), 5),
        on(Build::apply_ops(11, [2], partial()).after(9), 4),
    ];
    let mut keeper = keeper();
    run(&mut keeper, &entries);
    assert_eq!((keeper.open(), keeper.abandoned()), (1, 1));
    assert_eq!(keeper.oldest_unresolved(), Some(optime(11)));
}

#[test]
fn a_lost_prev_optime_is_made_good_where_nothing_can_be_mistaken() {
    // A commit belongs to the one transaction that its session has open.
    let entries = [
        Build::apply_ops(10, [1], prepare()).on(session(1), 5).bytes(),
        Build::commit(12, 11).on(session(1), 5).bytes(),
    ];
    assert_eq!(run(&mut keeper(), &entries), [(11, vec![1])]);
    let number_of_another = Build::commit(12, 11).on(session(1), 4).bytes();
    let step = push(&mut keeper(), &number_of_another).unwrap();
    assert!(matches!(step, Step::Incomplete(Incomplete { missing: None, .. })), "{step:?}");
    // An entry that says that more follows does not stand alone.
    let entries = [
        Build::apply_ops(10, [1], partial()).bytes(),
        Build::apply_ops(11, [2], rawdoc! { "count": 2 }).after(10).bytes(),
    ];
    assert_eq!(run(&mut keeper(), &entries), [(11, vec![1, 2])]);
}

#[test]
fn sessions_are_told_apart_by_every_member() {
    let child = |more: RawDocumentBuf| {
        let mut lsid = session(1);
        append_all(&mut lsid, &more);
        lsid
    };
    let begun = child(rawdoc! { "txnNumber": 5_i64, "txnUUID": uuid(9) });
    let others = [
        session(1),
        session(2),
        rawdoc! { "id": uuid(1) },
        child(rawdoc! { "txnUUID": uuid(9) }),
        child(rawdoc! { "txnNumber": 5_i64, "txnUUID": uuid(8) }),
        child(rawdoc! { "txnNumber": 6_i64, "txnUUID": uuid(9) }),
        child(rawdoc! { "txnNumber": 5_i64, "txnUUID": uuid(9), "memberOfTomorrow": 1_i32 }),
    ];
    let mut keeper = keeper();
    let open = Build::apply_ops(10, [1], partial()).on(begun.clone(), 0).after(0).bytes();
    push(&mut keeper, &open).unwrap();
    for (ts, other) in (11..).zip(others) {
        push(&mut keeper, &crud(ts, 1, 2, Some((other, 99)))).unwrap();
        assert_eq!(keeper.oldest_unresolved(), Some(optime(10)));
    }
    // The same members in another order or width are the same session.
    let same = rawdoc! {
        "txnUUID": uuid(9), "txnNumber": 5_i32, "id": uuid(1),
        "uid": binary(BinarySubtype::Generic, vec![7; 32]),
    };
    let last = Build::apply_ops(30, [2], rawdoc! { "count": 2_i32 }).on(same, 0).after(10).bytes();
    assert_eq!(run(&mut keeper, &[last]), [(30, vec![1, 2])]);
}

#[test]
fn another_primary_buries_what_is_not_prepared() {
    let mut keeper = keeper();
    let entries = [
        Build::apply_ops(10, [1], partial()).after(0).bytes(),
        Build::apply_ops(11, [2], partial()).on(session(1), 1).after(0).bytes(),
        Build::apply_ops(12, [3], prepare()).on(session(2), 1).after(0).bytes(),
        // A tool that loses terms is not another primary.
        crud(13, -1, 4, None),
        crud(14, 1, 5, None),
    ];
    run(&mut keeper, &entries);
    assert_eq!((keeper.open(), keeper.abandoned()), (3, 0));
    run(&mut keeper, &[crud(15, 2, 6, None)]);
    assert_eq!((keeper.open(), keeper.abandoned()), (1, 2));
    assert_eq!(keeper.oldest_prepared(), Some(Timestamp::from_u64(12)));
}

#[test]
fn a_beginning_that_was_never_seen_is_told() {
    let on = |build: Build| build.on(session(1), 1).bytes();
    let incomplete = |visible, first_known, missing: u64| {
        Ok(Step::Incomplete(Incomplete {
            visible: Timestamp::from_u64(visible),
            first_known: optime(first_known),
            missing: Some(optime(missing)),
        }))
    };
    let last = on(Build::apply_ops(13, [1], rawdoc! { "count": 9_i64 }).after(9));
    assert_eq!(push(&mut keeper(), &last), incomplete(13, 13, 9));
    assert_eq!(push(&mut keeper(), &on(Build::commit(13, 10).after(9))), incomplete(10, 13, 9));
    assert_eq!(push(&mut keeper(), &on(Build::abort(13).after(9))), Ok(Step::Aborted));

    let mut keeper = keeper();
    let entries = [
        on(Build::apply_ops(13, [1], partial()).after(9)),
        on(Build::apply_ops(14, [2], rawdoc! { "prepare": true, "count": 9_i64 }).after(13)),
    ];
    run(&mut keeper, &entries);
    assert_eq!(keeper.oldest_unresolved(), Some(optime(13)));
    assert_eq!(keeper.oldest_prepared(), Some(Timestamp::from_u64(14)));
    assert_eq!(keeper.kept(), 0, "what cannot be applied is not kept");
    assert_eq!(push(&mut keeper, &on(Build::commit(16, 15).after(14))), incomplete(15, 13, 9));
    assert_idle(&keeper);
}

fn refusal(entries: &[Vec<u8>]) -> AssemblyError {
    let mut keeper = keeper();
    let (last, before) = entries.split_last().unwrap();
    run(&mut keeper, before);
    let state = format!("{keeper:?}");
    let error = push(&mut keeper, last).unwrap_err();
    assert_eq!(format!("{keeper:?}"), state, "a refused entry changes nothing");
    error
}

#[test]
fn contradictions_are_refused() {
    let on = |build: Build| build.on(session(1), 1).bytes();
    let begun = on(Build::apply_ops(10, [1], partial()).after(0));
    let prepared = on(Build::apply_ops(10, [1], prepare()).after(0));
    let table = [
        ("a hole", &begun, on(Build::apply_ops(13, [2], none()).after(12))),
        ("a commit after a hole", &prepared, on(Build::commit(13, 12).after(12))),
        ("a commit without prepare", &begun, on(Build::commit(13, 12).after(10))),
        ("adding to the prepared", &prepared, on(Build::apply_ops(13, [2], none()).after(10))),
        (
            "another session",
            &begun,
            Build::apply_ops(13, [2], none()).on(session(2), 1).after(10).bytes(),
        ),
        (
            "another number",
            &begun,
            Build::apply_ops(13, [2], none()).on(session(1), 2).after(10).bytes(),
        ),
        ("no session", &begun, Build::apply_ops(13, [2], none()).after(10).bytes()),
        ("going on while prepared", &prepared, crud(13, 1, 2, Some((session(1), 2)))),
        ("beginning while prepared", &prepared, on(Build::apply_ops(13, [2], none()).after(0))),
    ];
    for (case, first, second) in table {
        let error = refusal(&[first.clone(), second]);
        let expected = (optime(13), optime(10));
        assert!(
            matches!(error, AssemblyError::Contradiction { at, first, .. } if (at, first) == expected),
            "{case}: {error}"
        );
    }
}

#[test]
fn a_commit_timestamp_lies_between_prepare_and_commit() {
    let on = |build: Build| build.on(session(1), 1).bytes();
    let prepared = on(Build::apply_ops(10, [1], prepare()).after(0));
    for at in [10, 13] {
        let entries = [prepared.clone(), on(Build::commit(13, at).after(10))];
        assert_eq!(run(&mut keeper(), &entries), [(at, vec![1])]);
    }
    for at in [0, 9, 14] {
        let commit = on(Build::commit(13, at).after(10));
        // Also if the prepare is known from the commit alone.
        for entries in [vec![prepared.clone(), commit.clone()], vec![commit]] {
            let error = refusal(&entries);
            assert!(matches!(error, AssemblyError::CommitTimestamp { .. }), "{error}");
        }
    }
    let without = on(Build::command(13, rawdoc! { "commitTransaction": 1 }).after(10));
    assert!(matches!(refusal(&[prepared, without]), AssemblyError::Malformed { .. }));
}

#[test]
fn the_stated_count_is_checked() {
    let on = |build: Build| build.on(session(1), 1).bytes();
    let begun = on(Build::apply_ops(10, [1, 2], partial()).after(0));
    for count in [-1, 0, 2, 4] {
        for more in [rawdoc! { "count": count }, rawdoc! { "prepare": true, "count": count }] {
            let last = on(Build::apply_ops(11, [3], more).after(10));
            let expected = AssemblyError::Count {
                at: optime(11),
                first: optime(10),
                found: 3,
                stated: count.into(),
            };
            assert_eq!(refusal(&[begun.clone(), last]), expected);
        }
    }
    let alone = on(Build::apply_ops(11, [3], rawdoc! { "count": 2 }).after(0));
    assert!(matches!(refusal(&[alone]), AssemblyError::Count { .. }));
}

#[test]
fn what_cannot_be_read_is_refused() {
    let on = |build: Build| build.on(session(1), 1).bytes();
    let apply = |o: RawDocumentBuf| on(Build::command(10, o).after(0));
    for bytes in [
        apply(rawdoc! { "applyOps": 1, "partialTxn": true }),
        apply(rawdoc! { "applyOps": [], "partialTxn": true, "prepare": true }),
        apply(rawdoc! { "applyOps": [], "partialTxn": "yes" }),
        apply(rawdoc! { "applyOps": [], "count": "2" }),
        on(Build::apply_ops(10, [1], none()).after(0).extra(rawdoc! { "multiOpType": 3 })),
    ] {
        assert!(matches!(refusal(&[bytes]), AssemblyError::Malformed { .. }));
    }
    let twice = [crud(10, 1, 1, None), crud(10, 1, 1, None)];
    assert!(matches!(refusal(&twice), AssemblyError::OutOfOrder { .. }));
}

#[test]
fn positions_alone_can_be_kept() {
    let mut positions = Assembler::default();
    for bytes in worked_example() {
        let entry = Entry::parse(&bytes).unwrap();
        let step = positions.push(&entry, || ()).unwrap();
        let visible = step.visible(&entry).map(Timestamp::as_u64);
        let expected = match entry.ts().as_u64() {
            10 | 12 => None,
            17 => Some(14),
            own => Some(own),
        };
        assert_eq!(visible, expected);
    }
}
