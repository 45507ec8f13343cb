use bson::rawdoc;

use super::*;

fn entries(of: &[(i32, bool)]) -> api::SearchEntriesResponse {
    let entry = |n: i32| rawdoc! {"n": n}.into_bytes().into();
    api::SearchEntriesResponse {
        entries: of.iter().map(|(n, _)| entry(*n)).collect(),
        context: of.iter().map(|(_, is_context)| *is_context).collect(),
        ..Default::default()
    }
}

#[test]
fn who_reached_the_limit_is_told_so() {
    let (context, found) = (true, false);
    let mut json = EntriesJson::default();
    for (message, truncated) in [
        (entries(&[(1, context), (2, found)]), false),
        (entries(&[(8, context), (9, context)]), false),
        (entries(&[(10, found)]), true),
    ] {
        let bytes = json.add(&message, Notation::Relaxed, 2).expect("plain documents");
        assert_eq!(json.truncated, truncated, "{message:?}");
        assert!(bytes >= message.entries.len() * r#"{"n":1}"#.len());
    }
    let texts: Vec<&str> = json.entries.iter().map(|text| text.get()).collect();
    assert_eq!(texts, [1, 2, 8, 9, 10].map(|n| format!("{{\"n\":{n}}}")));
    assert_eq!(json.context, [context, found, context, context, found]);
    let mut without_context = EntriesJson::default();
    let mut message = entries(&[(1, found), (2, found)]);
    message.context.clear();
    without_context.add(&message, Notation::Relaxed, 2).expect("plain documents");
    assert!(without_context.truncated && without_context.context.is_empty());
}
