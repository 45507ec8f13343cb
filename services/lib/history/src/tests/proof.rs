//! Hashes of documents in entries (9.0, behind a flag). No such server was available: the entries
//! are made by hand, and the hashes of both generations come from the Python packages xxhash and
//! hashlib.

use bson::doc;

use super::*;
use crate::HashCounts;

/// The hashes of the insert of `{_id: 1, a: 1}`, and of the update to `{_id: 1, a: 2}` after it.
const XXH3: [i64; 2] = [2_030_295_184_984_109_034, -8_055_586_771_139_422_860];
const SHA256: [i64; 2] = [-2_887_570_396_669_639_754, 517_307_330_201_437_044];

fn insert(hash: i64) -> Op {
    Op { document_hash: Some(hash), ..Op::insert(doc! {"_id": 1, "a": 1}) }
}

fn update(hash: i64) -> Op {
    Op { document_hash: Some(hash), ..Op::replace(1, doc! {"$v": 2, "diff": {"u": {"a": 2}}}) }
}

fn delete(hash: i64) -> Op {
    Op { document_hash: Some(hash), ..Op::delete(1) }
}

/// Applies each operation at its own second, from 30 on.
fn counts(fixture: &Fixture, ops: Vec<Op>) -> Result<HashCounts, ApplyError> {
    let mut writer = fixture.history.writer().unwrap();
    for (at_second, op) in (30..).zip(ops) {
        apply(&mut writer, at_second, &[op])?;
        writer.commit(Progress::at(at(at_second)))?;
    }
    Ok(writer.hash_counts())
}

#[test]
fn both_generations_of_the_hash_are_recognised() {
    for [inserted, updated] in [XXH3, SHA256] {
        // The first generation is not known to hash what is deleted.
        let fixture = Fixture::with_base(&[]);
        let found = counts(&fixture, vec![insert(inserted), update(updated)]).unwrap();
        assert_eq!(found, HashCounts { matched: 2, ..HashCounts::default() });
    }
    let fixture = Fixture::with_base(&[]);
    // The XOR of both is the hash of the new document.
    let old = XXH3[0] ^ XXH3[1];
    let found = counts(&fixture, vec![insert(XXH3[0]), update(XXH3[1]), delete(old)]).unwrap();
    assert_eq!(found.matched, 3);
}

#[test]
fn a_document_that_differs_ends_the_history_with_both_hashes() {
    let fixture = Fixture::with_base(&[]);
    let error = counts(&fixture, vec![insert(XXH3[0]), update(XXH3[1] ^ 1)]).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ApplyError::Inconsistent { at: stop, .. } if stop == at(31)), "{text}");
    let hashes = [XXH3[1] ^ 1, XXH3[1]].map(|hash| format!("{hash:016x}"));
    assert!(hashes.iter().all(|hash| text.contains(hash)), "{text}");
    assert!(text.contains("another algorithm"), "{text}");
    // A restart does not forget that the algorithm is known.
    let mut writer = fixture.history.writer().unwrap();
    assert!(apply(&mut writer, 31, &[update(XXH3[1] ^ 1)]).is_err());
}

/// A third generation of the hash must not stop a sound history.
#[test]
fn hashes_that_never_matched_are_counted_and_stop_nothing() {
    let fixture = Fixture::with_base(&[]);
    let found = counts(&fixture, vec![insert(7), update(8), delete(9)]).unwrap();
    assert_eq!(found, HashCounts { unrecognised: 3, ..HashCounts::default() });
}

/// A hash that matches shows that the earlier ones that did not match were differences.
#[test]
fn a_match_after_hashes_that_did_not_ends_the_history() {
    let fixture = Fixture::with_base(&[]);
    let error = counts(&fixture, vec![insert(7), update(XXH3[1])]).unwrap_err().to_string();
    assert!(error.contains(&ts(30).to_string()) && error.contains("another algorithm"), "{error}");
    let mut writer = fixture.history.writer().unwrap();
    assert!(apply(&mut writer, 31, &[update(XXH3[1])]).is_err(), "after a restart too");
}

#[test]
fn nothing_is_proved_while_the_base_was_copied() {
    let fixture = Fixture::with_base(&[]);
    let mut writer = fixture.history.writer().unwrap();
    apply(&mut writer, 15, &[insert(7)]).unwrap();
    assert_eq!(writer.hash_counts(), HashCounts::default());
}
