#![allow(clippy::unwrap_used)]
//! A small base, written, read, and broken in every way.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bson::doc;
use hindsight_oplog::{OpTime, Timestamp};

use crate::{
    Base, BaseKind, BaseWriter, CollectionInfo, ErrorKind, Origin, Source, Uuid, WriterSettings,
    list, remove_partial,
};

fn bytes(document: bson::Document) -> Vec<u8> {
    let mut bytes = Vec::new();
    document.to_writer(&mut bytes).unwrap();
    bytes
}

fn info(name: &str, uuid: u8) -> CollectionInfo {
    CollectionInfo {
        db: "shop".to_owned(),
        name: name.to_owned(),
        uuid: [uuid; 16],
        kind: "collection".to_owned(),
        options: bytes(doc! { "validator": { "a": { "$gt": 1_i64 } } }),
        id_index: Some(bytes(doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" })),
        indexes: vec![bytes(doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" })],
    }
}

fn origin() -> Origin {
    Origin {
        kind: BaseKind::Copy,
        source: Source {
            replica_set_id: Some([7; 12]),
            set_name: "rs0".to_owned(),
            member: "localhost:27017".to_owned(),
            server_version: "6.0.5".to_owned(),
            feature_compatibility_version: Some("6.0".to_owned()),
        },
        start: OpTime::new(100, 5, 1),
        oldest_open: Some(OpTime::new(99, 1, 1)),
        scanned_after: Timestamp::new(100, 6),
        exact_from: OpTime::new(110, 2, 1),
        created_ms: 1_732_190_400_123,
    }
}

fn order(i: i32) -> Vec<u8> {
    bytes(doc! { "_id": i, "text": "x".repeat(i as usize % 50), "more": { "list": [1, 2.5, i] } })
}

fn write_base(directory: &Path, settings: WriterSettings, orders: i32) -> Base {
    let writer = BaseWriter::create(directory, "copy", settings).unwrap();
    let mut empty = writer.collection(info("empty", 2));
    empty.write_batch([]).unwrap();
    empty.finish().unwrap();
    let mut orders_writer = writer.collection(info("orders", 1));
    let documents: Vec<_> = (0..orders).map(order).collect();
    orders_writer.write_batch(documents.iter().map(Vec::as_slice)).unwrap();
    orders_writer.finish().unwrap();
    writer.dropped_collection(info("gone", 3));
    writer.finish(origin()).unwrap()
}

fn read_documents(base: &Base, name: &str) -> crate::Result<Vec<Vec<u8>>> {
    let collection = base.collections().iter().find(|entry| entry.info.name == name).unwrap();
    let mut documents = Vec::new();
    for frame in base.frames(collection) {
        documents.extend(frame?.documents().map(|doc| doc.as_bytes().to_vec()));
    }
    Ok(documents)
}

fn read_all(directory: &Path) -> crate::Result<()> {
    let base = Base::open(directory)?;
    for collection in base.collections() {
        for frame in base.frames(collection) {
            frame?;
        }
    }
    Ok(())
}

/// Returns whether damage is detected. Reading and verifying must agree.
fn is_detected(directory: &Path) -> bool {
    let by_verify = Base::open(directory).is_ok_and(|base| base.verify(true).is_sound());
    assert_eq!(read_all(directory).is_ok(), by_verify);
    !by_verify
}

#[test]
fn what_was_written_is_read() {
    let temp = tempfile::tempdir().unwrap();
    let base = write_base(temp.path(), WriterSettings::default(), 20_000);
    assert_eq!(base.name(), "base-110-2");
    let reopened = Base::open(base.directory()).unwrap();
    assert_eq!(reopened.manifest(), base.manifest());
    assert_eq!(reopened.manifest().origin, origin());
    assert_eq!(reopened.manifest().origin.capture_from(), OpTime::new(99, 1, 1));
    let names: Vec<_> = base.collections().iter().map(|entry| entry.info.name.as_str()).collect();
    assert_eq!(names, ["empty", "gone", "orders"]);
    assert_eq!(base.collections()[2].info, info("orders", 1));
    assert!(base.collections()[1].dropped_during_copy);
    assert!(base.collections()[2].files[0].frames > 1, "more than one frame is tested");
    let expected: Vec<_> = (0..20_000).map(order).collect();
    assert_eq!(read_documents(&base, "orders").unwrap(), expected);
    assert_eq!(read_documents(&base, "empty").unwrap(), Vec::<Vec<u8>>::new());
    let verification = base.verify(true);
    assert!(verification.is_sound());
    assert_eq!(verification.documents, 20_000);
    assert_eq!(verification.bytes_read, base.manifest().stored_bytes());
}

#[test]
fn a_collection_goes_on_in_the_next_file() {
    let temp = tempfile::tempdir().unwrap();
    let settings = WriterSettings { max_file_bytes: 1000, ..WriterSettings::default() };
    let base = write_base(temp.path(), settings, 50_000);
    assert!(base.collections()[2].files.len() > 2);
    let expected: Vec<_> = (0..50_000).map(order).collect();
    assert_eq!(read_documents(&base, "orders").unwrap(), expected);
    assert!(base.verify(true).is_sound());

    // Exchanging two parts of one collection is noticed, although each part is sound.
    let path = |i: usize| base.directory().join(&base.collections()[2].files[i].name);
    let (first, second) = (fs::read(path(0)).unwrap(), fs::read(path(1)).unwrap());
    fs::write(path(0), second).unwrap();
    fs::write(path(1), first).unwrap();
    assert!(is_detected(base.directory()));
    assert_eq!(base.verify(true).faults.len(), 2);
}

#[test]
fn documents_up_to_the_servers_limit_fit() {
    let temp = tempfile::tempdir().unwrap();
    let writer = BaseWriter::create(temp.path(), "copy", WriterSettings::default()).unwrap();
    let mut collection = writer.collection(info("large", 1));
    let binary = bson::Binary {
        subtype: bson::spec::BinarySubtype::Generic,
        bytes: vec![1; (16 << 20) + 1000],
    };
    let large = bytes(doc! { "_id": 1, "data": binary });
    let small = order(1);
    collection.write_batch([&small[..], &large, &small]).unwrap();
    let too_large = {
        let mut bytes = large.clone();
        bytes.splice(4..4, vec![0; 16 << 10]);
        let length = i32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes
    };
    assert_eq!(collection.write(&too_large).unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(collection.write(b"not BSON").unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(collection.finish().unwrap().files[0].frames, 3);
    let base = writer.finish(origin()).unwrap();
    assert_eq!(read_documents(&base, "large").unwrap(), [small.clone(), large, small]);
}

#[test]
fn every_flipped_bit_is_detected() {
    let temp = tempfile::tempdir().unwrap();
    let base = write_base(temp.path(), WriterSettings::default(), 3);
    assert!(!is_detected(base.directory()));
    for path in files(base.directory()) {
        let sound = fs::read(&path).unwrap();
        // The file is changed in place: a file system may flush a file that is truncated and
        // written anew.
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        for bit in 0..sound.len() * 8 {
            let (at, byte) = (bit / 8, sound[bit / 8]);
            file.write_all_at(&[byte ^ 1 << (bit % 8)], at as u64).unwrap();
            assert!(is_detected(base.directory()), "bit {bit} of {}", path.display());
            file.write_all_at(&[byte], at as u64).unwrap();
        }
    }
    assert!(!is_detected(base.directory()));
}

#[test]
fn every_truncation_and_extension_is_detected() {
    let temp = tempfile::tempdir().unwrap();
    let base = write_base(temp.path(), WriterSettings::default(), 3);
    for path in files(base.directory()) {
        let sound = fs::read(&path).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        for length in (0..sound.len()).rev() {
            file.set_len(length as u64).unwrap();
            assert!(is_detected(base.directory()), "{} cut to {length}", path.display());
        }
        fs::write(&path, [&sound[..], b"\n"].concat()).unwrap();
        assert!(is_detected(base.directory()), "{} extended", path.display());
        fs::write(&path, &sound).unwrap();
    }
}

#[test]
fn a_missing_file_is_named_without_reading_deep() {
    let temp = tempfile::tempdir().unwrap();
    let base = write_base(temp.path(), WriterSettings::default(), 3);
    fs::remove_file(base.directory().join("000001.docs")).unwrap();
    let verification = base.verify(false);
    assert_eq!(verification.faults.len(), 1);
    assert_eq!(verification.faults[0].kind(), ErrorKind::Corrupt);
    assert!(verification.faults[0].to_string().contains("000001.docs"));
    assert!(is_detected(base.directory()));
}

#[test]
fn without_a_manifest_it_is_not_a_base() {
    let temp = tempfile::tempdir().unwrap();
    let base = write_base(temp.path(), WriterSettings::default(), 3);
    fs::remove_file(base.directory().join("manifest.json")).unwrap();
    assert_eq!(Base::open(base.directory()).unwrap_err().kind(), ErrorKind::NotABase);
    let listing = list(temp.path()).unwrap();
    assert!(listing.bases.is_empty());
    assert_eq!(listing.damaged.len(), 1);
}

#[test]
fn the_manifest_is_json_for_others_too() {
    let temp = tempfile::tempdir().unwrap();
    let base = write_base(temp.path(), WriterSettings::default(), 3);
    let text = fs::read_to_string(base.directory().join("manifest.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["capture_from"], serde_json::json!({ "t": 99, "i": 1, "term": 1 }));
    assert_eq!(json["collections"][2]["uuid"], "01010101-0101-0101-0101-010101010101");
    assert_eq!(json["blake3"].as_str().unwrap().len(), 64);
}

/// Rewrites the manifest with a correct digest, as a newer version or an attacker could.
fn rewrite_manifest(directory: &Path, from: &str, to: &str) {
    let path = directory.join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    let body = text.split(",\n  \"blake3\"").next().unwrap();
    assert!(text.contains(from), "{from}");
    // The digests of files are also named `blake3`, but deeper in the JSON. Only the last member is
    // at this depth.
    assert_eq!(text.matches(",\n  \"blake3\"").count(), 1);
    let body = body.replacen(from, to, 1);
    let digest = blake3::hash(body.as_bytes()).to_hex();
    fs::write(&path, format!("{body},\n  \"blake3\": \"{digest}\"\n}}\n")).unwrap();
}

#[test]
fn a_manifest_that_contradicts_itself_is_refused() {
    for (from, to, kind) in [
        ("\"format\": 1", "\"format\": 2", ErrorKind::NewerFormat),
        ("\"000001.docs\"", "\"../000001.docs\"", ErrorKind::Corrupt),
        ("\"000001.docs\"", "\"/etc/passwd\"", ErrorKind::Corrupt),
        ("\"t\": 99,", "\"t\": 98,", ErrorKind::Corrupt),
        ("\"documents\": 3", "\"documents\": 4", ErrorKind::Corrupt),
        ("02020202-", "01010101-", ErrorKind::Corrupt),
        ("\"options\": \"", "\"options\": \"ff", ErrorKind::Corrupt),
        ("\"format\": 1", "\"format\": -1", ErrorKind::Corrupt),
    ] {
        let temp = tempfile::tempdir().unwrap();
        let base = write_base(temp.path(), WriterSettings::default(), 3);
        rewrite_manifest(base.directory(), from, from);
        assert!(!is_detected(base.directory()));
        if from.starts_with("0202") {
            let one = "02020202-0202-0202-0202-020202020202";
            rewrite_manifest(base.directory(), one, &one.replace("02", "01"));
        } else {
            rewrite_manifest(base.directory(), from, to);
        }
        assert_eq!(Base::open(base.directory()).unwrap_err().kind(), kind, "{from} -> {to}");
    }
}

#[test]
fn positions_out_of_order_never_become_a_base() {
    let temp = tempfile::tempdir().unwrap();
    for (number, wrong) in [
        Origin { exact_from: OpTime::new(100, 5, 1), ..origin() },
        Origin { scanned_after: Timestamp::new(100, 4), ..origin() },
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("copy-{number}");
        let writer = BaseWriter::create(temp.path(), &name, WriterSettings::default()).unwrap();
        assert_eq!(writer.finish(wrong).unwrap_err().kind(), ErrorKind::Refused);
    }
    assert_eq!(list(temp.path()).unwrap().partial.len(), 2);
}

#[test]
fn abandoned_collections_leave_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let settings = WriterSettings { max_file_bytes: 1000, ..WriterSettings::default() };
    let writer = BaseWriter::create(temp.path(), "copy", settings).unwrap();
    let documents: Vec<_> = (0..40_000).map(order).collect();
    let mut first = writer.collection(info("orders", 1));
    first.write_batch(documents.iter().map(Vec::as_slice)).unwrap();
    assert!(first.stored_bytes() > 1000);
    assert!(files(writer.directory()).len() > 2);
    first.abandon();
    assert_eq!(files(writer.directory()), [writer.directory().join("being-written.lock")]);
    let mut second = writer.collection(info("orders", 1));
    second.write(&documents[0]).unwrap();
    second.finish().unwrap();
    let base = writer.finish(origin()).unwrap();
    assert_eq!(read_documents(&base, "orders").unwrap(), documents[..1]);
}

#[test]
fn an_unfinished_base_is_listed_apart_and_can_be_removed() {
    let temp = tempfile::tempdir().unwrap();
    write_base(temp.path(), WriterSettings::default(), 3);
    let writer = BaseWriter::create(temp.path(), "copy", WriterSettings::default()).unwrap();
    let unfinished = writer.collection(info("orders", 1));
    let error = BaseWriter::create(temp.path(), "copy", WriterSettings::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    let being_written = remove_partial(&temp.path().join("copy.partial")).unwrap_err();
    assert_eq!(being_written.kind(), ErrorKind::Refused);
    assert_eq!(writer.finish(origin()).unwrap_err().kind(), ErrorKind::Refused);
    drop(unfinished);

    let listing = list(temp.path()).unwrap();
    assert_eq!(listing.bases.len(), 1);
    assert_eq!(listing.bases[0].documents, 3);
    assert_eq!(listing.partial, [temp.path().join("copy.partial")]);
    remove_partial(&listing.partial[0]).unwrap();
    assert!(list(temp.path()).unwrap().partial.is_empty());
    let error = remove_partial(&listing.bases[0].directory).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(list(&temp.path().join("none")).unwrap().bases.is_empty());
}

#[test]
fn an_abandoned_base_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let writer = BaseWriter::create(temp.path(), "copy", WriterSettings::default()).unwrap();
    let mut orders = writer.collection(info("orders", 1));
    orders.write(&order(1)).unwrap();
    orders.finish().unwrap();
    writer.abandon().unwrap();
    assert!(files(temp.path()).is_empty());
}

#[test]
fn two_bases_of_one_optime_get_two_names() {
    let temp = tempfile::tempdir().unwrap();
    let first = write_base(temp.path(), WriterSettings::default(), 3);
    let second = write_base(temp.path(), WriterSettings::default(), 3);
    assert_eq!((first.name().as_str(), second.name().as_str()), ("base-110-2", "base-110-2-2"));
}

#[test]
fn collections_are_written_from_several_threads() {
    let temp = tempfile::tempdir().unwrap();
    let writer = BaseWriter::create(temp.path(), "copy", WriterSettings::default()).unwrap();
    std::thread::scope(|scope| {
        for number in 0..8_u8 {
            let mut collection = writer.collection(info(&format!("c{number}"), number));
            scope.spawn(move || {
                for i in 0..i32::from(number) * 100 {
                    collection.write(&order(i)).unwrap();
                }
                collection.finish().unwrap();
            });
        }
    });
    let base = writer.finish(origin()).unwrap();
    assert!(base.verify(true).is_sound());
    assert_eq!(base.manifest().documents(), 2800);
}

#[test]
fn a_full_disk_is_a_retryable_error() {
    let path = Path::new("/data/base/x.partial/000001.docs");
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let error = crate::Error::io("write", path)(full);
    assert_eq!(error.kind(), ErrorKind::DiskFull);
    assert!(error.is_retryable());
    assert!(error.to_string().contains("/data/base/x.partial/000001.docs"));
    let uuid: Uuid = [1; 16];
    assert_eq!(crate::uuid_text(&uuid), "01010101-0101-0101-0101-010101010101");
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}
