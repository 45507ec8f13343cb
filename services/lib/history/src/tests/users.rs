//! Operations of a user's `applyOps`. Their results were seen on 4.4.2, 5.0.4, 6.0.5 and 6.0.27.

use bson::doc;

use super::*;

const USER: Origin = Origin::User { wall_ms: Some(1_795_000_000_123) };
const NESTED: Origin = Origin::UserOrBatch { wall_ms: None };
const VERSIONS: [u8; 16] = [9; 16];

fn update(id: i32, o: Document) -> Op {
    Op::replace(id, o)
}

/// A base with these documents, and with a feature compatibility version.
fn base(version: &str, documents: &[Document]) -> Fixture {
    base_of(CollectionState::new(UUID, NS), version, documents)
}

fn base_of(state: CollectionState, version: &str, documents: &[Document]) -> Fixture {
    let fixture = Fixture::empty();
    let versions = CollectionState::new(VERSIONS, "admin.system.version");
    let version = doc! {"_id": "featureCompatibilityVersion", "version": version};
    fixture.load(10, 20, &[(state, documents.to_vec()), (versions, vec![version])]);
    fixture
}

/// Returns the documents after one strict unit of a user.
fn after(fixture: &Fixture, ops: Vec<Op>) -> Vec<Document> {
    fixture.run(&[(30, ops)], 40);
    fixture.scan(40, NS)
}

fn by(origin: Origin, ops: Vec<Op>) -> Vec<Op> {
    ops.into_iter().map(|op| Op { origin, ..op }).collect()
}

#[test]
fn what_does_not_fit_the_state_is_idempotent() {
    for origin in [USER, NESTED] {
        let fixture = base("6.0", &[doc! {"_id": 1, "a": 1}]);
        let elsewhere = Op::delete(1).on("shop.nowhere", None);
        let ops = vec![
            Op::delete(9),
            elsewhere,
            Op::insert(doc! {"_id": 1, "b": 1}),
            update(2, doc! {"$set": {"x": 1}}).upsert(),
            Op::insert(doc! {"late": 1, "_id": 3}),
        ];
        let held = after(&fixture, by(origin, ops));
        let wanted = [doc! {"_id": 1, "b": 1}, doc! {"_id": 2, "x": 1}, doc! {"_id": 3, "late": 1}];
        assert_eq!(held.iter().map(|it| bytes(it.clone())).collect::<Vec<_>>(), wanted.map(bytes));
    }
}

/// From 7.0 on the server itself writes such entries: batched deletes, copies of a rename.
#[test]
fn what_the_server_made_stays_strict() {
    for (version, origin) in [("7.0", NESTED), ("6.0", Origin::Server), ("8.0", NESTED)] {
        for op in [Op::delete(9), Op::insert(doc! {"_id": 1})] {
            let fixture = base(version, &[doc! {"_id": 1}]);
            let error = fixture.strict(Op { origin, ..op });
            assert!(matches!(error, Err(ApplyError::Inconsistent { .. })), "{version}: {error:?}");
        }
    }
}

#[test]
fn a_user_may_say_that_updates_do_not_insert() {
    let fixture = base("6.0", &[]);
    let error = fixture.strict(Op { origin: USER, ..update(9, doc! {"$set": {"x": 1}}) });
    assert!(matches!(error, Err(ApplyError::Inconsistent { .. })), "{error:?}");
}

#[test]
fn operators_are_applied_as_the_server_does() {
    let document = doc! {"_id": 1, "n": 5, "arr": [3, 1, 2], "docs": [{"k": 2}, {"k": 1, "m": 1}]};
    let fixture = base("6.0", &[document]);
    let ops = vec![
        update(
            1,
            doc! {"$inc": {"n": 2_147_483_647}, "$push": {"arr": {"$each": [9], "$sort": 1}}},
        ),
        update(1, doc! {"$pull": {"docs": {"k": 1}}}),
        update(1, doc! {"$pull": {"arr": {"$in": [2, 9]}}, "$rename": {"docs": "old"}}),
        update(2, doc! {"$setOnInsert": {"made": 1}, "$inc": {"n": 1}}).upsert(),
    ];
    let wanted = [
        doc! {"_id": 1, "n": 2_147_483_652_i64, "arr": [1, 3], "old": [{"k": 2}]},
        doc! {"_id": 2, "made": 1, "n": 1},
    ];
    assert_eq!(after(&fixture, by(USER, ops)), wanted);
}

/// Up to 5.0 an empty update empties the document. From 6.0 on it changes nothing.
#[test]
fn the_version_decides_where_servers_differ() {
    for (version, wanted) in [("4.4", doc! {"_id": 1}), ("6.0", doc! {"_id": 1, "a": 1})] {
        let fixture = base(version, &[doc! {"_id": 1, "a": 1}]);
        assert_eq!(after(&fixture, by(USER, vec![update(1, doc! {})])), [wanted], "{version}");
    }
    let names = doc! {"$set": {"10": 2}, "$inc": {"2": 1}};
    for (version, wanted) in
        [("4.4", doc! {"_id": 1, "10": 2, "2": 1}), ("5.0", doc! {"_id": 1, "2": 1, "10": 2})]
    {
        let fixture = base(version, &[doc! {"_id": 1}]);
        let held = after(&fixture, by(USER, vec![update(1, names.clone())]));
        assert_eq!(bytes(held[0].clone()), bytes(wanted), "{version}");
    }
}

#[test]
fn the_servers_clock_is_reported_and_the_time_of_the_entry_is_held() {
    let fixture = base("6.0", &[doc! {"_id": 1}]);
    let mut writer = fixture.history.writer().unwrap();
    let op = update(1, doc! {"$currentDate": {"at": true}});
    apply(&mut writer, 30, &by(USER, vec![op])).unwrap();
    assert_eq!(writer.counts().clock_values, 1);
    writer.commit(Progress::at(at(30))).unwrap();
    let time = bson::DateTime::from_millis(1_795_000_000_123);
    assert_eq!(fixture.scan(30, NS), [doc! {"_id": 1, "at": time}]);
}

/// The base may or may not hold the change already.
#[test]
fn what_is_not_idempotent_ends_a_history_while_its_base_is_copied() {
    let refused = |o: Document| {
        let fixture = base("4.4", &[doc! {"_id": 1, "n": 1}]);
        let mut writer = fixture.history.writer().unwrap();
        apply(&mut writer, 15, &by(USER, vec![update(1, o)])).is_err()
    };
    assert!(refused(doc! {"$inc": {"n": 1}}));
    assert!(!refused(doc! {"$set": {"n": 1}}));
}

#[test]
fn strings_under_a_collation_are_not_guessed_at() {
    let collated = || CollectionState {
        options: bytes(doc! {"collation": {"locale": "en", "strength": 1}}),
        ..CollectionState::new(UUID, NS)
    };
    let refused = |o: Document| {
        let fixture = base_of(collated(), "6.0", &[doc! {"_id": 1, "s": ["a"], "n": [1]}]);
        fixture.strict(Op { origin: USER, ..update(1, o) }).is_err()
    };
    assert!(refused(doc! {"$addToSet": {"s": "A"}}));
    assert!(refused(doc! {"$pull": {"s": {"$eq": "A"}}}));
    assert!(!refused(doc! {"$addToSet": {"s": "a", "n": 2}}));
}

#[test]
fn what_no_server_takes_is_refused() {
    for o in [
        doc! {"$inc": {"s": 1}},
        doc! {"$push": {"s": 1}},
        doc! {"$set": {"arr.$": 1}},
        doc! {"$set": {"s.$[]": 1}},
        doc! {"$unknown": {"a": 1}},
        doc! {"$set": {"_id": 2}},
    ] {
        let fixture = base("6.0", &[doc! {"_id": 1, "s": "x", "arr": [1]}]);
        let error = fixture.strict(Op { origin: USER, ..update(1, o.clone()) });
        assert!(matches!(error, Err(ApplyError::Unsupported { .. })), "{o}: {error:?}");
    }
}
