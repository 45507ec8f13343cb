//! Commands as real servers log them. The expected options and indexes were read from
//! `listCollections` and `listIndexes` of 4.4.2, 5.0.4 and 6.0.5, and the specs from the catalog
//! (`o2` of a later `dropIndexes`).

use bson::{Bson, doc};

use super::*;

const OTHER: [u8; 16] = [8; 16];

fn command(o: Document) -> Op {
    Op::command("shop", Some(UUID), o)
}

fn state_with(options: Document, indexes: &[Document]) -> CollectionState {
    CollectionState {
        options: bytes(options),
        id_index: Some(bytes(doc! {"v": 2, "key": {"_id": 1}, "name": "_id_"})),
        indexes: indexes.iter().cloned().map(bytes).collect(),
        ..CollectionState::new(UUID, NS)
    }
}

/// Returns options and indexes after the commands. Each command is applied in strict mode at its
/// own second.
fn after(state: CollectionState, commands: &[Document]) -> (Document, Vec<Document>) {
    let fixture = Fixture::with_state(state, &[]);
    let units: Vec<_> =
        (30..).zip(commands).map(|(at, o)| (at, vec![command(o.clone())])).collect();
    fixture.run(&units, 100);
    let view = fixture.history.reader_at(ts(100)).unwrap();
    let state = view.collection(NS).unwrap();
    (parsed(&state.options), state.indexes.iter().map(|spec| parsed(spec)).collect())
}

#[track_caller]
fn check_options(before: Document, change: Document, expected: Document) {
    let mut o = doc! {"collMod": "orders"};
    o.extend(change);
    let (options, _) = after(state_with(before, &[]), &[o.clone()]);
    assert_eq!(options, expected, "{o}");
    // The order of the fields must match, too.
    assert_eq!(bytes(options), bytes(expected), "{o}");
}

#[test]
fn coll_mod_of_validation_fills_in_what_is_not_said() {
    let locale = doc! {"locale": "en", "strength": 2};
    check_options(
        doc! {"validator": {"x": {"$gt": 1}}, "collation": &locale},
        doc! {"validationLevel": "moderate"},
        doc! {
            "validator": {"x": {"$gt": 1}}, "validationLevel": "moderate",
            "validationAction": "error", "collation": &locale,
        },
    );
    let before = doc! {
        "validator": {"x": 1}, "validationLevel": "moderate", "validationAction": "warn",
        "collation": &locale,
    };
    check_options(
        before,
        doc! {"validator": {}},
        doc! {"validationLevel": "moderate", "validationAction": "warn", "collation": &locale},
    );
    check_options(
        doc! {"collation": &locale},
        doc! {"validator": {"y": 1}, "validationLevel": "off"},
        doc! {
            "validator": {"y": 1}, "validationLevel": "off", "validationAction": "error",
            "collation": &locale,
        },
    );
    check_options(
        doc! {},
        doc! {"validationAction": "warn"},
        doc! {"validationLevel": "strict", "validationAction": "warn"},
    );
}

#[test]
fn coll_mod_of_images_sets_and_removes() {
    let validator = doc! {"validator": {"y": 1}};
    let enabled = doc! {"changeStreamPreAndPostImages": {"enabled": true}};
    let mut both = enabled.clone();
    both.extend(validator.clone());
    check_options(validator.clone(), enabled, both.clone());
    let disabled = doc! {"changeStreamPreAndPostImages": {"enabled": false}};
    check_options(both, disabled, validator.clone());
    let mut recorded = doc! {"recordPreImages": true};
    recorded.extend(validator.clone());
    check_options(validator.clone(), doc! {"recordPreImages": true}, recorded.clone());
    check_options(recorded, doc! {"recordPreImages": false}, validator);
}

/// As on 6.0.5, from which the base came: each option switches the other off, any `collMod` that
/// does not name `recordPreImages` switches it off, too, and only `o2` of a later one reveals that.
#[test]
fn images_of_the_old_kind_are_switched_off_in_silence() {
    let recorded = doc! {"recordPreImages": true};
    let enabled = doc! {"changeStreamPreAndPostImages": {"enabled": true}};
    check_options(
        recorded.clone(),
        doc! {"validator": {}},
        doc! {
            "validationLevel": "strict", "validationAction": "error",
        },
    );
    check_options(recorded.clone(), enabled.clone(), enabled.clone());
    check_options(enabled.clone(), recorded.clone(), recorded.clone());
    check_options(enabled.clone(), doc! {"recordPreImages": false}, enabled);
    check_options(doc! {}, doc! {"recordPreImages": 1}, recorded.clone());

    let o = doc! {"collMod": "orders", "recordPreImages": true};
    let changed = Op::command("shop", Some(UUID), doc! {"collMod": "orders", "validator": {}})
        .with_o2(doc! {"collectionOptions_old": {"uuid": 1, "recordPreImages": true}});
    let told = Op::command("shop", Some(UUID), o).with_o2(doc! {"collectionOptions_old": {}});
    let fixture = Fixture::with_state(state_with(doc! {}, &[]), &[]);
    fixture.run(&[(30, vec![changed]), (40, vec![told])], 50);
    let options = |at| {
        let state = fixture.history.reader_at(ts(at)).unwrap().collection(NS).unwrap();
        parsed(&state.options).contains_key("recordPreImages")
    };
    assert!(!options(35) && options(45));
}

/// From the oplogs of 5.0.4 to 7.0.28.
#[test]
fn specs_are_held_as_servers_list_them() {
    let given = doc! {"sparse": 1, "background": 2.0, "expireAfterSeconds": 10.7};
    let listed = doc! {"sparse": true, "background": true, "expireAfterSeconds": 10};
    let mut create = doc! {"createIndexes": "orders"};
    create.extend(k1(given.clone()));
    let (_, indexes) = after(state_with(doc! {}, &[]), &[create]);
    assert_eq!(indexes, [k1(listed.clone())]);
    let commit = doc! {"commitIndexBuild": "orders", "indexBuildUUID": 1, "indexes": [k1(given)]};
    let (_, indexes) = after(state_with(doc! {}, &[]), &[commit]);
    assert_eq!(indexes, [k1(listed)]);
}

#[test]
fn coll_mod_of_capped_clustered_and_time_series() {
    check_options(
        doc! {"capped": true, "size": 1024, "max": 3},
        doc! {"cappedMax": 0_i64},
        doc! {"capped": true, "size": 1024, "max": 2_147_483_647},
    );
    check_options(
        doc! {"capped": true, "size": 1024, "max": 3},
        doc! {"cappedSize": 9000_i64, "cappedMax": 5_i64},
        doc! {"capped": true, "size": 9216, "max": 5},
    );
    let clustered = doc! {"v": 2, "key": {"_id": 1}, "name": "_id_", "unique": true};
    let expiring = |seconds: i64| {
        doc! {"clusteredIndex": &clustered, "expireAfterSeconds": seconds}
    };
    check_options(expiring(100), doc! {"expireAfterSeconds": 50_i64}, expiring(50));
    check_options(
        expiring(50),
        doc! {"expireAfterSeconds": "off"},
        doc! {"clusteredIndex": &clustered},
    );
    check_options(
        doc! {"clusteredIndex": &clustered},
        doc! {"expireAfterSeconds": 50_i64},
        expiring(50),
    );
    let series = |granularity: &str, span: i32| {
        doc! {"validator": {"a": 1}, "clusteredIndex": true, "timeseries": {
            "timeField": "t", "metaField": "m", "granularity": granularity,
            "bucketMaxSpanSeconds": span,
        }}
    };
    let change = |granularity: &str| doc! {"timeseries": {"granularity": granularity}};
    check_options(series("seconds", 3600), change("minutes"), series("minutes", 86_400));
    check_options(series("minutes", 86_400), change("hours"), series("hours", 2_592_000));
    let fixture = Fixture::with_state(state_with(series("seconds", 3600), &[]), &[]);
    let error = fixture.strict(command(doc! {"collMod": "orders", "timeseries": {"odd": 1}}));
    assert!(matches!(error, Err(ApplyError::Unsupported { .. })), "{error:?}");
}

#[test]
fn an_unknown_option_stops_the_history() {
    let fixture = Fixture::with_base(&[]);
    let error = fixture.strict(command(doc! {"collMod": "orders", "novelty": 1})).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("21,1") && text.contains("novelty"), "{text}");
    assert!(matches!(error, ApplyError::Unsupported { .. }));
}

fn k1(rest: Document) -> Document {
    let mut spec = doc! {"v": 2, "key": {"k": 1}, "name": "k1"};
    spec.extend(rest);
    spec
}

#[test]
fn indexes_are_stored_as_the_server_stores_them() {
    let change = |index: Document| doc! {"collMod": "orders", "index": index};
    let ttl = k1(doc! {"expireAfterSeconds": 100});
    let steps = [
        (
            change(doc! {"name": "k1", "expireAfterSeconds": 200_i64}),
            doc! {"expireAfterSeconds": 200_i64},
        ),
        (
            change(doc! {"name": "k1", "expireAfterSeconds": 300_i64, "hidden": true}),
            doc! {"expireAfterSeconds": 300_i64, "hidden": true},
        ),
        (change(doc! {"name": "k1", "hidden": false}), doc! {"expireAfterSeconds": 300_i64}),
        (
            change(doc! {"keyPattern": {"k": 1}, "prepareUnique": true}),
            doc! {"expireAfterSeconds": 300_i64, "prepareUnique": true},
        ),
        (
            change(doc! {"name": "k1", "unique": true}),
            doc! {"expireAfterSeconds": 300_i64, "unique": true},
        ),
    ];
    let mut commands = Vec::new();
    for (command, expected) in steps {
        commands.push(command);
        let (_, indexes) = after(state_with(doc! {}, std::slice::from_ref(&ttl)), &commands);
        assert_eq!(indexes.iter().cloned().map(bytes).collect::<Vec<_>>(), [bytes(k1(expected))]);
    }
}

#[test]
fn indexes_come_with_their_commit_and_go_by_name() {
    let specs = [
        doc! {"v": 2, "key": {"z": 1}, "name": "z1", "background": true, "sparse": true},
        doc! {"v": 2, "key": {"w": 1}, "name": "w1", "collation": {"locale": "fr"}},
    ];
    let build = |name: &str| {
        doc! {name: "orders", "indexBuildUUID": 1, "indexes": specs.to_vec()}
    };
    let create = doc! {"createIndexes": "orders", "v": 2, "key": {"k": 1}, "name": "k1"};
    let fixture = Fixture::with_state(state_with(doc! {}, &[]), &[]);
    let drop = |index: Bson| command(doc! {"dropIndexes": "orders", "index": index});
    fixture.run(
        &[
            (30, vec![command(create)]),
            (40, vec![command(build("startIndexBuild"))]),
            (50, vec![command(build("commitIndexBuild"))]),
            (60, vec![drop("z1".into())]),
            (70, vec![command(build("startIndexBuild"))]),
            (75, vec![command(build("abortIndexBuild"))]),
            (80, vec![drop("*".into())]),
        ],
        90,
    );
    let names = |second| -> Vec<String> {
        let view = fixture.history.reader_at(ts(second)).unwrap();
        let state = view.collection(NS).unwrap();
        assert!(state.id_index.is_some());
        state.indexes.iter().map(|s| parsed(s).get_str("name").unwrap().to_owned()).collect()
    };
    assert_eq!(names(29), Vec::<String>::new());
    assert_eq!(names(49), ["k1"]);
    assert_eq!(names(50), ["k1", "z1", "w1"]);
    assert_eq!(names(79), ["k1", "w1"]);
    assert_eq!(names(80), Vec::<String>::new());
}

#[test]
fn create_keeps_options_as_given_and_the_id_index_apart() {
    let fixture = Fixture::with_base(&[]);
    let id_index = doc! {"v": 2, "key": {"_id": 1}, "name": "_id_", "collation": {"locale": "en"}};
    let create = doc! {
        "create": "new", "capped": true, "size": 1024, "max": 3, "temp": true,
        "collation": {"locale": "en"}, "idIndex": &id_index,
    };
    let clustered = doc! {"create": "c", "clusteredIndex": {"v": 2, "key": {"_id": 1}, "name": "_id_", "unique": true}};
    fixture.run(
        &[
            (30, vec![Op::command("shop", Some(OTHER), create)]),
            (40, vec![Op::command("shop", Some([9; 16]), clustered)]),
            (50, vec![Op::command("shop", Some([10; 16]), doc! {"create": "zz"})]),
        ],
        60,
    );
    assert_eq!(fixture.names(29), [NS]);
    let view = fixture.history.reader_at(ts(60)).unwrap();
    let new = view.collection("shop.new").unwrap();
    let expected = doc! {
        "capped": true, "size": 1024, "max": 3, "temp": true, "collation": {"locale": "en"},
    };
    assert_eq!(new.options, bytes(expected));
    assert_eq!(new.id_index, Some(bytes(id_index)));
    assert!(new.is_capped() && new.is_temporary() && !new.is_clustered());
    let clustered = view.collection("shop.c").unwrap();
    assert!(clustered.is_clustered() && clustered.id_index.is_none());
    let sent_by_user = view.collection("shop.zz").unwrap();
    assert_eq!(parsed(sent_by_user.id_index.as_ref().unwrap()).get_i32("v").unwrap(), 1);
}

#[test]
fn drop_and_create_again_under_the_same_name_share_nothing() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1}]);
    let again = Op::insert(doc! {"_id": 1, "again": true}).on(NS, OTHER);
    fixture.run(
        &[
            (30, vec![command(doc! {"drop": "orders"})]),
            (40, vec![Op::command("shop", Some(OTHER), doc! {"create": "orders"})]),
            (50, vec![again]),
            (60, vec![Op::command("shop", Some(OTHER), doc! {"drop": "orders"})]),
            // The same UUID again, as a restored collection may have.
            (70, vec![command(doc! {"create": "orders"})]),
        ],
        80,
    );
    assert_eq!(fixture.scan(29, NS), [doc! {"_id": 1}]);
    assert_eq!(fixture.names(30), Vec::<String>::new());
    assert_eq!(fixture.scan(40, NS), Vec::<Document>::new());
    assert_eq!(fixture.scan(50, NS), [doc! {"_id": 1, "again": true}]);
    assert_eq!(fixture.names(60), Vec::<String>::new());
    assert_eq!(fixture.scan(70, NS), Vec::<Document>::new());
}

#[test]
fn a_rename_takes_the_documents_along_and_drops_its_target() {
    let fixture = Fixture::with_base(&[doc! {"_id": 1}]);
    let temporary = doc! {"create": "tmp123", "temp": true, "capped": true, "size": 4096};
    let copied = Op::insert(doc! {"_id": 1, "copied": true}).on("shop.tmp123", OTHER);
    let drop_target = Bson::Binary(bson::Binary {
        subtype: bson::spec::BinarySubtype::Uuid,
        bytes: UUID.to_vec(),
    });
    let rename = doc! {
        "renameCollection": "shop.tmp123", "to": NS, "stayTemp": false, "dropTarget": drop_target,
    };
    let away = doc! {"renameCollection": NS, "to": "archive.orders", "stayTemp": true};
    fixture.run(
        &[
            (30, vec![Op::command("shop", Some(OTHER), temporary)]),
            (40, vec![copied]),
            (50, vec![Op::command("shop", Some(OTHER), rename)]),
            (60, vec![Op::command("shop", Some(OTHER), away)]),
        ],
        70,
    );
    assert_eq!(fixture.names(49), [NS, "shop.tmp123"]);
    assert_eq!(fixture.names(50), [NS]);
    assert_eq!(fixture.scan(49, NS), [doc! {"_id": 1}]);
    assert_eq!(fixture.scan(50, NS), [doc! {"_id": 1, "copied": true}]);
    assert_eq!(fixture.names(60), ["archive.orders"]);
    let view = fixture.history.reader_at(ts(50)).unwrap();
    let state = view.collection(NS).unwrap();
    assert!(!state.is_temporary() && state.is_capped());
}

#[test]
fn drop_database_drops_what_is_left() {
    let fixture = Fixture::with_base(&[]);
    let other = Op::command("shopping", Some(OTHER), doc! {"create": "orders"});
    let drop = Op::command("shop", None, doc! {"dropDatabase": 1});
    fixture.run(&[(30, vec![other]), (40, vec![drop])], 50);
    assert_eq!(fixture.names(39), [NS, "shopping.orders"]);
    assert_eq!(fixture.names(40), ["shopping.orders"]);
}

#[test]
fn emptying_a_capped_collection_keeps_the_collection() {
    let fixture = Fixture::with_state(super::documents::capped(), &[doc! {"_id": 1}]);
    fixture.run(
        &[
            (30, vec![command(doc! {"emptycapped": "orders"})]),
            (40, vec![Op::insert(doc! {"_id": 1, "n": 2})]),
        ],
        50,
    );
    assert_eq!(fixture.scan(29, NS), [doc! {"_id": 1}]);
    assert_eq!(fixture.scan(30, NS), Vec::<Document>::new());
    assert_eq!(fixture.scan_natural(40, NS), [doc! {"_id": 1, "n": 2}]);
    assert!(fixture.history.reader_at(ts(40)).unwrap().collection(NS).unwrap().is_capped());
}

#[test]
fn commands_inside_a_transaction_take_effect_with_it() {
    let fixture = Fixture::with_base(&[]);
    let mut writer = fixture.history.writer().unwrap();
    let create = Op::command("shop", Some(OTHER), doc! {"create": "new"});
    let index = doc! {"createIndexes": "new", "v": 2, "key": {"k": 1}, "name": "k1"};
    let insert = Op::insert(doc! {"_id": 1}).on("shop.new", OTHER);
    let ops = [create, Op::command("shop", Some(OTHER), index), insert];
    writer.apply(ts(30), at(35), ops.iter().map(Op::view)).unwrap();
    writer.commit(Progress::at(at(35))).unwrap();
    assert_eq!(fixture.names(29), [NS]);
    assert_eq!(fixture.scan(30, "shop.new"), [doc! {"_id": 1}]);
    let view = fixture.history.reader_at(ts(30)).unwrap();
    assert_eq!(view.collection("shop.new").unwrap().indexes.len(), 1);
}

#[test]
fn strict_mode_compares_collections_by_uuid() {
    let refused = [
        command(doc! {"create": "orders"}),
        command(doc! {"create": "other"}),
        Op::command("shop", Some(OTHER), doc! {"create": "orders"}),
        Op::command("shop", Some(OTHER), doc! {"drop": "orders"}),
        Op::command("shop", Some(OTHER), doc! {"collMod": "orders", "validationLevel": "off"}),
        Op::command("shop", None, doc! {"drop": "other"}),
    ];
    for op in refused {
        let error = Fixture::with_base(&[]).strict(op.clone());
        assert!(matches!(error, Err(ApplyError::Inconsistent { .. })), "{error:?}");
    }
    let by_name = Op::command("shop", None, doc! {"drop": "orders"});
    assert_eq!(Fixture::with_base(&[]).strict(by_name).unwrap(), Applied::Done);
}

#[test]
fn what_cannot_be_rebuilt_is_refused_with_its_name() {
    let refused = [
        doc! {"convertToCapped": "orders", "size": 1},
        doc! {"importCollection": "shop.orders"},
        doc! {"truncateRange": "shop.orders"},
        doc! {"newCommandOfTomorrow": "orders"},
        doc! {"applyOps": []},
        doc! {"commitTransaction": 1},
        doc! {"create": "v", "viewOn": "orders", "pipeline": []},
        doc! {"create": 5},
    ];
    for o in refused {
        let name = o.keys().next().unwrap().clone();
        let error = Fixture::with_base(&[]).strict(command(o)).unwrap_err();
        let text = error.to_string();
        let is_refused =
            matches!(error, ApplyError::Unsupported { .. } | ApplyError::Unknown { .. });
        assert!(is_refused, "{text}");
        assert!(text.contains(&name) && text.contains("21,1"), "{text}");
    }
    for o in [doc! {"dbCheck": "orders"}, doc! {"startIndexBuild": "orders"}, doc! {"dropIdent": 1}]
    {
        assert_eq!(Fixture::with_base(&[]).strict(command(o)).unwrap(), Applied::Done);
    }
}

#[test]
fn the_relaxed_window_accepts_repeated_commands() {
    // The base saw the end: OTHER exists under its last name, and the indexes of UUID are made.
    let index = doc! {"v": 2, "key": {"k": 1}, "name": "k1"};
    let seen = CollectionState::new(OTHER, "shop.last");
    let fixture = Fixture::empty();
    fixture.load(
        10,
        20,
        &[
            (state_with(doc! {}, std::slice::from_ref(&index)), vec![doc! {"_id": 1}]),
            (seen, vec![doc! {"_id": 2}]),
        ],
    );
    let mut make_index = doc! {"createIndexes": "orders"};
    make_index.extend(index);
    let gone = [9; 16];
    fixture.run(
        &[
            (11, vec![command(make_index)]),
            // A collection that lived only inside the window.
            (12, vec![Op::insert(doc! {"_id": 5}).on("shop.gone", gone)]),
            (13, vec![Op::command("shop", Some(gone), doc! {"drop": "gone"})]),
            (14, vec![Op::command("shop", None, doc! {"dropDatabase": 1})]),
            (15, vec![Op::command("shop", Some(OTHER), doc! {"create": "first"})]),
            (16, vec![Op::insert(doc! {"_id": 2}).on("shop.first", OTHER)]),
            (
                17,
                vec![Op::command(
                    "shop",
                    Some(OTHER),
                    doc! {
                        "renameCollection": "shop.first", "to": "shop.last", "stayTemp": false,
                    },
                )],
            ),
            (18, vec![Op::command("shop", Some([3; 16]), doc! {"drop": "never.seen"})]),
        ],
        20,
    );
    assert_eq!(fixture.names(20), ["shop.last", NS]);
    assert_eq!(fixture.scan(20, "shop.last"), [doc! {"_id": 2}]);
    assert_eq!(fixture.scan(20, NS), [doc! {"_id": 1}]);
    let view = fixture.history.reader_at(ts(20)).unwrap();
    assert_eq!(view.collection(NS).unwrap().indexes.len(), 1);
}

#[test]
fn a_collection_that_stays_unexplained_keeps_the_window_shut() {
    let fixture = Fixture::with_base(&[]);
    let mut writer = fixture.history.writer().unwrap();
    apply(&mut writer, 12, &[Op::insert(doc! {"_id": 5}).on("shop.missed", OTHER)]).unwrap();
    writer.commit(Progress::at(at(19))).unwrap();
    let error = writer.commit(Progress::at(at(20))).unwrap_err();
    assert!(error.to_string().contains("shop.missed"), "{error}");
    assert!(apply(&mut writer, 21, &[]).is_err());
    assert!(fixture.history.reader_at(ts(20)).is_err());
}
