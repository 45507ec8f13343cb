//! A history that is stopped continues, and becomes what it would have become without the stop.

use bson::{Document, doc};
use hindsight_history::{Digest, Progress};
use hindsight_oplog::Timestamp;

use super::super::shapes::{SHAPES, noop, shape, weave};
use super::super::{FollowError, Needs};
use super::stage::{Stage, delete, optime};

type Entries = Vec<(u32, Document)>;

/// All shapes in one log, with as many open at a time as possible: the shapes add their entries in
/// turn. An election ends every chain that is not prepared, so the shapes that need an election
/// come last, one after the other. The first of these shapes stays prepared throughout.
fn everything() -> Entries {
    let lanes: Vec<_> = (1..).zip(SHAPES).map(|(lane, (_, shape))| shape(lane)).collect();
    let named = |wanted: &str| SHAPES.iter().position(|(name, _)| *name == wanted).unwrap();
    let prepared = named("prepared, decided by another primary");
    let others = [named("aborted by another primary"), named("left behind by a primary")];
    let apart = [prepared, others[0], others[1]];
    let mut order = vec![prepared];
    for turn in 0.. {
        let takes_turn = |lane: &usize| lanes[*lane].len() > turn && !apart.contains(lane);
        let turns: Vec<usize> = (0..lanes.len()).filter(takes_turn).collect();
        if turns.is_empty() {
            break;
        }
        order.extend(turns);
    }
    order.push(prepared);
    for lane in others {
        order.extend(lanes[lane].iter().map(|_| lane));
    }
    weave(&lanes, &order)
}

/// A shape alone in its log, followed by an ordinary entry.
fn only(name: &str) -> Entries {
    let mut lane = shape(name)(1);
    lane.extend(shape("left behind by a primary")(2).pop());
    weave(std::slice::from_ref(&lane), &vec![0; lane.len()])
}

fn digest(stage: &Stage) -> Digest {
    stage.follower.catch_up().unwrap();
    stage.follower.history.digest().unwrap()
}

/// The digest of a history that took in everything at once.
fn digest_at_once(entries: &[(u32, Document)]) -> Digest {
    let mut stage = Stage::new();
    stage.append(entries);
    digest(&stage)
}

fn through(stage: &Stage) -> Timestamp {
    stage.follower.history.generations().pop().unwrap().through()
}

fn progress(stage: &Stage) -> Progress {
    stage.follower.history.generations().pop().unwrap().progress.unwrap()
}

/// Before this was fixed, the history stopped here permanently: reading began with the segment of
/// the last applied entry, and the entry that ends the transaction seemed to have lost its
/// beginning.
#[test]
fn a_transaction_in_several_segments_that_was_applied_does_not_stop_the_next_start() {
    let entries = only("large");
    let mut stage = Stage::new();
    for entry in &entries[..3] {
        stage.append(std::slice::from_ref(entry));
    }
    stage.follower.catch_up().unwrap();
    let mut stage = stage.restarted();
    stage.append(&entries[3..]);
    assert_eq!(digest(&stage), digest_at_once(&entries));
}

#[test]
fn a_stop_after_every_entry_changes_nothing() {
    let entries = everything();
    let mut stage = Stage::new();
    for entry in &entries {
        stage.append(std::slice::from_ref(entry));
        stage.follower.catch_up().unwrap();
        stage = stage.restarted();
    }
    assert_eq!(digest(&stage), digest_at_once(&entries));
}

/// The log may be cut anywhere, and the history may end anywhere in a segment.
#[test]
fn a_stop_at_any_place_of_any_segment_changes_nothing() {
    let entries = everything();
    let expected = digest_at_once(&entries);
    for stop in 0..=entries.len() {
        let mut stage = Stage::new();
        stage.follower.catch_up().unwrap();
        if stop > 0 {
            stage.append(&entries[..stop]);
            stage.follower.catch_up().unwrap();
        }
        // The log is cut once: nowhere, or somewhere near or far from the stop.
        let cut = [0, stop, stop / 2, (stop + 1).min(entries.len())][stop % 4];
        let stage = stage.with_log_cut_anew(&[&entries[..cut], &entries[cut..]]);
        assert_eq!(digest(&stage), expected, "stopped after {stop}, cut after {cut}");
    }
}

/// A transaction that fails when it is complete stays open, both for the next attempt and for
/// everybody who asks how far the history is complete.
#[test]
fn a_transaction_that_cannot_be_applied_stays_open() {
    let mut entries = only("prepared, large");
    let o = entries[1].1.get_document_mut("o").unwrap();
    o.insert("applyOps", vec![delete("missing")]);
    let prepare = entries[2].0;
    let mut stage = Stage::new();
    for entry in &entries {
        stage.append(std::slice::from_ref(entry));
    }
    let reason = stage.follower.catch_up().unwrap_err().to_string();
    assert!(reason.contains("is missing"), "{reason}");
    assert_eq!(through(&stage), optime(prepare).ts.predecessor());
    assert_eq!(progress(&stage).oldest_open, Some(optime(entries[0].0)));
    let stage = stage.restarted();
    assert_eq!(stage.follower.catch_up().unwrap_err().to_string(), reason);
}

/// The transaction is larger than what memory holds: when it is complete, a part of it is read from
/// the log again.
#[test]
fn a_log_out_of_reach_when_a_transaction_is_complete_is_waited_for() {
    let mut entries = only("prepared, large");
    for (_, entry) in &mut entries[..3] {
        let operations = entry.get_document_mut("o").unwrap().get_array_mut("applyOps").unwrap();
        let insert = operations[0].as_document_mut().unwrap();
        insert.get_document_mut("o").unwrap().insert("filler", "x".repeat(25 << 20));
    }
    let prepare = entries[2].0;
    let mut stage = Stage::new();
    for entry in &entries[..3] {
        stage.append(std::slice::from_ref(entry));
    }
    stage.append(&entries[3..]);
    // Reads succeed for the first segment and for the four with the transaction. Reading one of the
    // four again fails.
    stage.fail_after_reads(5);
    let error = stage.follower.catch_up().unwrap_err();
    assert_eq!(error.needs(), Needs::Patience, "{error}");
    assert_eq!(progress(&stage).oldest_open, Some(optime(entries[0].0)));
    assert_eq!(through(&stage), optime(prepare).ts.predecessor());
    assert_eq!(digest(&stage), digest_at_once(&entries));
}

/// The history is as an earlier version left it, which forgot a transaction that failed when it was
/// complete.
#[test]
fn a_history_that_forgot_an_open_transaction_finds_it_in_the_log() {
    for name in ["large", "large batched write", "with commands", "of a child session"] {
        let entries = only(name);
        let end = entries.len() - 2;
        let mut stage = Stage::new();
        for entry in &entries[..end] {
            stage.append(std::slice::from_ref(entry));
        }
        stage.follower.catch_up().unwrap();
        let mut writer = stage.follower.history.writer().unwrap();
        writer.commit(Progress::at(optime(entries[end].0 - 1))).unwrap();
        writer.flush().unwrap();
        drop(writer);
        let mut stage = stage.restarted();
        stage.append(&entries[end..]);
        assert_eq!(digest(&stage), digest_at_once(&entries), "{name}");
    }
}

/// Such a version also called the history complete beyond the time at which the transaction is
/// visible. That cannot be undone, so it is reported.
#[test]
fn a_history_that_was_falsely_called_complete_is_not_gone_on_with() {
    let entries = only("prepared");
    let mut stage = Stage::new();
    stage.append(&entries[..1]);
    stage.follower.catch_up().unwrap();
    let mut writer = stage.follower.history.writer().unwrap();
    writer.commit(Progress::at(optime(entries[1].0 - 1))).unwrap();
    writer.flush().unwrap();
    drop(writer);
    let mut stage = stage.restarted();
    stage.append(&entries[1..]);
    let error = stage.follower.catch_up().unwrap_err();
    assert!(matches!(error, FollowError::FalselyComplete { .. }), "{error}");
    assert!(error.to_string().contains("delete the history directory"), "{error}");
    stage.follower.catch_up_or_stop();
    assert_eq!(stage.follower.board.now().through, Some(optime(entries[0].0 - 1).ts));
}

/// The error names neither the entry that ends the transaction, nor the segment of that entry.
#[test]
fn an_entry_that_cannot_be_read_is_named_with_its_segment() {
    let mut entries = only("large");
    let o = entries[0].1.get_document_mut("o").unwrap();
    o.insert("applyOps", vec![doc! {"ns": "shop.things", "o": {}}, doc! {}]);
    let mut stage = Stage::new();
    stage.append(&[(4, noop())]);
    for entry in &entries {
        stage.append(std::slice::from_ref(entry));
    }
    let reason = stage.follower.catch_up().unwrap_err().to_string();
    assert!(reason.starts_with("segment 3: the entry 1000,5 (term 1) cannot be read"), "{reason}");
}
