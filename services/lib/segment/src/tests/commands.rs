//! Under which name a segment counts and notes a command. The seal holds these names, so the format
//! fixes them: only a new format version may change what this file expects.

use super::*;

/// Returns a command on `shop.$cmd` whose first field names this collection.
fn command_on(at: u32, command: &str, named: &str) -> Vec<u8> {
    entry(optime(at), "c", "shop.$cmd", |o| {
        o.string(command.as_bytes(), named);
    })
}

fn names(entries: &[Vec<u8>]) -> Vec<(String, Option<String>)> {
    let info = facts(&sealed(entries, Codec::None));
    let counted: Vec<_> = info.seal.namespaces.iter().map(|it| it.namespace.as_str()).collect();
    for note in &info.seal.commands {
        assert!(note.name == "drop" || counted.contains(&note.namespace.as_str()), "{note:?}");
    }
    info.seal.commands.into_iter().map(|note| (note.namespace, note.renamed_to)).collect()
}

#[test]
fn a_command_on_a_collection_is_counted_under_it() {
    let known = [
        "abortIndexBuild",
        "collMod",
        "commitIndexBuild",
        "convertToCapped",
        "create",
        "createIndexes",
        "deleteIndex",
        "drop",
        "dropIndexes",
        "emptycapped",
        "startIndexBuild",
        "upgradeDowngradeViewlessTimeseries",
    ];
    for command in known {
        let counted = names(&[command_on(1, command, "orders.2026")]);
        assert_eq!(counted, [("shop.orders.2026".to_owned(), None)], "{command}");
    }
    assert_eq!(names(&[command_on(1, "drop", "")]), [("shop.".to_owned(), None)]);
}

/// Readers take `database.$cmd` for any collection of the database.
#[test]
fn other_commands_are_counted_under_the_database() {
    let other =
        ["dbCheck", "setMultikeyMetadata", "importCollection", "truncateRange", "ofTomorrow"];
    for command in other.into_iter().chain(["dropDatabase", "applyOps"]) {
        let bytes = command_on(1, command, "orders");
        let info = facts(&sealed(std::slice::from_ref(&bytes), Codec::None));
        let counted: Vec<_> = info.seal.namespaces.iter().map(|it| &it.namespace).collect();
        assert_eq!(counted, ["shop.$cmd"], "{command}");
    }
    let number = entry(optime(1), "c", "shop.$cmd", |o| {
        o.int32(b"drop", 1);
    });
    assert_eq!(names(&[number]), [("shop.$cmd".to_owned(), None)]);
}

fn rename(at: u32, write: impl FnOnce(&mut DocWriter)) -> Vec<u8> {
    entry(optime(at), "c", "shop.$cmd", write)
}

#[test]
fn a_rename_is_counted_under_its_old_name_whatever_the_new_one_is() {
    let whole = rename(1, |o| {
        o.string(b"renameCollection", "shop.a.b").string(b"to", "old.b");
    });
    let without_new_name = rename(2, |o| {
        o.string(b"renameCollection", "shop.a").int32(b"to", 1);
    });
    let without_old_name = rename(3, |o| {
        o.int32(b"renameCollection", 1).string(b"to", "old.c");
    });
    let drops = rename(4, |o| {
        o.string(b"renameCollection", "shop.t").string(b"to", "shop.u");
        o.value(kind::BOOL, b"dropTarget", &[1]);
    });
    let of = |name: &str, to: Option<&str>| (name.to_owned(), to.map(str::to_owned));
    assert_eq!(
        names(&[whole, without_new_name, without_old_name, drops]),
        [
            of("shop.a.b", Some("old.b")),
            of("shop.a", None),
            of("shop.$cmd", Some("old.c")),
            of("shop.u", None),
            of("shop.t", Some("shop.u")),
        ]
    );
}

/// The digest was taken before commands were read by `hindsight_oplog::Operation::named`.
#[test]
fn the_bytes_of_a_segment_with_commands_stay_the_same() {
    let commands = ["create", "drop", "dbCheck", "importCollection", "ofTomorrow", "collMod"];
    let mut entries: Vec<_> =
        (1_u32..).zip(commands).map(|(at, command)| command_on(at, command, "orders")).collect();
    entries.push(rename(50, |o| {
        o.string(b"renameCollection", "shop.t").string(b"to", "shop.u");
        o.value(kind::BOOL, b"dropTarget", &[1]);
    }));
    entries.push(entry(optime(51), "c", "admin.$cmd", |o| {
        o.int32(b"commitTransaction", 1);
    }));
    let bytes = sealed(&entries, Codec::None).to_bytes();
    let digest = blake3::hash(&bytes).to_hex();
    assert_eq!(digest.as_str(), "2598a25708e6f1c487082569193233f835e268333dd8834468a38d7dde644ef5");
}
