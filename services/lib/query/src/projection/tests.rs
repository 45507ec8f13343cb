use bson::{Document, bson, doc};

use super::*;

fn parse(projection: &Document) -> Result<Projection, QueryError> {
    Projection::parse(&RawDocumentBuf::try_from(projection).unwrap())
}

fn projected(projection: &Document, document: &Document) -> Document {
    let document = RawDocumentBuf::try_from(document).unwrap();
    let projected = parse(projection).unwrap().apply(&document).unwrap();
    Document::try_from(&projected).unwrap()
}

fn whole() -> Document {
    doc! {
        "_id": 1,
        "b": 2,
        "a": [1, {"b": 1, "c": 2}, [{"b": 1, "c": 1}, 5, []], [], {}],
        "d": {"c": 1, "b": {"x": 1, "y": 2}},
    }
}

#[test]
fn an_inclusion_gives_the_named_fields_in_the_document_s_order() {
    assert_eq!(projected(&doc! {"d": 1, "b": true}, &whole()), {
        let mut expected = whole();
        expected.remove("a");
        expected
    });
    assert_eq!(projected(&doc! {"_id": 0, "b": 1}, &whole()), doc! {"b": 2});
    assert_eq!(projected(&doc! {"_id": 1}, &whole()), doc! {"_id": 1});
    assert_eq!(projected(&doc! {"_id.x": 1}, &whole()), doc! {});
}

#[test]
fn an_inclusion_within_arrays_leaves_documents_and_arrays() {
    let expected = doc! {"_id": 1, "a": [{"b": 1}, [{"b": 1}, []], [], {}]};
    assert_eq!(projected(&doc! {"a.b": 1}, &whole()), expected);
    assert_eq!(projected(&doc! {"a": {"b": 1}}, &whole()), expected);
    assert_eq!(projected(&doc! {"b.x": 1}, &whole()), doc! {"_id": 1});
    assert_eq!(projected(&doc! {"d.b": {"y": 1}}, &whole()), doc! {"_id": 1, "d": {"b": {"y": 2}}});
}

#[test]
fn an_exclusion_leaves_out_the_named_fields() {
    let document = doc! {"_id": 1, "a": [1, {"b": 1, "c": 2}, [{"b": 1}]], "b": 2};
    assert_eq!(
        projected(&doc! {"a.b": 0, "b": false}, &document),
        doc! {"_id": 1, "a": [1, {"c": 2}, [{}]]}
    );
    assert_eq!(projected(&doc! {"_id": 0, "a": 0}, &document), doc! {"b": 2});
    assert_eq!(projected(&doc! {"_id": 1, "a": 0}, &document), doc! {"_id": 1, "b": 2});
    assert_eq!(projected(&doc! {}, &document), document);
    assert_eq!(projected(&doc! {"b.x": 0}, &document), document);
}

#[test]
fn what_the_server_refuses_is_refused() {
    let refused = [
        doc! {"a": 1, "b": 0},
        doc! {"a": 0, "_id": {"x": 1}},
        doc! {"a.b": 1, "a": 1},
        doc! {"a": 1, "a.b": 1},
        doc! {"a": {"b": 1}, "a.b": 1},
        doc! {"a": {}},
        doc! {"": 1},
        doc! {"a.": 1},
        doc! {"a..b": 1},
        doc! {"$a": 1},
        doc! {"a.$b": 1},
        doc! {"a": {"$b": 1, "c": 1}},
        doc! {"a.$": 0},
        doc! {vec!["a"; 201].join("."): 1},
    ];
    for projection in refused {
        let error = parse(&projection).unwrap_err();
        assert!(matches!(error, QueryError::Invalid(_)), "{projection}: {error}");
    }
    assert!(parse(&doc! {vec!["a"; 200].join("."): 1}).is_ok());
    assert!(parse(&doc! {"a.$id": 1, "$ref": 1}).is_ok());
}

#[test]
fn what_is_not_supported_is_named() {
    let refused = [
        (doc! {"a": {"$slice": 1}}, "\"$slice\""),
        (doc! {"a": {"$elemMatch": {"b": 1}}}, "\"$elemMatch\""),
        (doc! {"a.$": 1}, "\"a.$\""),
        (doc! {"a.$.b": 1}, "\"a.$.b\""),
        (doc! {"a": "$b"}, "\"a value for a\""),
        (doc! {"a": {"b": null}}, "\"a value for b\""),
        (doc! {"a": [1]}, "\"a value for a\""),
    ];
    for (projection, name) in refused {
        let error = parse(&projection).unwrap_err();
        assert!(matches!(error, QueryError::Unsupported(_)), "{projection}: {error}");
        assert!(error.to_string().starts_with(name), "{projection}: {error}");
    }
}

#[test]
fn deep_and_broken_documents_are_errors() {
    let projection = parse(&doc! {"a.b": 1}).unwrap();
    let mut deep = bson!(1);
    for _ in 0..DEEPEST + 10 {
        deep = bson!([deep]);
    }
    let deep = RawDocumentBuf::try_from(&doc! {"a": deep}).unwrap();
    assert_eq!(projection.apply(&deep), Err(QueryError::Malformed(TOO_DEEP)));
    let broken = RawDocumentBuf::from_bytes(vec![8, 0, 0, 0, 1, b'a', 0, 0]).unwrap();
    assert!(matches!(projection.apply(&broken), Err(QueryError::Malformed(_))));
}
