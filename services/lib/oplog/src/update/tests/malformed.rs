//! Updates that break their grammar.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn fault_of(pre: &RawDocumentBuf, diff: &RawDocumentBuf) -> DiffFault {
    match apply(pre, &delta(diff.clone())) {
        Err(UpdateError::InvalidDelta { fault, .. }) => fault,
        other => panic!("{diff:?} on {pre:?}: {other:?}"),
    }
}

/// A fault is found whether the subdiff that has it applies, meets another type, or finds no field.
#[track_caller]
fn check_fault(diff: RawDocumentBuf, fault: DiffFault) {
    let first = rawdoc! {"_id": 1};
    assert_eq!(fault_of(&first, &diff), fault, "at the top: {diff:?}");
    let nested = rawdoc! {"so": diff.clone()};
    for pre in [rawdoc! {"_id": 1, "o": {"x": 1}}, rawdoc! {"_id": 1, "o": 1}, first] {
        assert_eq!(fault_of(&pre, &nested), fault, "{diff:?} on {pre:?}");
    }
}

#[track_caller]
fn check_array_fault(diff: RawDocumentBuf, fault: DiffFault) {
    let nested = rawdoc! {"sv": diff.clone()};
    let in_array = rawdoc! {"sv": {"a": true, "s1": diff.clone()}};
    for pre in [
        rawdoc! {"_id": 1, "v": [1, [2], 3]},
        rawdoc! {"_id": 1, "v": []},
        rawdoc! {"_id": 1, "v": 1},
        rawdoc! {"_id": 1},
    ] {
        assert_eq!(fault_of(&pre, &nested), fault, "{diff:?} on {pre:?}");
        assert_eq!(fault_of(&pre, &in_array), fault, "{diff:?} in an array on {pre:?}");
    }
}

#[test]
fn faults_of_document_diffs() {
    check_fault(rawdoc! {}, DiffFault::Empty);
    check_fault(rawdoc! {"x": {}}, DiffFault::UnexpectedSection);
    check_fault(rawdoc! {"dd": {"a": false}}, DiffFault::UnexpectedSection);
    check_fault(rawdoc! {"u": {"a": 1}, "d": {"b": false}}, DiffFault::UnexpectedSection);
    check_fault(rawdoc! {"b": {}, "i": {"a": 1}}, DiffFault::UnexpectedSection);
    check_fault(rawdoc! {"": {"a": 1}}, DiffFault::EmptySectionName);
    check_fault(rawdoc! {"d": 1}, DiffFault::SectionType);
    check_fault(rawdoc! {"u": ["a"]}, DiffFault::SectionType);
    check_fault(rawdoc! {"sx": {"u": {"y": 1}}, "u": {"a": 1}}, DiffFault::AfterSubDiff);
    check_fault(rawdoc! {"sx": 1}, DiffFault::SubDiffType);
    check_fault(rawdoc! {"sx": {"u": {"y": 1}}, "sz": [1]}, DiffFault::SubDiffType);
    check_fault(rawdoc! {"d": {"x": false}, "u": {"x": 1}}, DiffFault::DuplicateField);
    check_fault(rawdoc! {"i": {"x": 1}, "sx": {"u": {"y": 1}}}, DiffFault::DuplicateField);
    let mut twice = DocWriter::new();
    twice.open(kind::DOCUMENT, b"u").int32(b"a", 1).close();
    twice.open(kind::DOCUMENT, b"u").int32(b"b", 1).close();
    check_fault(RawDocumentBuf::from_bytes(twice.finish()).unwrap(), DiffFault::UnexpectedSection);
    for wrong in [
        rawdoc! {"o": 0, "d": 1},
        rawdoc! {"o": -1, "d": column(b"x")},
        rawdoc! {"o": 0_i64, "d": column(b"x")},
        rawdoc! {"o": 0},
        rawdoc! {"o": 0, "d": column(b"x"), "e": 1},
    ] {
        check_fault(rawdoc! {"b": {"c": wrong}}, DiffFault::InvalidBinary);
    }
    // Only below the top can a diff be an array diff.
    assert_eq!(fault_of(&rawdoc! {"_id": 1}, &rawdoc! {"a": true}), DiffFault::UnexpectedSection);
}

#[test]
fn duplicate_fields_are_found_among_many() {
    let mut updates = DocWriter::new();
    updates.open(kind::DOCUMENT, b"u");
    for n in (0..40).chain([3]) {
        updates.int32(format!("f{n}").as_bytes(), n);
    }
    updates.close();
    check_fault(RawDocumentBuf::from_bytes(updates.finish()).unwrap(), DiffFault::DuplicateField);
}

#[test]
fn faults_of_array_diffs() {
    check_array_fault(rawdoc! {"a": 1}, DiffFault::HeaderType);
    check_array_fault(rawdoc! {"a": false}, DiffFault::HeaderValue);
    check_array_fault(rawdoc! {"a": true, "l": 1_i64}, DiffFault::SectionType);
    check_array_fault(rawdoc! {"a": true, "l": -1}, DiffFault::NegativeLength);
    check_array_fault(rawdoc! {"a": true, "u": 1}, DiffFault::MissingIndex);
    check_array_fault(rawdoc! {"a": true, "": 1}, DiffFault::MissingIndex);
    check_array_fault(rawdoc! {"a": true, "u0": 1, "l": 1}, DiffFault::MissingIndex);
    check_array_fault(rawdoc! {"a": true, "ux": 1}, DiffFault::InvalidIndex);
    check_array_fault(rawdoc! {"a": true, "u-1": 1}, DiffFault::InvalidIndex);
    check_array_fault(rawdoc! {"a": true, "u4294967296": 1}, DiffFault::InvalidIndex);
    check_array_fault(rawdoc! {"a": true, "d0": 1}, DiffFault::UnknownArrayEntry);
    check_array_fault(rawdoc! {"a": true, "s0": 1}, DiffFault::ArraySubDiffType);
    check_array_fault(rawdoc! {"a": true, "s0": {}}, DiffFault::Empty);
    check_array_fault(rawdoc! {"a": true, "u1": 1, "u0": 1}, DiffFault::IndexOrder);
    check_array_fault(rawdoc! {"a": true, "u1": 1, "s1": {"u": {"a": 1}}}, DiffFault::IndexOrder);
    check_array_fault(rawdoc! {"a": true, "l": 1, "u1": 1}, DiffFault::IndexBeyondLength);
}

#[test]
fn messages_name_field_reason_and_server_code() {
    let error = apply(&rawdoc! {"_id": 1}, &delta(rawdoc! {"u": {"a": 1}, "i": {"a": 1}}));
    let message = error.unwrap_err().to_string();
    assert_eq!(
        message,
        "delta breaks its grammar at field \"a\": field is changed twice (server error 4728000)"
    );
    let error = apply(&rawdoc! {"_id": 1}, &delta(rawdoc! {"b": {"c": 1}})).unwrap_err();
    assert!(error.to_string().contains("binary patch is not {o: int32, d: binary}"), "{error}");
}

#[test]
fn deep_diffs_are_refused_wherever_they_lead() {
    let nested = |depth: usize| {
        let mut diff = rawdoc! {"u": {"x": 1}};
        for _ in 0..depth {
            diff = rawdoc! {"so": diff};
        }
        diff
    };
    let mut deep = rawdoc! {};
    for _ in 0..400 {
        deep = rawdoc! {"o": deep};
    }
    deep.append(bson::raw::cstr!("_id"), 1);
    for pre in [rawdoc! {"_id": 1, "o": 1}, rawdoc! {"_id": 1}, deep] {
        assert_eq!(fault_of(&pre, &nested(400)), DiffFault::TooDeep);
    }
    assert!(apply(&rawdoc! {"_id": 1}, &delta(nested(200))).is_ok());
}

#[test]
fn padding_ends_at_the_largest_document() {
    let pre = rawdoc! {"_id": 1, "v": []};
    for diff in
        [rawdoc! {"sv": {"a": true, "u4294967295": 1}}, rawdoc! {"sv": {"a": true, "l": i32::MAX}}]
    {
        assert_eq!(apply(&pre, &delta(diff)), Err(UpdateError::TooLarge));
    }
}

/// Seeds whose bytes are then damaged.
fn seeds() -> Vec<(RawDocumentBuf, RawDocumentBuf)> {
    let pre = rawdoc! {
        "_id": 1, "a": 1, "o": {"x": 1, "y": [1, {"k": 2}]},
        "v": [1, [2], {"m": 3}], "c": column(b"abcd"),
    };
    let diff = rawdoc! {
        "d": {"a": false}, "u": {"z": 1}, "i": {"w": "text"}, "b": {"c": {"o": 1, "d": column(b"x")}},
        "so": {"u": {"x": 2}, "sy": {"a": true, "l": 2, "s1": {"i": {"n": 1}}}},
        "sv": {"a": true, "s1": {"a": true, "u1": 7}, "u4": 1},
    };
    let operators = rawdoc! {
        "$v": 1, "$set": {"a": 2, "o.y.1.k": 3, "v.5": 1, "new.b.c": 1},
        "$unset": {"o.x": true, "v.0": true},
    };
    let replacement = rawdoc! {"a": 1, "_id": 1};
    vec![(pre.clone(), delta(diff)), (pre.clone(), operators), (pre, replacement)]
}

/// No input causes a panic, and two valid inputs make only a valid document.
fn check_robust(pre: &[u8], o: &[u8]) {
    let (Ok(pre), Ok(o)) = (Doc::new(pre), Doc::new(o)) else { return };
    let Ok(update) = Update::parse(o) else { return };
    let post = update.apply(pre);
    if let Ok(Some(first)) = pre.first() {
        let _ = update.apply_to_missing(first);
    }
    if let (Ok(()), Ok(()), Ok(post)) = (pre.validate(), o.validate(), post) {
        Doc::new(&post).expect("framed").validate().expect("a valid document");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn damaged_updates_never_panic(
        seed in prop::sample::select(seeds()),
        flips in prop::collection::vec(
            (any::<bool>(), any::<prop::sample::Index>(), any::<u8>()),
            1..4,
        ),
    ) {
        let (mut pre, mut o) = (seed.0.into_bytes(), seed.1.into_bytes());
        for (in_pre, at, byte) in flips {
            let bytes = if in_pre { &mut pre } else { &mut o };
            // The outer length stays; otherwise nothing below it would be reached.
            let at = 4 + at.index(bytes.len() - 5);
            bytes[at] = byte;
        }
        check_robust(&pre, &o);
    }

    #[test]
    fn any_bytes_never_panic(
        inner in prop::collection::vec(any::<u8>(), 0..80),
        seed in prop::sample::select(seeds()),
    ) {
        let mut bytes = ((inner.len() + 5) as i32).to_le_bytes().to_vec();
        bytes.extend_from_slice(&inner);
        bytes.push(0);
        check_robust(seed.0.as_bytes(), &bytes);
        check_robust(&bytes, seed.1.as_bytes());
        if let Ok(nested) = RawDocumentBuf::from_bytes(bytes) {
            check_robust(seed.0.as_bytes(), delta(nested).as_bytes());
        }
    }
}
