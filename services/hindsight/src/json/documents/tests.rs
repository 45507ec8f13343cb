use bson::rawdoc;

use super::*;

fn entries(of: &[(i32, bool)]) -> api::SearchEntriesResponse {
    let entry = |n: i32| rawdoc! {"n": n}.into_bytes().into();
    api::SearchEntriesResponse {
        entries: of.iter().map(|(n, _)| entry(*n)).collect(),
        context: of.iter().map(|(_, is_context)| *is_context).collect(),
    }
}

/// The entries' numbers, whether each is context, and whether there are older ones.
fn kept(
    messages: &[api::SearchEntriesResponse],
    most: usize,
    before_context: usize,
) -> (Vec<(i64, bool)>, bool) {
    let mut json = EntriesJson::default();
    for message in messages {
        json.add(message, Notation::Relaxed, most, before_context).expect("plain documents");
    }
    let number = |entry: &Text| {
        let entry: serde_json::Value = serde_json::from_str(entry.get()).expect("JSON");
        entry["n"].as_i64().expect("a number")
    };
    let told = json.entries.iter().map(number).zip(json.context.iter().copied());
    (told.collect(), json.truncated)
}

#[test]
fn of_one_match_too_many_the_newest_are_kept_and_the_rest_is_told() {
    let mut json = EntriesJson::default();
    for n in 1..=3 {
        let mut message = entries(&[(n, false)]);
        message.context.clear();
        json.add(&message, Notation::Relaxed, 2, 0).expect("plain documents");
        assert_eq!(json.truncated, n == 3);
    }
    let texts: Vec<&str> = json.entries.iter().map(|text| text.get()).collect();
    assert_eq!(texts, [r#"{"n":2}"#, r#"{"n":3}"#]);
    assert!(json.context.is_empty());
}

#[test]
fn the_context_of_the_oldest_match_goes_with_it() {
    let (context, found) = (true, false);
    let apart = [entries(&[(1, context), (2, found)]), entries(&[(8, context), (9, found)])];
    assert!(!kept(&apart, 2, 1).1);
    assert_eq!(kept(&apart, 1, 1), (vec![(8, context), (9, found)], true));
    // What matched itself is now there for the next one alone.
    let close = [entries(&[(1, context), (2, context), (3, found), (4, found)])];
    assert_eq!(kept(&close, 1, 2), (vec![(2, context), (3, context), (4, found)], true));
}

#[test]
fn one_change_too_many_is_not_told_and_said() {
    let change = |n: i32| api::Change {
        kind: api::change::Kind::Added.into(),
        ns: "shop.orders".into(),
        id: rawdoc! {"_id": n}.into_bytes().into(),
        ..Default::default()
    };
    let message = |of: &[i32]| api::DiffTimesResponse {
        changes: of.iter().map(|n| change(*n)).collect(),
        ..Default::default()
    };
    for (messages, kept, truncated) in [
        (vec![message(&[])], 0, false),
        (vec![message(&[1]), message(&[2])], 2, false),
        (vec![message(&[1, 2]), message(&[3])], 2, true),
        (vec![message(&[1, 2, 3])], 2, true),
    ] {
        let mut json = ChangesJson::default();
        for message in &messages {
            json.add(message, Notation::Relaxed, 2).expect("plain documents");
        }
        assert_eq!((json.changes.len(), json.truncated), (kept, truncated), "{messages:?}");
    }
}

#[test]
fn an_id_is_the_text_of_its_value() {
    for (id, text) in [
        (rawdoc! {"_id": 7}, r#"{"$numberInt":"7"}"#),
        (rawdoc! {"_id": {"b": "x", "a": [true]}}, r#"{"b":"x","a":[true]}"#),
    ] {
        let found = Notation::Canonical.of_id(id.as_bytes()).expect("an id");
        assert_eq!(found.get(), text);
    }
    assert!(Notation::Canonical.of_id(rawdoc! {"other": 1}.as_bytes()).is_err());
}
