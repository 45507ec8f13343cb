//! The follower on real parts: a log in memory, and a base, an index and a history on disk.

#![allow(clippy::unwrap_used)]

mod restarts;
mod sighted;
mod stage;

use std::fs;

use super::shapes::noop;
use super::*;
use stage::{Stage, delete, optime};

#[test]
fn a_stop_at_the_first_entry_of_a_segment_is_told_again_with_its_reason() {
    let mut stage = Stage::new();
    stage.append(&[(5, delete("missing")), (6, noop())]);
    let reason = stage.follower.catch_up().unwrap_err().to_string();
    assert!(reason.contains("1000,5") && reason.contains("is missing"), "{reason}");
    assert_eq!(stage.applied(), Some(optime(4)), "just before it, which is in no segment");
    let again = stage.follower.catch_up().unwrap_err().to_string();
    assert_eq!(again, reason);
}

#[test]
fn a_history_that_ended_begins_again_with_a_base_of_after_that() {
    let mut stage = Stage::new();
    stage.append(&[(5, delete("missing")), (6, noop()), (7, noop())]);
    stage.add_base(3);
    stage.follower.catch_up_or_stop();
    let needs_base = |board: &Applied| board.stopped.as_ref().is_some_and(|it| it.needs_base);
    assert!(needs_base(&stage.follower.board.now()), "the other base was begun before the entry");
    let shutdown = CancellationToken::new();
    let _ends_with_the_test = shutdown.clone().drop_guard();
    let following = stage.run(&shutdown);
    stage.wait_until("it has ended", needs_base);
    stage.add_base(6);
    stage.append(&[(9, noop())]);
    stage.wait_until("it goes on", |board| board.applied == Some(optime(9)));
    stage.wait_until("nothing is told", |board| board.stopped.is_none());
    shutdown.cancel();
    stage.ended(following).unwrap();
    let windows = |stage: &Stage| {
        let generations = stage.follower.history.generations();
        generations.iter().filter_map(|it| it.window()).collect::<Vec<_>>()
    };
    let expected = [(1, 4), (6, 9)].map(|(from, through)| (optime(from).ts, optime(through).ts));
    assert_eq!(windows(&stage), expected);
    let stage = stage.restarted();
    stage.follower.catch_up().unwrap();
    assert_eq!(windows(&stage), expected);
    // A history that is built anew reaches the same windows in one go.
    let stage = stage.without_history();
    stage.follower.catch_up().unwrap();
    assert_eq!(windows(&stage), expected);
}

#[test]
fn a_history_goes_on_where_no_segment_ends() {
    let mut stage = Stage::new();
    stage.follower.catch_up().unwrap();
    let mut writer = stage.follower.history.writer().unwrap();
    writer.commit(hindsight_history::Progress::at(optime(4))).unwrap();
    drop(writer);
    stage.append(&[(5, noop()), (6, noop())]);
    stage.follower.catch_up().unwrap();
    assert_eq!(stage.applied(), Some(optime(6)));
}

#[test]
fn a_load_that_shutdown_ends_shows_nothing_and_begins_again() {
    let stage = Stage::new();
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    stage.follower.load_base(&stage.base, &shutdown).unwrap();
    assert!(stage.follower.history.generations().is_empty(), "half a base is shown");
    assert_eq!(stage.follower.board.now().loading, None);
    stage.follower.catch_up().unwrap();
    assert_eq!(stage.applied(), Some(optime(3)));
}

#[test]
fn a_base_put_back_bit_by_bit_is_loaded_once_it_is_whole() {
    let stage = Stage::new();
    let (base, aside) = (stage.follower.bases.join(&stage.base), stage.path("aside"));
    fs::rename(&base, &aside).unwrap();
    let shutdown = CancellationToken::new();
    let _ends_with_the_test = shutdown.clone().drop_guard();
    let following = stage.run(&shutdown);
    let stopped = |board: &Applied, words: &str| {
        board.stopped.as_ref().is_some_and(|stopped| stopped.reason.text.contains(words))
    };
    stage.wait_until("it is told to be gone", |board| stopped(board, "is not a base"));

    fs::create_dir(&base).unwrap();
    fs::copy(aside.join("manifest.json"), base.join("manifest.json")).unwrap();
    stage.wait_until("its files are missed", |board| stopped(board, "the file is missing"));
    for file in fs::read_dir(&aside).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), base.join(file.file_name())).unwrap();
    }
    stage.wait_until("it is loaded", |board| board.applied == Some(optime(3)));
    stage.wait_until("nothing is told", |board| board.stopped.is_none());
    shutdown.cancel();
    stage.ended(following).unwrap();
}

#[test]
fn a_history_whose_base_was_forgotten_goes_on_when_it_is_known_again() {
    let stage = Stage::new();
    stage.follower.catch_up().unwrap();
    let index = &stage.follower.index;
    let base = index.view().base(&stage.base).unwrap().unwrap();
    index.forget_base(&stage.base).unwrap();
    let error = stage.follower.next().unwrap_err();
    assert!(error.needs() == Needs::Help, "{error}");
    assert!(error.to_string().contains("Put it back"), "{error}");
    index.absorb_base(&base).unwrap();
    assert_eq!(stage.follower.next().unwrap(), Next::Wait);
}
