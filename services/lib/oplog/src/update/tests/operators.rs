//! Every operator of a user's `applyOps`. The results were seen on 4.4.2, 5.0.4, 6.0.5 and 6.0.27.

use bson::{Bson, Document, doc};

use super::*;
use crate::Timestamp;

/// Judges whole numbers only.
struct AtLeast;

impl Conditions for AtLeast {
    fn hold(&self, condition: Element<'_>, element: Element<'_>) -> Result<bool, String> {
        let least = condition.as_doc().and_then(|it| it.get(b"$gte").ok().flatten());
        let least = least.and_then(Element::as_integer).ok_or("not $gte of a number")?;
        Ok(element.as_integer().is_some_and(|number| number >= least))
    }
}

fn here(server: u32) -> Circumstances<'static> {
    let now = Now { wall_ms: 1_000, timestamp: Timestamp::new(7, 8) };
    Circumstances { server: Some(server), has_collation: false, conditions: &AtLeast, now }
}

fn pre() -> Document {
    doc! {
        "_id": 1, "a": 5, "l": 7_i64, "f": 2.5, "s": "x", "arr": [3, 1, 2],
        "docs": [{"k": 2}, {"k": 1, "m": 1}], "d": {"x": 1, "y": 2}, "z": -0.0,
        "dec": decimal("1.50"), "n": Bson::Null,
    }
}

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse().unwrap())
}

fn updated(o: &Document, server: u32) -> Result<Document, UpdateError> {
    let (pre, o) = (pre().to_vec().unwrap(), o.to_vec().unwrap());
    let update = UserUpdate::parse(Doc::new(&o)?, Some(server))?;
    let post = update.apply(Doc::new(&pre)?, &here(server))?;
    Doc::new(&post)?.validate()?;
    Ok(Document::from_reader(post.as_slice()).unwrap())
}

/// Fields that the update sets, in the order of the document, with the new ones at its end; `GONE`
/// for a field that is removed.
#[track_caller]
fn check(o: Document, changed: Document) {
    let mut wanted = pre();
    for (name, value) in changed {
        if value == Bson::Undefined {
            wanted.remove(name);
        } else {
            wanted.insert(name, value);
        }
    }
    let found = updated(&o, 6).unwrap_or_else(|error| panic!("{o}: {error}"));
    assert_eq!(found.to_vec().unwrap(), wanted.to_vec().unwrap(), "{o}: {found}");
}

const GONE: Bson = Bson::Undefined;

#[test]
fn numbers_are_added_and_multiplied() {
    check(
        doc! {"$inc": {"a": 1, "new": 2, "l": 1, "f": 1, "dec": 1, "d.x": 2.5, "d.z.q": 1_i64}},
        doc! {
            "a": 6, "l": 8_i64, "f": 3.5, "d": {"x": 3.5, "y": 2, "z": {"q": 1_i64}},
            "dec": decimal("2.50"), "new": 2,
        },
    );
    check(doc! {"$inc": {"a": i32::MAX}}, doc! {"a": 2_147_483_652_i64});
    check(doc! {"$inc": {"dec": 2.5}}, doc! {"dec": decimal("4.00000000000000")});
    // What is equal stays as it was.
    check(doc! {"$inc": {"z": 0, "dec": decimal("0.000"), "a": 0}}, doc! {});
    check(doc! {"$mul": {"a": 2, "f": 3_i64}}, doc! {"a": 10, "f": 7.5});
    check(
        doc! {"$mul": {"n1": 2, "n2": 2_i64, "n3": -2.5, "n4": decimal("-1.50")}},
        doc! {"n1": 0, "n2": 0_i64, "n3": -0.0, "n4": decimal("-0.00")},
    );
    check(doc! {"$mul": {"dec": 0.1}}, doc! {"dec": decimal("0.15000000000000000")});
}

#[test]
fn the_lesser_the_greater_and_bits() {
    check(doc! {"$min": {"a": 3, "f": 9, "s": 1, "new": 4}}, doc! {"a": 3, "s": 1, "new": 4});
    check(doc! {"$max": {"a": 3, "f": 9, "s": 1, "new": 4}}, doc! {"f": 9, "new": 4});
    check(doc! {"$min": {"a": 5.0}}, doc! {});
    check(
        doc! {"$bit": {"a": {"and": 6, "or": 8}, "l": {"and": 3}, "new": {"or": 4}}},
        doc! {"a": 12, "l": 3_i64, "new": 4},
    );
    check(doc! {"$bit": {"a": {"or": 8_i64}}}, doc! {"a": 13_i64});
}

#[test]
fn a_renamed_field_moves() {
    check(
        doc! {"$rename": {"a": "z9", "s": "d.s", "nope": "q"}},
        doc! {"a": GONE, "s": GONE, "d": {"x": 1, "y": 2, "s": "x"}, "z9": 5},
    );
    check(doc! {"$rename": {"s": "a"}}, doc! {"a": "x", "s": GONE});
    check(doc! {"$rename": {"d.x": "d.q"}}, doc! {"d": {"y": 2, "q": 1}});
    // The server loses the value when the new place cannot be reached.
    check(doc! {"$rename": {"s": "a.b"}}, doc! {"s": GONE});
}

#[test]
fn arrays_grow_shrink_and_are_sorted() {
    check(
        doc! {"$push": {"arr": 9, "new": {"q": 1}}},
        doc! {"arr": [3, 1, 2, 9], "new": [{"q": 1}]},
    );
    check(
        doc! {"$push": {"arr": {"$each": [9, 0], "$sort": 1, "$slice": -3}}},
        doc! {"arr": [2, 3, 9]},
    );
    check(
        doc! {"$push": {"arr": {"$each": [9, 0], "$position": 1}}},
        doc! {"arr": [3, 9, 0, 1, 2]},
    );
    check(doc! {"$push": {"arr": {"$each": [9], "$position": -1}}}, doc! {"arr": [3, 1, 9, 2]});
    check(
        doc! {"$push": {"docs": {"$each": [{"k": 0}], "$sort": {"k": 1}, "$slice": 2}}},
        doc! {"docs": [{"k": 0}, {"k": 1, "m": 1}]},
    );
    check(
        doc! {"$push": {"arr": {"$each": [2.0, "z", Bson::Null], "$sort": -1}}},
        doc! {"arr": ["z", 3, 2, 2.0, 1, Bson::Null]},
    );
    check(doc! {"$addToSet": {"arr": 1, "new": 3}}, doc! {"new": [3]});
    check(
        doc! {"$addToSet": {"arr": {"$each": [1, 7.0, 7, {"a": 1}]}, "e": {"$each": []}}},
        doc! {"arr": [3, 1, 2, 7.0, {"a": 1}], "e": []},
    );
    check(
        doc! {"$pop": {"arr": 1, "docs": -1, "nope": 1}},
        doc! {"arr": [3, 1], "docs": [{"k": 1, "m": 1}]},
    );
    check(doc! {"$pull": {"arr": {"$gte": 2}, "nope": 1}}, doc! {"arr": [1]});
    check(doc! {"$pull": {"arr": 1.0}}, doc! {"arr": [3, 2]});
    check(
        doc! {"$pullAll": {"arr": [1, 3.0], "docs": [{"k": 2}]}},
        doc! {
            "arr": [2], "docs": [{"k": 1, "m": 1}],
        },
    );
}

#[test]
fn every_element_is_changed() {
    check(doc! {"$inc": {"docs.$[].k": 9}}, doc! {"docs": [{"k": 11}, {"k": 10, "m": 1}]});
    let nulls = [Bson::Null, Bson::Null, Bson::Null].to_vec();
    check(doc! {"$unset": {"arr.$[]": 1}}, doc! {"arr": nulls});
}

#[test]
fn a_path_through_a_value_leads_nowhere() {
    for operator in ["$set", "$inc", "$push", "$min", "$addToSet", "$mul"] {
        check(doc! {operator: {"a.b": 1, "n.b": 1}}, doc! {});
    }
    check(doc! {"$set": {"arr.x": 1}}, doc! {});
    check(doc! {"$bit": {"a.b": {"or": 1}}}, doc! {});
    let padded = doc! {"arr": [3, 1, 2, Bson::Null, Bson::Null, 1]};
    check(doc! {"$inc": {"arr.5": 1}}, padded);
}

#[test]
fn only_an_insert_sets_on_insert_and_the_clock_is_that_of_the_entry() {
    check(doc! {"$setOnInsert": {"q": 1}, "$set": {"w": 1}}, doc! {"w": 1});
    let date = bson::DateTime::from_millis(1_000);
    let timestamp = bson::Timestamp { time: 7, increment: 8 };
    check(
        doc! {"$currentDate": {"at": true, "on": false, "ts": {"$type": "timestamp"}}},
        doc! {"at": date, "on": date, "ts": timestamp},
    );
    let o = doc! {"$setOnInsert": {"q": 1}, "$inc": {"w": 1}}.to_vec().unwrap();
    let id = doc! {"_id": 9.0}.to_vec().unwrap();
    let id = Doc::new(&id).unwrap().first().unwrap().unwrap();
    let update = UserUpdate::parse(Doc::new(&o).unwrap(), Some(6)).unwrap();
    let made = update.apply_to_missing(id, &here(6)).unwrap();
    assert_eq!(made, doc! {"_id": 9.0, "q": 1, "w": 1}.to_vec().unwrap());
}

#[test]
fn up_to_5_0_a_replacement_may_lack_its_id() {
    assert_eq!(updated(&doc! {"x": 1}, 5).unwrap(), doc! {"_id": 1, "x": 1});
    assert_eq!(updated(&doc! {}, 4).unwrap(), doc! {"_id": 1});
    assert_eq!(updated(&doc! {}, 6).unwrap(), pre());
    assert_eq!(
        updated(&doc! {"$set": {"_id": 1.0}}, 6).unwrap().get("_id"),
        Some(&Bson::Double(1.0))
    );
}

#[test]
fn new_fields_are_created_in_the_servers_order() {
    let o = doc! {"$set": {"zz": 2, "10": 2}, "$inc": {"bb": 1, "2": 1}, "$push": {"cc": 1}};
    for (server, order) in [(4, ["10", "2", "bb", "cc", "zz"]), (5, ["2", "10", "bb", "cc", "zz"])]
    {
        let post = updated(&o, server).unwrap();
        let new: Vec<_> = post.keys().skip(pre().len()).map(String::as_str).collect();
        assert_eq!(new, order, "{server}");
    }
}

#[test]
fn what_the_server_refuses_is_refused() {
    for o in [
        doc! {"$inc": {"s": 1}},
        doc! {"$inc": {"a": "1"}},
        doc! {"$inc": {"l": i64::MAX}},
        doc! {"$push": {"a": 1}},
        doc! {"$push": {"arr": {"$each": [1], "x": 1}}},
        doc! {"$pop": {"a": 1}},
        doc! {"$pull": {"a": 1}},
        doc! {"$pull": {"arr": {"$unknown": 1}}},
        doc! {"$bit": {"f": {"or": 1}}},
        doc! {"$set": {"docs.$.k": 1}},
        doc! {"$set": {"docs.$[e].k": 1}},
        doc! {"$set": {"d.$[]": 1}},
        doc! {"$set": {"nope.$[]": 1}},
        doc! {"$set": {"a": 2}, "$inc": {"a": 1}},
        doc! {"$set": {"d": 2}, "$inc": {"d.x": 1}},
        doc! {"$set": {"_id": 2}},
        doc! {"$set": {"a..b": 2}},
        doc! {"$pushAll": {"arr": [1]}},
        doc! {"$foo": {"a": 2}},
        doc! {"$set": 5},
        doc! {"$v": 0, "$set": {"a": 1}},
    ] {
        assert!(updated(&o, 6).is_err(), "{o}");
    }
}

#[test]
fn what_may_be_applied_again_and_what_takes_the_clock_is_told() {
    let tell = |o: Document| {
        let o = o.to_vec().unwrap();
        let update = UserUpdate::parse(Doc::new(&o).unwrap(), Some(6)).unwrap();
        (update.is_idempotent(), update.takes_the_clock())
    };
    assert_eq!(tell(doc! {"$v": 1, "$set": {"a": 1}, "$unset": {"b": 1}}), (true, false));
    assert_eq!(tell(doc! {"$set": {"a": 1}, "$inc": {"b": 1}}), (false, false));
    assert_eq!(tell(doc! {"$currentDate": {"a": true}}), (false, true));
    let zero = bson::Timestamp { time: 0, increment: 0 };
    assert_eq!(tell(doc! {"_id": 1, "t": zero}), (true, true));
    assert_eq!(tell(doc! {"_id": 1, "d": {"t": zero}}), (true, false));
}
