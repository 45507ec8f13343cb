use bson::rawdoc;

use super::*;

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
