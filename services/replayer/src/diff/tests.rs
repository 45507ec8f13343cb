//! Differences found by way of the log, compared with both times read from end to end.

#![allow(clippy::unwrap_used)]

mod random;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use bson::{Document, doc};
use hindsight_log::ReadFault;

use super::*;
use world::{World, abort, command, commit, delete, document, insert, op, part, replace, ts};

/// Namespace, id key, before, after.
type Told = (String, Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

fn request(from: u32, to: u32, namespace: Option<&str>) -> DiffRequest {
    let namespace = namespace.map(NamespacePattern::parse);
    DiffRequest { from: ts(from), to: ts(to), namespace }
}

fn told(world: &World, request: &DiffRequest, limit_bytes: usize) -> Result<Vec<Told>, QueryError> {
    let mut told = Vec::new();
    let mut visit = |it: Difference<'_>| {
        let (before, after) = (it.before.map(<[u8]>::to_vec), it.after.map(<[u8]>::to_vec));
        told.push((it.ns.to_owned(), it.id_key.to_vec(), before, after));
        ControlFlow::Continue(())
    };
    let stop = CancellationToken::new();
    let done = world.engine.diff_within(request, limit_bytes, &stop, &mut visit);
    assert!(world.run(done)?.is_continue());
    Ok(told)
}

/// Reads both times into memory and compares them document by document.
fn naive(world: &World, request: &DiffRequest) -> Vec<Told> {
    let state = |at| {
        let view = world.engine.view(at).unwrap();
        let mut documents = BTreeMap::new();
        for collection in view.collections() {
            let ns = &collection.ns;
            if request.namespace.as_ref().is_some_and(|pattern| !pattern.matches(ns)) {
                continue;
            }
            let mut scan = view.scan(ns).unwrap();
            while let Some(found) = scan.next_document().unwrap() {
                let key = (ns.clone(), found.id_key.to_vec());
                documents.insert(key, found.document.to_vec());
            }
        }
        documents
    };
    let (before, after) = (state(request.from), state(request.to));
    let mut keys: Vec<_> = before.keys().chain(after.keys()).cloned().collect();
    keys.sort();
    keys.dedup();
    let tell = |key: (String, Vec<u8>)| {
        let (before, after) = (before.get(&key).cloned(), after.get(&key).cloned());
        (before != after).then_some((key.0, key.1, before, after))
    };
    keys.into_iter().filter_map(tell).collect()
}

/// `ns`, `_id`, and the `n` of the document before and after.
type Short = (String, i32, Option<i32>, Option<i32>);

fn short(told: Vec<Told>) -> Vec<Short> {
    let parsed = |bytes: &Option<Vec<u8>>| {
        bytes.as_ref().map(|bytes| Document::from_reader(&bytes[..]).unwrap())
    };
    let n = |document: &Document| document.get_i64("n").unwrap() as i32;
    told.iter()
        .map(|(ns, _, before, after)| {
            let (before, after) = (parsed(before), parsed(after));
            let id = before.as_ref().or(after.as_ref()).unwrap().get_i32("_id").unwrap();
            (ns.clone(), id, before.as_ref().map(n), after.as_ref().map(n))
        })
        .collect()
}

/// Returns what is found, after checking that the naive way finds the same, and so does a
/// comparison without memory for keys.
fn exact(world: &World, from: u32, to: u32) -> Vec<Short> {
    let request = request(from, to, None);
    let found = told(world, &request, LIMIT_BYTES).unwrap();
    assert_eq!(found, naive(world, &request), "from {from} to {to}");
    assert_eq!(found, told(world, &request, 0).unwrap(), "by merging, from {from} to {to}");
    short(found)
}

/// Allows this many reads of frames; one more fails.
fn allow_reads(world: &World, reads: usize) {
    for _ in 0..reads {
        world.log.script_read(ReadFault::Slow(Duration::ZERO));
    }
    world.log.script_read(ReadFault::Fail);
}

const A: &str = "shop.a";
const B: &str = "shop.b";

fn create(name: &str, ui: u8) -> Document {
    command(Some(ui), doc! {"create": name})
}

fn of(ns: &str, id: i32, before: Option<i32>, after: Option<i32>) -> Short {
    (ns.to_owned(), id, before, after)
}

#[test]
fn what_was_written_is_told_in_order_and_the_other_way_round() {
    let mut world = World::new();
    world.append(&[(2, create("b", 2)), (3, create("a", 1)), (4, insert(B, 2, 1, 4))]);
    world.append(&[(5, insert(A, 1, 9, 5)), (6, insert(A, 1, 2, 6)), (7, insert(A, 1, 3, 7))]);
    world.append(&[(8, replace(B, 2, 1, 8)), (9, delete(A, 1, 9)), (10, replace(A, 1, 2, 10))]);
    world.append(&[(11, replace(A, 1, 2, 6)), (12, insert(B, 2, 0, 12))]);
    world.follow();
    let expected = [of(A, 9, Some(5), None), of(B, 0, None, Some(12)), of(B, 1, Some(4), Some(8))];
    assert_eq!(exact(&world, 7, 12), expected, "2 is again what it was");
    assert_eq!(exact(&world, 12, 7).len(), 3);
    assert_eq!(exact(&world, 12, 7)[0], of(A, 9, None, Some(5)));
    assert_eq!(exact(&world, 7, 7), []);
    let only = told(&world, &request(7, 12, Some(B)), LIMIT_BYTES).unwrap();
    assert_eq!(only, naive(&world, &request(7, 12, Some(B))));
    assert_eq!(short(only), expected[1..]);
}

/// Segments that lie before or after the span or write to other collections are not read, nor are
/// frames without documents.
#[test]
fn only_segments_that_write_to_what_is_asked_for_are_read() {
    let mut world = World::new();
    world.append(&[(2, create("a", 1)), (3, create("b", 2))]);
    let segment = |ns: &str, ui: u8, first: u32| {
        vec![
            (first, insert(ns, ui, first as i32, 0)),
            (first + 1, replace(ns, ui, first as i32, 1)),
        ]
    };
    for first in (4..40).step_by(4) {
        world.append(&segment(A, 1, first));
        world.append(&segment(B, 2, first + 2));
    }
    world.append(&[(40, op("n", "", None, doc! {}))]);
    world.follow();
    // The segment that holds 11 is always wanted: a transaction may have begun before.
    allow_reads(&world, 4);
    let found = told(&world, &request(11, 27, Some(A)), LIMIT_BYTES).unwrap();
    assert_eq!(found.len(), 4);
    let more = told(&world, &request(11, 31, Some(A)), LIMIT_BYTES);
    assert!(matches!(more, Err(QueryError::Unavailable(_))), "a fifth one is read");
    allow_reads(&world, 0);
    let nothing = told(&world, &request(11, 27, Some("shop.none")), LIMIT_BYTES).unwrap();
    assert_eq!(nothing, []);
}

/// The beginning of a transaction lies before the span, in other segments, and only there does the
/// transaction write to `a`.
#[test]
fn a_transaction_that_ends_in_the_span_is_told_whole() {
    let mut world = World::new();
    world.append(&[(2, create("a", 1)), (3, create("b", 2)), (4, insert(A, 1, 1, 4))]);
    let partial = || doc! {"partialTxn": true};
    world.append(&[(5, part(Some(1), &[replace(A, 1, 1, 5)], 0, partial()))]);
    world.append(&[(6, part(Some(1), &[insert(A, 1, 2, 6)], 5, partial()))]);
    world.append(&[(7, insert(B, 2, 7, 7))]);
    world.append(&[(8, part(Some(1), &[insert(B, 2, 8, 8)], 6, doc! {"count": 3_i64}))]);
    world.append(&[(9, insert(B, 2, 9, 9))]);
    world.follow();
    let of_a = [of(A, 1, Some(4), Some(5)), of(A, 2, None, Some(6))];
    assert_eq!(exact(&world, 7, 8)[..2], of_a);
    assert_eq!(exact(&world, 4, 9)[..2], of_a);
    assert_eq!(exact(&world, 4, 7), [of(B, 7, None, Some(7))]);
    assert_eq!(exact(&world, 8, 9), [of(B, 9, None, Some(9))]);
    // Both entries before the span and the segment of 8: `b` is not asked for, and nothing is open
    // after 8.
    allow_reads(&world, 3);
    assert_eq!(short(told(&world, &request(7, 9, Some(A)), LIMIT_BYTES).unwrap()), of_a);
    assert!(told(&world, &request(7, 9, None), LIMIT_BYTES).is_err());
}

/// The `prevOpTime` of a retryable write leads to another write of its session.
#[test]
fn a_retryable_write_in_one_entry_is_not_followed_back() {
    let mut world = World::new();
    world.append(&[(2, create("a", 1)), (3, insert(A, 1, 3, 3))]);
    world.append(&[(4, insert(A, 1, 4, 4))]);
    let mut vectored = part(Some(1), &[insert(A, 1, 5, 5)], 3, doc! {});
    vectored.insert("multiOpType", 1);
    world.append(&[(5, vectored)]);
    world.follow();
    let of_a = [of(A, 5, None, Some(5))];
    assert_eq!(exact(&world, 4, 5), of_a);
    allow_reads(&world, 1);
    assert_eq!(short(told(&world, &request(4, 5, Some(A)), LIMIT_BYTES).unwrap()), of_a);
}

/// The transaction is prepared before the span, visible in it, and committed after it, with
/// segments in between.
#[test]
fn a_prepared_transaction_is_told_at_its_commit_timestamp() {
    let mut world = World::new();
    world.append(&[(2, create("a", 1)), (3, create("b", 2))]);
    world.append(&[(4, part(Some(1), &[insert(A, 1, 1, 4)], 0, doc! {"partialTxn": true}))]);
    let prepare = doc! {"prepare": true, "count": 2_i64};
    world.append(&[(5, part(Some(1), &[insert(A, 1, 2, 5)], 4, prepare))]);
    for tick in 6..16 {
        world.append(&[(tick, insert(B, 2, tick as i32, tick))]);
    }
    world.append(&[(16, commit(1, 8, 5)), (17, insert(B, 2, 17, 17))]);
    world.follow();
    let of_a = [of(A, 1, None, Some(4)), of(A, 2, None, Some(5))];
    assert_eq!(exact(&world, 7, 8)[..2], of_a);
    assert_eq!(exact(&world, 6, 10)[..2], of_a);
    assert_eq!(exact(&world, 4, 10)[..2], of_a);
    assert_eq!(exact(&world, 3, 17)[..2], of_a);
    assert!(exact(&world, 8, 17).iter().all(|it| it.0 == B));
    assert!(exact(&world, 4, 7).iter().all(|it| it.0 == B));
    // After the span only the commit is read, and the two entries that it leads to.
    allow_reads(&world, 2 + 1 + 2);
    assert_eq!(short(told(&world, &request(7, 8, Some(A)), LIMIT_BYTES).unwrap()), of_a);
}

#[test]
fn what_was_aborted_or_is_not_decided_is_not_told() {
    let mut world = World::new();
    world.append(&[(2, create("a", 1))]);
    world.append(&[(3, part(Some(1), &[insert(A, 1, 1, 3)], 0, doc! {"prepare": true}))]);
    world.append(&[(4, insert(A, 1, 4, 4)), (5, abort(1, 3)), (6, insert(A, 1, 6, 6))]);
    world.append(&[(7, part(Some(2), &[insert(A, 1, 7, 7)], 0, doc! {"prepare": true}))]);
    world.append(&[(8, insert(A, 1, 8, 8))]);
    world.follow();
    assert_eq!(world.ticks(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(exact(&world, 2, 6), [of(A, 4, None, Some(4)), of(A, 6, None, Some(6))]);
    assert_eq!(exact(&world, 3, 4), [of(A, 4, None, Some(4))]);
}

#[test]
fn a_collection_renamed_and_back_is_followed_under_both_names() {
    let mut world = World::new();
    let rename = |from: &str, to: &str| {
        command(Some(1), doc! {"renameCollection": from, "to": to, "stayTemp": false})
    };
    world.append(&[(2, create("a", 1)), (3, insert(A, 1, 1, 3)), (4, insert(A, 1, 2, 4))]);
    world.append(&[(5, rename(A, "shop.other"))]);
    world.append(&[(6, replace("shop.other", 1, 1, 6))]);
    world.append(&[(7, rename("shop.other", A))]);
    world.append(&[(8, insert(A, 1, 3, 8))]);
    world.follow();
    let both = [of(A, 1, Some(3), Some(6)), of(A, 3, None, Some(8))];
    assert_eq!(exact(&world, 4, 8), both);
    // 6 and 8 are read. A frame that holds only a rename has no documents.
    allow_reads(&world, 2);
    assert_eq!(short(told(&world, &request(4, 8, None), LIMIT_BYTES).unwrap()), both);
    assert_eq!(exact(&world, 4, 6).len(), 4, "under another name it is another one");
}

#[test]
fn what_is_not_one_collection_or_capped_is_merged() {
    let mut world = World::new();
    let capped = command(Some(3), doc! {"create": "c", "capped": true, "size": 4096});
    world.append(&[(2, create("a", 1)), (3, capped), (4, insert(A, 1, 1, 4))]);
    world.append(&[(5, insert(A, 1, 2, 5)), (6, insert("shop.c", 3, 1, 6))]);
    world.append(&[(7, command(Some(1), doc! {"drop": "a"})), (8, create("a", 4))]);
    world.append(&[(9, insert(A, 4, 2, 9)), (10, insert("shop.c", 3, 2, 10))]);
    world.append(&[(11, command(Some(3), doc! {"emptycapped": "c"}))]);
    world.follow();
    let of_a = [of(A, 1, Some(4), None), of(A, 2, Some(5), Some(9))];
    let c = "shop.c";
    assert_eq!(exact(&world, 6, 9), of_a);
    assert_eq!(exact(&world, 6, 7), [of(A, 1, Some(4), None), of(A, 2, Some(5), None)]);
    assert_eq!(exact(&world, 9, 10), [of(c, 2, None, Some(10))]);
    assert_eq!(exact(&world, 10, 11), [of(c, 1, Some(6), None), of(c, 2, Some(10), None)]);
    assert_eq!(exact(&world, 2, 10).len(), 3, "made in between");
}

#[test]
fn times_of_two_bases_are_compared() {
    let mut world = World::new();
    world.append(&[(2, create("a", 1)), (3, insert(A, 1, 1, 3)), (4, insert(A, 1, 2, 4))]);
    world.follow();
    world.append_after_gap(&[(20, op("n", "", None, doc! {})), (21, replace(A, 1, 2, 21))]);
    let there = vec![document(2, 15), document(3, 16)];
    world.base(20, BTreeMap::from([(("a", 1), there)]));
    world.follow();
    assert_eq!(world.ticks(), [1, 2, 3, 4, 20, 21]);
    let id_3 = of(A, 3, None, Some(16));
    assert_eq!(exact(&world, 4, 20), [of(A, 1, Some(3), None), of(A, 2, Some(4), Some(15)), id_3]);
    assert_eq!(exact(&world, 20, 21), [of(A, 2, Some(15), Some(21))]);
}

#[test]
fn it_ends_when_the_visitor_or_nobody_wants_more() {
    let mut world = World::new();
    world.append(&[(2, create("a", 1))]);
    let many: Vec<_> = (3..1003).map(|tick| (tick, insert(A, 1, tick as i32, tick))).collect();
    many.chunks(100).for_each(|entries| world.append(entries));
    world.follow();
    for limit_bytes in [0, LIMIT_BYTES] {
        let request = request(2, 1002, None);
        let mut seen = 0;
        let mut visit = |_: Difference<'_>| {
            seen += 1;
            if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let stop = CancellationToken::new();
        let ended = world.engine.diff_within(&request, limit_bytes, &stop, &mut visit);
        assert!(world.run(ended).unwrap().is_break());
        assert_eq!(seen, 3);
        let mut seen = 0;
        let mut visit = |_: Difference<'_>| {
            seen += 1;
            // Nobody wants more once the first difference was reported.
            stop.cancel();
            ControlFlow::Continue(())
        };
        let ended = world.engine.diff_within(&request, limit_bytes, &stop, &mut visit);
        assert!(world.run(ended).unwrap().is_break());
        assert!((1..=256).contains(&seen), "{seen}");
    }
    allow_reads(&world, 0);
    let request = request(2, 1002, None);
    let mut visit = |_: Difference<'_>| ControlFlow::Continue(());
    let stop = CancellationToken::new();
    stop.cancel();
    let ended = world.engine.diff(&request, &stop, &mut visit);
    assert!(world.run(ended).unwrap().is_break(), "before anything is read");
}

#[test]
fn the_id_is_told_as_it_stands() {
    let with = |n: i32| doc! {"x": 1, "_id": {"b": 1_i64}, "n": n}.to_vec().unwrap();
    let (one, other) = (with(1), with(2));
    let id = doc! {"_id": {"b": 1_i64}}.to_vec().unwrap();
    let difference = Difference { ns: A, id_key: b"k", before: Some(&one), after: Some(&other) };
    assert_eq!(difference.id_document(), Ok(id.clone()));
    assert_eq!(Difference { after: None, ..difference }.id_document(), Ok(id));
    let nothing = Difference { before: None, after: None, ..difference };
    assert!(nothing.id_document().is_err());
}
