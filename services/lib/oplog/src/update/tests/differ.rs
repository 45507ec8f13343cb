//! Deltas as a server makes them: a small differ, written after the server's
//! `document_diff_calculator`, against the applier.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Returns the diff of two documents, or `None` where the server would rather log the whole value.
fn diff_documents(pre: Doc<'_>, post: Doc<'_>, ignore_size: bool) -> Option<Vec<u8>> {
    let pre: Vec<_> = pre.elements().map(Result::unwrap).collect();
    let post_elements: Vec<_> = post.elements().map(Result::unwrap).collect();
    let mut deletes: BTreeSet<&[u8]> = BTreeSet::new();
    let (mut updates, mut inserts, mut subs) = (Vec::new(), Vec::new(), Vec::new());
    let (mut at, mut to) = (0, 0);
    while at < pre.len() && to < post_elements.len() {
        let (old, new) = (pre[at], post_elements[to]);
        if old.name == new.name {
            if old.as_bytes() != new.as_bytes() {
                match diff_values(old, new, ignore_size) {
                    Some(sub) => subs.push((new.name, sub)),
                    None => updates.push(new),
                }
            }
            to += 1;
        } else {
            deletes.insert(old.name);
        }
        at += 1;
    }
    deletes.extend(pre[at..].iter().map(|old| old.name));
    for new in &post_elements[to..] {
        inserts.push(*new);
        deletes.remove(new.name);
    }
    let mut writer = DocWriter::new();
    if !deletes.is_empty() {
        writer.open(kind::DOCUMENT, b"d");
        deletes.iter().for_each(|name| {
            writer.value(kind::BOOL, name, &[0]);
        });
        writer.close();
    }
    for (section, fields) in [(b"u", updates), (b"i", inserts)] {
        if !fields.is_empty() {
            writer.open(kind::DOCUMENT, section);
            fields.iter().for_each(|field| {
                writer.element(*field);
            });
            writer.close();
        }
    }
    for (name, sub) in subs {
        writer.doc(&[b"s", name].concat(), Doc::new(&sub).unwrap());
    }
    let diff = writer.finish();
    (ignore_size || diff.len() < post.as_bytes().len()).then_some(diff)
}

fn diff_arrays(pre: Doc<'_>, post: Doc<'_>, ignore_size: bool) -> Option<Vec<u8>> {
    let mut writer = DocWriter::new();
    writer.value(kind::BOOL, b"a", &[1]);
    let (old_length, new_length) = (pre.elements().count(), post.elements().count());
    if new_length < old_length {
        writer.int32(b"l", new_length as i32);
    }
    let mut old = pre.elements();
    for (index, new) in post.elements().map(Result::unwrap).enumerate() {
        let old = old.next().transpose().unwrap();
        if old.is_some_and(|old| old.as_bytes() == new.as_bytes()) {
            continue;
        }
        match old.and_then(|old| diff_values(old, new, ignore_size)) {
            Some(sub) => writer.doc(format!("s{index}").as_bytes(), Doc::new(&sub).unwrap()),
            None => writer.value(new.kind, format!("u{index}").as_bytes(), new.value),
        };
    }
    let diff = writer.finish();
    (ignore_size || diff.len() < post.as_bytes().len()).then_some(diff)
}

fn diff_values(old: Element<'_>, new: Element<'_>, ignore_size: bool) -> Option<Vec<u8>> {
    if let (Some(old), Some(new)) = (old.as_doc(), new.as_doc()) {
        diff_documents(old, new, ignore_size)
    } else if let (Some(old), Some(new)) = (old.as_array(), new.as_array()) {
        diff_arrays(old, new, ignore_size)
    } else {
        None
    }
}

fn diff_of(pre: &RawDocumentBuf, post: &RawDocumentBuf, ignore_size: bool) -> RawDocumentBuf {
    if pre == post {
        return delta(rawdoc! {"u": {}});
    }
    match diff_documents(doc(pre), doc(post), ignore_size) {
        Some(diff) => delta(RawDocumentBuf::from_bytes(diff).unwrap()),
        None => post.clone(),
    }
}

fn value() -> impl Strategy<Value = RawBson> {
    let leaf = prop_oneof![
        (0..3_i32).prop_map(RawBson::Int32),
        (0..2_i64).prop_map(RawBson::Int64),
        "[xyz]{0,20}".prop_map(RawBson::String),
        Just(RawBson::Double(f64::NAN)),
        Just(RawBson::Null),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5)
                .prop_map(|values| RawBson::Array(RawArrayBuf::from_iter(values))),
            fields(inner).prop_map(RawBson::Document),
        ]
    })
}

/// Up to six fields in any order, without repeated names. The names look like paths, operators,
/// indexes and sections.
fn fields(value: impl Strategy<Value = RawBson>) -> impl Strategy<Value = RawDocumentBuf> {
    let names = ["a", "b", "u", "s", "", "a.b", "$set", "0", "1", "long name"];
    let names = prop::sample::subsequence(names.to_vec(), 0..6).prop_shuffle();
    (names, prop::collection::vec(value, 6)).prop_map(|(names, values)| {
        let mut document = RawDocumentBuf::new();
        for (name, value) in names.into_iter().zip(values) {
            document.append(bson::raw::CString::try_from(name).unwrap(), value);
        }
        document
    })
}

fn document() -> impl Strategy<Value = RawDocumentBuf> {
    fields(value()).prop_map(|fields| {
        let mut writer = DocWriter::new();
        writer.int32(b"_id", 1);
        for field in doc(&fields).elements() {
            writer.element(field.unwrap());
        }
        RawDocumentBuf::from_bytes(writer.finish()).unwrap()
    })
}

/// A document and a few of its later states. Each state has much in common with the state before.
fn states() -> impl Strategy<Value = Vec<RawDocumentBuf>> {
    let step = (document(), prop::collection::vec(any::<bool>(), 16));
    (document(), prop::collection::vec(step, 1..5)).prop_map(|(first, steps)| {
        let mut states = vec![first];
        for (other, from_other) in steps {
            let previous = states.last().unwrap();
            states.push(mixed(doc(previous), doc(&other), &mut from_other.into_iter().cycle()));
        }
        states
    })
}

fn mixed(left: Doc<'_>, right: Doc<'_>, choices: &mut dyn Iterator<Item = bool>) -> RawDocumentBuf {
    let mut writer = DocWriter::new();
    mix_into(&mut writer, left, right, choices);
    RawDocumentBuf::from_bytes(writer.finish()).unwrap()
}

fn mix_into(
    writer: &mut DocWriter,
    left: Doc<'_>,
    right: Doc<'_>,
    choices: &mut dyn Iterator<Item = bool>,
) {
    for element in left.elements().map(Result::unwrap) {
        let other = right.get(element.name).unwrap();
        match (element.as_doc(), other.and_then(Element::as_doc)) {
            (Some(left), Some(right)) => {
                writer.open(kind::DOCUMENT, element.name);
                mix_into(writer, left, right, choices);
                writer.close();
            }
            _ => {
                let use_other = choices.next().unwrap();
                match other {
                    Some(other) if use_other => writer.element(other),
                    None if use_other => continue,
                    _ => writer.element(element),
                };
            }
        }
    }
    for element in right.elements().map(Result::unwrap) {
        if left.get(element.name).unwrap().is_none() && choices.next().unwrap() {
            writer.element(element);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn unrelated_documents_turn_into_each_other(
        pre in document(),
        post in document(),
        ignore_size in any::<bool>(),
    ) {
        let o = diff_of(&pre, &post, ignore_size);
        prop_assert_eq!(&apply(&pre, &o).unwrap(), &post, "{:?}", o);
        prop_assert_eq!(&apply(&post, &o).unwrap(), &post, "again: {:?}", o);
    }

    /// The server's contract of replay: from any state in between, all updates in order lead to the
    /// last state.
    #[test]
    fn replay_from_any_state_converges(states in states(), ignore_size in any::<bool>()) {
        let steps = states.windows(2);
        let updates: Vec<_> =
            steps.map(|pair| diff_of(&pair[0], &pair[1], ignore_size)).collect();
        for start in &states {
            let mut state = start.clone();
            for o in &updates {
                state = apply(&state, o).unwrap();
            }
            prop_assert_eq!(&state, states.last().unwrap(), "from {:?} by {:?}", start, updates);
        }
    }

    /// A delta that was made for other documents: whatever it does, applying it twice does nothing
    /// more.
    #[test]
    fn twice_is_once(pre in document(), post in document(), other in document()) {
        let o = diff_of(&pre, &post, true);
        let once = apply(&other, &o).unwrap();
        prop_assert_eq!(apply(&once, &o), Ok(once), "{:?}", o);
    }
}
