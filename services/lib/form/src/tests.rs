use bson::{Document, doc};
use hindsight_oplog::raw::Doc;

use super::*;

fn bytes(document: &Document) -> Vec<u8> {
    bson::serialize_to_vec(document).expect("serialises")
}

fn k1(rest: Document) -> Document {
    let mut spec = doc! { "v": 2, "key": { "a": 1 }, "name": "ix" };
    spec.extend(rest);
    spec
}

fn repair(spec: &Document) -> Document {
    let repaired = repaired(Doc::new(&bytes(spec)).expect("a document")).expect("well formed");
    bson::deserialize_from_slice(&repaired).expect("a document")
}

fn index(spec: &Document) -> Meaning {
    Meaning::of_index(Doc::new(&bytes(spec)).expect("a document")).expect("well formed")
}

fn options(options: &Document) -> Meaning {
    Meaning::of_options(Doc::new(&bytes(options)).expect("a document")).expect("well formed")
}

/// What the oplogs of 5.0.4, 6.0.5, 6.0.27 and 7.0.28 hold, and what these servers list.
#[test]
fn specs_are_listed_as_servers_from_5_0_on_list_them() {
    let nan = f64::NAN;
    for (given, listed) in [
        (doc! { "sparse": 1 }, doc! { "sparse": true }),
        (doc! { "sparse": 0.0 }, doc! { "sparse": false }),
        (doc! { "background": 1_i64 }, doc! { "background": true }),
        (doc! { "background": nan }, doc! { "background": true }),
        (doc! { "unique": 0 }, doc! {}),
        (doc! { "hidden": false, "prepareUnique": 1 }, doc! { "prepareUnique": true }),
        (doc! { "expireAfterSeconds": 10.7 }, doc! { "expireAfterSeconds": 10 }),
        (doc! { "expireAfterSeconds": -0.5 }, doc! { "expireAfterSeconds": 0 }),
        (doc! { "expireAfterSeconds": nan }, doc! { "expireAfterSeconds": nan }),
        (doc! { "expireAfterSeconds": 10_i64 }, doc! { "expireAfterSeconds": 10 }),
        (doc! { "bits": 20.0, "max": 5_i64 }, doc! { "bits": 20, "max": 5.0 }),
        (doc! { "2dsphereIndexVersion": 2.0 }, doc! { "2dsphereIndexVersion": 2 }),
        (doc! { "ns": "shop.orders", "dropDups": true, "indexIdent": "index-7" }, doc! {}),
        // Values that 4.4 accepted and 5.0 refuses.
        (doc! { "sparse": "x", "background": bson::Bson::Null }, doc! { "sparse": true }),
    ] {
        assert_eq!(bytes(&repair(&k1(given.clone()))), bytes(&k1(listed)), "{given}");
    }
}

#[test]
fn an_index_is_compared_by_what_it_does() {
    let plain = index(&k1(doc! {}));
    for same in [
        doc! { "sparse": false, "background": 0 },
        doc! { "bits": 20, "min": -5, "textIndexVersion": 3, "2dsphereIndexVersion": 3 },
        doc! { "weights": { "a": 1 }, "bucketSize": 2, "finestIndexedLevel": 3 },
        doc! { "collation": { "locale": "simple" } },
        doc! { "ns": "shop.orders" },
    ] {
        assert_eq!(plain.difference(&index(&k1(same.clone()))), None, "{same}");
    }
    for (other, named) in [
        (doc! { "sparse": 1 }, "sparse"),
        (doc! { "expireAfterSeconds": 0 }, "expireAfterSeconds"),
        (doc! { "collation": { "locale": "fr" } }, "collation"),
        (doc! { "hidden": true, "unique": 1 }, "hidden, unique"),
        (doc! { "default_language": "french" }, "default_language"),
    ] {
        assert_eq!(plain.difference(&index(&k1(other))).as_deref(), Some(named));
    }
    let plane = |rest: Document| {
        let mut spec = doc! { "v": 2, "key": { "a": "2d" }, "name": "ix" };
        spec.extend(rest);
        index(&spec)
    };
    assert_eq!(plane(doc! { "bits": 20.0, "min": -5 }), plane(doc! { "bits": 20, "min": -5.0 }));
    assert_eq!(plane(doc! {}).difference(&plane(doc! { "bits": 20 })).as_deref(), Some("bits"));
}

#[test]
fn wildcard_projections_are_compared_by_meaning() {
    let projected = |projection: Document| {
        index(&doc! { "key": { "$**": 1 }, "name": "ix", "wildcardProjection": projection })
    };
    let written = projected(doc! { "d": 1, "n": { "x": 1 } });
    assert_eq!(written, projected(doc! { "d": true, "n.x": true, "_id": false }));
    assert_ne!(written, projected(doc! { "d": true, "_id": false }));
    assert_ne!(written, projected(doc! { "d": false, "n.x": false }));
    assert_ne!(written, projected(doc! { "d": 1, "n.x": 1, "_id": 1 }));
}

#[test]
fn options_are_compared_by_what_they_do() {
    let capped = options(&doc! { "capped": true, "size": 4096, "max": 2147483647.0 });
    let other = doc! { "capped": true, "size": 4096_i64, "max": 2147483647, "autoIndexId": true };
    assert_eq!(capped, options(&other));
    assert_eq!(options(&doc! {}), options(&doc! { "temp": true, "recordPreImages": false }));
    let recorded = options(&doc! { "recordPreImages": true });
    assert_eq!(recorded.difference(&options(&doc! {})).as_deref(), Some("recordPreImages"));
    assert_ne!(options(&doc! { "autoIndexId": false }), options(&doc! {}));
}

#[test]
fn the_kind_of_an_index_is_read_from_its_key() {
    for (key, kind) in [
        (doc! { "a": 1, "b": -1.5 }, IndexKind::Ordered),
        (doc! { "p": 1, "_fts": "text", "_ftsx": 1 }, IndexKind::Text),
        (doc! { "$**": "text" }, IndexKind::Text),
        (doc! { "a": "2d", "b": 1 }, IndexKind::Plane),
        (doc! { "data.g": "2dsphere_bucket" }, IndexKind::Sphere),
        (doc! { "a": "hashed", "b": 1 }, IndexKind::Hashed),
        (doc! { "a": "geoHaystack", "b": 1 }, IndexKind::Haystack),
        (doc! { "a": 1, "b.$**": 1 }, IndexKind::Wildcard),
        (doc! { "$**": "columnstore" }, IndexKind::Other("columnstore".to_owned())),
    ] {
        let spec = bytes(&doc! { "key": key.clone() });
        assert_eq!(kind_of(Doc::new(&spec).expect("a document")), Ok(kind), "{key}");
    }
}

#[test]
fn the_options_of_a_time_series_have_no_order() {
    let options = |series: Document| {
        let options = bytes(&doc! { "timeseries": series });
        Meaning::of_options(Doc::new(&options).expect("a document")).expect("well formed")
    };
    let spans = |span: i32| doc! { "bucketMaxSpanSeconds": span, "bucketRoundingSeconds": 60_i64 };
    let other = doc! { "bucketRoundingSeconds": 60, "bucketMaxSpanSeconds": 60 };
    assert_eq!(options(spans(60)), options(other.clone()));
    assert_ne!(options(spans(61)), options(other));
}
