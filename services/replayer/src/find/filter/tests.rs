#![allow(clippy::unwrap_used)]

use bson::{RawDocumentBuf, rawdoc};
use hindsight_query::{Filter, Series};

use super::*;

fn at() -> bson::Timestamp {
    bson::Timestamp { time: 5, increment: 1 }
}

fn matches(filter: &EntryFilter, entry: &RawDocumentBuf) -> bool {
    filter.matches(&Entry::parse(entry.as_bytes()).unwrap())
}

#[test]
fn an_operation_inside_a_transaction_is_found() {
    let entry = rawdoc! {"ts": at(), "t": 1_i64, "op": "c", "ns": "admin.$cmd", "o": {
        "applyOps": [{"op": "d", "ns": "shop.orders", "o": {"_id": 7_i32}}]
    }};
    let mut wanted = EntryFilter::all();
    wanted.namespace = Some(NamespacePattern::parse("shop.orders"));
    wanted.ops = vec!["d".into()];
    let id = rawdoc! {"_id": 7_i64};
    wanted.set_id(Doc::new(id.as_bytes()).unwrap()).unwrap();
    assert!(matches(&wanted, &entry), "7 and NumberLong(7) are one id");
    wanted.ops = vec!["i".into()];
    assert!(!matches(&wanted, &entry));
}

#[test]
fn a_drop_is_found_under_its_collection() {
    let entry =
        rawdoc! {"ts": at(), "t": 1_i64, "op": "c", "ns": "shop.$cmd", "o": {"drop": "orders"}};
    for (namespace, expected) in [("shop.orders", true), ("shop.*", true), ("shop.other", false)] {
        let mut wanted = EntryFilter::all();
        wanted.namespace = Some(NamespacePattern::parse(namespace));
        wanted.ops = vec!["drop".into()];
        assert_eq!(matches(&wanted, &entry), expected, "{namespace}");
    }
}

#[test]
fn what_a_rename_drops_is_found_as_a_drop() {
    let rename = |dropped: Option<bson::Binary>| {
        let mut o = rawdoc! {"renameCollection": "shop.tmp.agg_out.1", "to": "shop.totals"};
        if let Some(dropped) = dropped {
            o.append(bson::raw::cstr!("dropTarget"), dropped);
        }
        rawdoc! {"ts": at(), "t": 1_i64, "op": "c", "ns": "shop.$cmd", "o": o}
    };
    for (namespace, op, expected) in [
        (Some("shop.totals"), "drop", (true, false)),
        (None, "DROP", (true, false)),
        (Some("shop.tmp.agg_out.1"), "drop", (false, false)),
        (Some("shop.totals"), "renameCollection", (true, true)),
        (Some("shop.tmp.agg_out.1"), "renameCollection", (true, true)),
        (Some("shop.totals"), "d", (false, false)),
    ] {
        let mut wanted = EntryFilter::all();
        wanted.namespace = namespace.map(NamespacePattern::parse);
        wanted.ops = vec![op.into()];
        let dropped = rename(Some(bson::Uuid::from_bytes([7; 16]).into()));
        let found = (matches(&wanted, &dropped), matches(&wanted, &rename(None)));
        assert_eq!(found, expected, "{namespace:?} {op}");
    }
}

#[test]
fn one_operation_must_pass_all_that_is_asked_of_operations() {
    let update = |ns: &str, id: i32, field: &str| {
        let mut set = RawDocumentBuf::new();
        set.append(bson::raw::CString::try_from(field).unwrap(), 1);
        rawdoc! {"op": "u", "ns": ns, "o2": {"_id": id}, "o": {"$v": 2, "diff": {"u": set}}}
    };
    let entry = rawdoc! {"ts": at(), "op": "c", "ns": "admin.$cmd", "o": {"applyOps": [
        update("shop.a", 1, "x"), update("shop.b", 2, "y"),
        {"op": "i", "ns": "shop.a", "o": {"_id": 3, "y": 1}},
    ]}};
    for (ns, field, expected) in [
        ("shop.a", "x", true),
        ("shop.a", "y", false),
        ("shop.b", "y", true),
        ("shop.*", "z", false),
    ] {
        let mut wanted = EntryFilter::all();
        wanted.namespace = Some(NamespacePattern::parse(ns));
        wanted.changed_field = Some(FieldPath::parse(field).unwrap());
        assert_eq!(matches(&wanted, &entry), expected, "{ns} {field}");
    }
}

#[test]
fn inserts_and_deletes_change_no_field_and_updates_of_an_unknown_form_may() {
    let mut wanted = EntryFilter::all();
    wanted.changed_field = Some(FieldPath::parse("x").unwrap());
    let entry = |op: &str, o: RawDocumentBuf| {
        rawdoc! {"ts": at(), "op": op, "ns": "shop.a", "o": o, "o2": {"_id": 1}}
    };
    assert!(!matches(&wanted, &entry("i", rawdoc! {"_id": 1, "x": 1})));
    assert!(!matches(&wanted, &entry("d", rawdoc! {"_id": 1})));
    assert!(!matches(&wanted, &entry("n", rawdoc! {"x": 1})));
    assert!(matches(&wanted, &entry("u", rawdoc! {"_id": 1})), "a replacement");
    assert!(matches(&wanted, &entry("u", rawdoc! {"$v": 3, "diff": {}})), "of tomorrow");
    assert!(matches(&wanted, &entry("u", rawdoc! {"$v": 1, "$unset": {"x.y": true}})));
    assert!(!matches(&wanted, &entry("u", rawdoc! {"$v": 1, "$unset": {"y.x": true}})));
}

#[test]
fn all_conditions_on_the_entry_must_hold() {
    let entry = rawdoc! {"ts": at(), "op": "i", "ns": "shop.a", "o": {"_id": 1, "status": "paid"}};
    let query =
        |query: RawDocumentBuf| Some(Arc::new(Filter::parse(&query, Series::new(6, 0)).unwrap()));
    let mut wanted = EntryFilter::all();
    wanted.query = query(rawdoc! {"o.status": "paid"});
    assert!(matches(&wanted, &entry));
    wanted.grep = Some(Pattern::parse("\"status\":\"p.*d\"").unwrap());
    assert!(matches(&wanted, &entry));
    wanted.query = query(rawdoc! {"o.status": "open"});
    assert!(!matches(&wanted, &entry));
    wanted.query = None;
    wanted.grep = Some(Pattern::parse("open").unwrap());
    assert!(!matches(&wanted, &entry));
}

#[test]
fn an_apply_ops_that_cannot_be_read_to_its_end_is_asked_up_to_there() {
    let entry = rawdoc! {"ts": at(), "op": "c", "ns": "admin.$cmd", "o": {"applyOps": [
        {"op": "d", "ns": "shop.a", "o": {"_id": 1}}, 5, {"op": "d", "ns": "shop.b", "o": {"_id": 1}},
    ]}};
    for (ns, expected) in [("shop.a", true), ("shop.b", false)] {
        let mut wanted = EntryFilter::all();
        wanted.namespace = Some(NamespacePattern::parse(ns));
        assert_eq!(matches(&wanted, &entry), expected, "{ns}");
    }
    assert!(matches(&EntryFilter::all(), &entry));
}

#[test]
fn an_apply_ops_is_found_itself_and_by_what_it_holds() {
    let entry = |held: bson::RawArrayBuf| {
        rawdoc! {"ts": at(), "op": "c", "ns": "admin.$cmd", "o": {"applyOps": held}}
    };
    let held = bson::rawbson!([{"op": "d", "ns": "shop.a", "o": {"_id": 1}}]);
    let full = entry(held.as_array().unwrap().to_owned());
    let empty = entry(bson::RawArrayBuf::new());
    for (op, in_full, in_empty) in
        [("applyOps", true, true), ("C", true, true), ("d", true, false), ("i", false, false)]
    {
        let wanted = EntryFilter { ops: vec![op.into()], ..EntryFilter::all() };
        assert_eq!(
            (matches(&wanted, &full), matches(&wanted, &empty)),
            (in_full, in_empty),
            "{op}"
        );
    }
    assert!(matches(&EntryFilter::all(), &empty));
}
