//! How 4.4 lists what it was given, and how later servers list the same.

use std::collections::BTreeMap;

use bson::{Bson, Document};

/// Changes an index that 4.4 lists into the form that 5.0 lists.
pub(super) fn index_of_5_0(spec: &mut Document) {
    for flag in ["unique", "sparse", "background", "hidden"] {
        if let Some(number) = spec.get(flag).and_then(number) {
            spec.insert(flag, number != 0.0);
        }
    }
    if let Some(seconds) = spec.get("expireAfterSeconds").and_then(number) {
        // NaN means never. The fraction of a double is cut off, and a decimal is rounded.
        let is_decimal = matches!(spec.get("expireAfterSeconds"), Some(Bson::Decimal128(_)));
        let whole = if is_decimal { seconds.round_ties_even() } else { seconds.trunc() };
        let whole = if whole.is_nan() { f64::from(i32::MAX) } else { whole };
        spec.insert("expireAfterSeconds", whole as i32);
    }
    for (option, is_whole) in [("bits", true), ("min", false), ("max", false)] {
        if let Some(number) = spec.get(option).and_then(number) {
            let form = if is_whole { Bson::Int32(number as i32) } else { Bson::Double(number) };
            spec.insert(option, form);
        }
    }
    if let Ok(projection) = spec.get_document("wildcardProjection") {
        let mut paths = BTreeMap::new();
        add_paths(projection, "", &mut paths);
        // Leaving `_id` out is the default, which 5.0 writes out.
        paths.retain(|path, taken| *taken || path != "_id");
        let paths: Document = paths.into_iter().map(|(path, taken)| (path, taken.into())).collect();
        spec.insert("wildcardProjection", paths);
    }
}

/// Changes options in the same way. 4.4 keeps an unlimited number of documents as a double.
pub(super) fn options_of_5_0(options: &mut Document) {
    if let Some(max) = options.get("max").and_then(number) {
        options.insert("max", max as i32);
    }
}

fn add_paths(projection: &Document, prefix: &str, paths: &mut BTreeMap<String, bool>) {
    for (name, value) in projection {
        let path = format!("{prefix}{name}");
        match value {
            Bson::Document(nested) => add_paths(nested, &format!("{path}."), paths),
            Bson::Boolean(taken) => {
                paths.insert(path, *taken);
            }
            _ => {
                paths.insert(path, number(value) != Some(0.0));
            }
        }
    }
}

/// Drops options that 6.0.27 and later drop from an index of another kind, and that 5.0 and later
/// refuse.
pub(super) fn drop_options_of_other_kinds(spec: &mut Document, options: &[(&str, &str)]) {
    let is_of = |spec: &Document, kind: &str| {
        spec.get_document("key").is_ok_and(|key| key.values().any(|it| it.as_str() == Some(kind)))
    };
    for (option, kind) in options {
        if !is_of(spec, kind) {
            spec.remove(*option);
        }
    }
}

fn number(value: &Bson) -> Option<f64> {
    match value {
        Bson::Int32(number) => Some(f64::from(*number)),
        Bson::Int64(number) => Some(*number as f64),
        Bson::Double(number) => Some(*number),
        Bson::Decimal128(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

#[test]
fn what_4_4_lists_becomes_what_5_0_lists() {
    use bson::doc;
    let mut spec = doc! {
        "sparse": 2.0, "unique": 0, "hidden": true, "key": {"x": 1}, "bits": 5.0, "min": 3, "weights": {"x": 1},
        "expireAfterSeconds": 10.7, "wildcardProjection": {"n": {"a": 1}, "b": true, "_id": 0},
    };
    index_of_5_0(&mut spec);
    drop_options_of_other_kinds(&mut spec, &[("weights", "text"), ("bits", "2d")]);
    let expected = doc! {
        "sparse": true, "unique": false, "hidden": true, "key": {"x": 1}, "min": 3.0,
        "expireAfterSeconds": 10, "wildcardProjection": {"b": true, "n.a": true},
    };
    assert_eq!(spec, expected);
}
