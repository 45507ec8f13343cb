//! Compares what members of the source listed of their catalog with what the entries made.

use hindsight_form::{Meaning, index_name};
use hindsight_history::{CollectionState, Writer};
use hindsight_oplog::OpTime;
use hindsight_oplog::raw::{Doc, DocWriter, Malformed};
use hindsight_oplog::time_series::BUCKETS_PREFIX;
use hindsight_segment::{CatalogSighting, SegmentInfo, Sequence};

use super::FollowError;

/// Options that decide how documents are kept. They never change without an entry. A history that
/// took up another value would keep later documents differently from the documents it already has.
const FIXED_OPTIONS: &[&[u8]] = &[b"capped", b"clusteredIndex", b"collation", b"timeseries"];

/// What a sighting means for a collection.
#[derive(Debug, PartialEq, Eq)]
struct Judged {
    differences: Vec<String>,
    /// The collection as it was listed. None when the listing cannot be taken up.
    state: Option<CollectionState>,
}

/// Takes in the sightings of a segment whose entries were all applied and are not committed yet.
///
/// A sighting counts only when no entry changed the collection after the time up to which the
/// listing includes every entry: a later change may or may not be in the listing. A difference that
/// persists is sighted again.
pub(super) fn take_in(segment: &SegmentInfo, writer: &mut Writer<'_>) -> Result<(), FollowError> {
    let Some(sightings) = &segment.seal.sightings else { return Ok(()) };
    let last = segment.last();
    let generation = writer.generation();
    let is_in_already = generation.applied().is_some_and(|applied| last <= applied);
    if is_in_already || last.ts <= generation.base.start {
        return Ok(());
    }
    let sightings = sightings.decode().map_err(|error| FollowError::Damaged {
        sequence: segment.sequence(),
        source: error.into(),
    })?;
    for sighting in sightings {
        take_in_one(&sighting, segment.sequence(), last, writer)?;
    }
    Ok(())
}

fn take_in_one(
    sighting: &CatalogSighting,
    sequence: Sequence,
    last: OpTime,
    writer: &mut Writer<'_>,
) -> Result<(), FollowError> {
    let Some((since, state)) = writer.newest(&sighting.uuid) else { return Ok(()) };
    if state.implicit || since > sighting.seen_from || sighting.seen_to > last.ts {
        return Ok(());
    }
    let judged = judge(sighting, &state).map_err(|error| FollowError::Damaged {
        sequence,
        source: format!("what was listed of {}: {error}", state.ns).into(),
    })?;
    let Some(judged) = judged else { return Ok(()) };
    crate::metrics::unlogged_differences(judged.differences.len());
    tracing::warn!(
        ns = state.ns,
        at = %last.ts,
        members = sighting.members.join(", "),
        taken_up = judged.state.is_some(),
        differences = judged.differences.join("; "),
        "the source's catalog differs from what its entries made"
    );
    writer.observe(last, &sighting.uuid, judged.state, judged.differences)?;
    Ok(())
}

/// Compares a sighting with the collection. None when the listing agrees with what the entries
/// made.
fn judge(
    sighting: &CatalogSighting,
    current: &CollectionState,
) -> Result<Option<Judged>, Malformed> {
    let mut state = current.clone();
    let mut differences = Vec::new();
    let can_take_up = judge_options(sighting, &mut state, &mut differences)?;
    state.indexes = judge_indexes(&sighting.indexes, &current.indexes, &mut differences)?;
    if differences.is_empty() {
        return Ok(None);
    }
    Ok(Some(Judged { differences, state: can_take_up.then_some(state) }))
}

/// Compares the options. Returns false when the listed options cannot be taken up.
fn judge_options(
    sighting: &CatalogSighting,
    state: &mut CollectionState,
    differences: &mut Vec<String>,
) -> Result<bool, Malformed> {
    let listed = Doc::new(&sighting.options)?;
    let changed = differing_options(&state.ns, state.options(), listed)?;
    if changed.is_empty() {
        return Ok(true);
    }
    differences.push(format!("the options differ: {}", changed.join(", ")));
    if changed.iter().any(|name| FIXED_OPTIONS.contains(&name.as_bytes())) {
        return Ok(false);
    }
    sighting.options.clone_into(&mut state.options);
    Ok(true)
}

/// Returns the names of the options that differ. For a buckets collection, the validator and
/// `storageEngine` belong to the server and change with its patch version.
fn differing_options(ns: &str, ours: Doc<'_>, theirs: Doc<'_>) -> Result<Vec<String>, Malformed> {
    let is_buckets = ns.split_once('.').is_some_and(|(_, name)| name.starts_with(BUCKETS_PREFIX));
    let ignored: &[&[u8]] = if is_buckets { &[b"validator", b"storageEngine"] } else { &[] };
    let meaning = |options: Doc<'_>| {
        let mut compared = DocWriter::with_capacity(options.as_bytes().len());
        compared.copy_without(options, ignored)?;
        Meaning::of_options(Doc::new(&compared.finish())?)
    };
    Ok(meaning(ours)?.differing(&meaning(theirs)?))
}

/// Returns the indexes that the collection has from now on. Indexes that are listed unchanged stay
/// as they are, in their order.
fn judge_indexes(
    listed: &[Vec<u8>],
    current: &[Vec<u8>],
    differences: &mut Vec<String>,
) -> Result<Vec<Vec<u8>>, Malformed> {
    let listed = secondary_indexes(listed)?;
    let mut indexes = Vec::with_capacity(listed.len());
    for spec in current {
        let name = index_name(spec);
        if !is_secondary(spec)? {
            indexes.push(spec.clone());
            continue;
        }
        match listed.iter().find(|other| index_name(other) == name) {
            None => differences.push(format!("index {name} is not on the members any more")),
            Some(other) if index_meaning(spec)? == index_meaning(other)? => {
                indexes.push(spec.clone());
            }
            Some(other) => {
                differences.push(format!("index {name} is another one on the members"));
                indexes.push((*other).clone());
            }
        }
    }
    for spec in listed {
        let name = index_name(spec);
        if !current.iter().any(|other| index_name(other) == name) {
            differences.push(format!("index {name} is on the members, and no entry made it"));
            indexes.push(spec.clone());
        }
    }
    Ok(indexes)
}

fn index_meaning(spec: &[u8]) -> Result<Meaning, Malformed> {
    Doc::new(spec).and_then(Meaning::of_index)
}

fn secondary_indexes(listed: &[Vec<u8>]) -> Result<Vec<&Vec<u8>>, Malformed> {
    let mut secondary = Vec::with_capacity(listed.len());
    for spec in listed {
        if is_secondary(spec)? {
            secondary.push(spec);
        }
    }
    Ok(secondary)
}

/// Whether this is a secondary index. The index on `_id` goes with its collection, and what
/// `listIndexes` shows of a clustered collection is not an index.
fn is_secondary(spec: &[u8]) -> Result<bool, Malformed> {
    Ok(index_name(spec) != "_id_" && Doc::new(spec)?.get(b"clustered")?.is_none())
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};
    use hindsight_oplog::Timestamp;

    use super::*;

    fn index(name: &str) -> RawDocumentBuf {
        rawdoc! { "v": 2, "key": { "x": 1 }, "name": name }
    }

    fn bytes(documents: &[RawDocumentBuf]) -> Vec<Vec<u8>> {
        documents.iter().map(|it| it.as_bytes().to_vec()).collect()
    }

    fn judged(
        (ours, our_indexes): (RawDocumentBuf, &[RawDocumentBuf]),
        (theirs, their_indexes): (RawDocumentBuf, &[RawDocumentBuf]),
    ) -> Option<Judged> {
        let state = CollectionState {
            options: ours.into_bytes(),
            indexes: bytes(our_indexes),
            ..CollectionState::new([7; 16], "shop.orders")
        };
        let sighting = CatalogSighting {
            uuid: [7; 16],
            ns: "shop.orders".to_owned(),
            seen_from: Timestamp::new(5, 1),
            seen_to: Timestamp::new(6, 1),
            members: vec!["a:1".to_owned()],
            options: theirs.into_bytes(),
            indexes: bytes(their_indexes),
        };
        judge(&sighting, &state).expect("well formed")
    }

    fn indexes(
        ours: &[RawDocumentBuf],
        theirs: &[RawDocumentBuf],
    ) -> Option<(String, Vec<String>)> {
        let judged = judged((rawdoc! {}, ours), (rawdoc! {}, theirs))?;
        let state = judged.state.expect("indexes are always taken up");
        let names = state.indexes.iter().map(|spec| index_name(spec)).collect();
        Some((judged.differences.join("; "), names))
    }

    #[test]
    fn indexes_without_an_entry_are_taken_up_as_listed() {
        let id = || rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" };
        let order = || rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "by_id", "clustered": true };
        let (a, b) = (|| index("a"), || index("b"));
        assert_eq!(indexes(&[a(), b()], &[id(), order(), b(), a()]), None);
        assert_eq!(indexes(&[order(), a()], &[a()]), None);
        let (text, names) = indexes(&[b()], &[id(), a(), b()]).expect("a difference");
        assert_eq!(text, "index a is on the members, and no entry made it");
        assert_eq!(names, ["b", "a"]);
        let (text, names) = indexes(&[a(), b()], &[b()]).expect("a difference");
        assert_eq!(text, "index a is not on the members any more");
        assert_eq!(names, ["b"]);
        let hidden = rawdoc! { "v": 2, "key": { "x": 1 }, "name": "a", "hidden": true };
        let (text, names) = indexes(&[a(), b()], &[hidden, b()]).expect("a difference");
        assert_eq!(text, "index a is another one on the members");
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn definitions_are_compared_by_meaning() {
        let ours = rawdoc! { "v": 2, "key": { "x": 1 }, "name": "a", "ns": "shop.orders" };
        assert_eq!(
            indexes(&[ours], &[rawdoc! { "name": "a", "key": { "x": 1 }, "v": 2_i64 }]),
            None
        );
        let options = rawdoc! { "capped": true, "size": 4096, "temp": true };
        let listed = rawdoc! { "size": 4096_i64, "capped": true };
        assert_eq!(judged((options, &[]), (listed, &[])), None);
    }

    #[test]
    fn options_are_taken_up_unless_they_decide_how_documents_are_kept() {
        let ours = || rawdoc! { "validator": { "a": 1 }, "recordPreImages": true };
        let judged_as = |theirs| judged((ours(), &[]), (theirs, &[])).expect("a difference");
        let theirs = rawdoc! { "validator": { "a": 2 } };
        let judged = judged_as(theirs.clone());
        assert_eq!(judged.differences, ["the options differ: recordPreImages, validator"]);
        assert_eq!(judged.state.expect("taken up").options, theirs.as_bytes());
        let capped = rawdoc! { "capped": true, "size": 4096, "validator": { "a": 1 }, "recordPreImages": true };
        let judged = judged_as(capped);
        assert_eq!(judged.differences, ["the options differ: capped, size"]);
        assert_eq!(judged.state, None);
    }
}
