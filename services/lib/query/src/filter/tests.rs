use bson::{Bson, Document, RawDocumentBuf, Regex, bson, doc};
use hindsight_oplog::raw::{DocWriter, kind};

use super::*;
use crate::MAX_DEPTH;

const V6: Series = Series::new(6, 0);

fn parse(filter: &Document) -> Result<Filter, QueryError> {
    Filter::parse(&RawDocumentBuf::try_from(filter).unwrap(), V6)
}

fn matches(filter: &Document, document: &Document) -> bool {
    let document = RawDocumentBuf::try_from(document).unwrap();
    parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}")).matches(&document)
}

/// Checks which documents a filter matches, and which it does not, by the server's rules.
#[track_caller]
fn check(filter: &Document, matching: &[Document], others: &[Document]) {
    for document in matching {
        assert!(matches(filter, document), "{filter} matches {document}");
    }
    for document in others {
        assert!(!matches(filter, document), "{filter} does not match {document}");
    }
}

fn regex(pattern: &str) -> Bson {
    let pattern = pattern.try_into().unwrap();
    Bson::RegularExpression(Regex { pattern, options: "".try_into().unwrap() })
}

#[test]
fn null_is_equal_to_what_is_missing_or_undefined() {
    let undefined = doc! {"a": Bson::Undefined};
    let null = doc! {"a": null};
    for filter in [doc! {"a": null}, doc! {"a": {"$in": [null, 7]}}, doc! {"a": {"$gte": null}}] {
        check(&filter, &[null.clone(), doc! {}, undefined.clone(), doc! {"a": [null]}], &[]);
        check(&filter, &[], &[doc! {"a": 0}, doc! {"a": []}]);
    }
    check(
        &doc! {"a.b": null},
        &[doc! {"a": 1}, doc! {"a": [{}]}, doc! {"a": [{"b": 1}, {"c": 1}]}],
        &[doc! {"a": []}, doc! {"a": [1]}, doc! {"a": [{"b": 1}]}],
    );
    check(&doc! {"a": {"$gt": null}}, &[], &[null, undefined, doc! {}]);
}

/// Returns the numbers of the documents that are found.
fn numbers(filter: &Document, documents: &[Document], version: Series) -> Vec<usize> {
    let filter = RawDocumentBuf::try_from(filter).unwrap();
    let filter = Filter::parse(&filter, version).unwrap();
    let matches =
        |document: &Document| filter.matches(&RawDocumentBuf::try_from(document).unwrap());
    (1..)
        .zip(documents)
        .filter(|(_, document)| matches(document))
        .map(|(number, _)| number)
        .collect()
}

/// Up to 7.0 the expected results are what 4.4.2, 6.0.5 and 7.0.28 answered. Those of 8.0 follow
/// the server's source, those of 9.0 the manual.
#[test]
fn what_null_finds_depends_on_the_version() {
    let documents = [
        doc! {"x": Bson::Undefined},
        doc! {"x": null},
        doc! {},
        doc! {"x": [1]},
        doc! {"x": []},
        doc! {"x": [[{"y": 1}]]},
        doc! {"x": [1, {"y": 2}]},
        doc! {"x": [{"y": 2}, {}]},
        doc! {"x": {"y": 2}},
        doc! {"x": [1, {"y": null}]},
        doc! {"x": 5},
        doc! {"x": [3, Bson::Undefined]},
        doc! {"x": {"y": Bson::Undefined}},
    ];
    let versions = [6, 7, 8, 9].map(|major| Series::new(major, 0));
    let check = |filter: Document, expected: [&[usize]; 4]| {
        for (version, expected) in versions.into_iter().zip(expected) {
            assert_eq!(numbers(&filter, &documents, version), expected, "{filter} {version:?}");
        }
    };
    let (early, late): (&[usize], &[usize]) = (&[1, 2, 3, 12], &[2, 3]);
    for filter in [doc! {"x": null}, doc! {"x": {"$in": [null, 7]}}, doc! {"x": {"$gte": null}}] {
        check(filter, [early, early, late, late]);
    }
    let (early, eight): (&[usize], &[usize]) = (&[4, 5, 6, 7, 9, 12], &[4, 5, 6, 7, 9, 12, 13]);
    check(doc! {"x.y": {"$ne": null}}, [early, early, eight, &[7, 9, 13]]);
    let (early, eight): (&[usize], &[usize]) = (&[1, 2, 3, 8, 10, 11, 13], &[1, 2, 3, 8, 10, 11]);
    let nine: &[usize] = &[1, 2, 3, 4, 5, 6, 8, 10, 11, 12];
    for filter in
        [doc! {"x.y": null}, doc! {"x.y": {"$in": [null]}}, doc! {"x.y": {"$all": [null]}}]
    {
        check(filter, [early, early, eight, nine]);
    }
    // Nothing else depends on the version.
    let exists: &[usize] = &[1, 2, 3, 4, 5, 6, 11, 12];
    check(doc! {"x.y": {"$exists": false}}, [exists; 4]);
    check(doc! {"x.y": {"$gt": null}}, [&[]; 4]);
}

#[test]
fn ranges_stay_within_a_type() {
    let one = [doc! {"a": 2_i64}, doc! {"a": 1.5}, doc! {"a": ["x", 3]}];
    let other = [doc! {"a": "2"}, doc! {"a": true}, doc! {"a": null}, doc! {}];
    check(&doc! {"a": {"$gt": 1}}, &one, &other);
    check(&doc! {"a": {"$gt": Bson::MinKey}}, &[doc! {}, doc! {"a": 1}], &[]);
    check(&doc! {"a": {"$lt": Bson::MaxKey}}, &other, &[doc! {"a": Bson::MaxKey}]);
    let nan = f64::NAN;
    check(&doc! {"a": {"$lte": nan}}, &[doc! {"a": nan}], &[doc! {"a": 1}]);
    check(&doc! {"a": {"$lt": 1}}, &[doc! {"a": 0}], &[doc! {"a": nan}]);
    check(&doc! {"a": nan}, &[doc! {"a": nan}], &[doc! {"a": 1}]);
}

#[test]
fn an_array_matches_whole_and_by_its_elements() {
    let filter = doc! {"a": [1]};
    check(&filter, &[doc! {"a": [1]}, doc! {"a": [[1], 2]}], &[doc! {"a": 1}, doc! {"a": [[[1]]]}]);
    check(&doc! {"a": {"$gt": 1, "$lt": 3}}, &[doc! {"a": [0, 5]}], &[doc! {"a": [4]}]);
}

#[test]
fn size_and_elem_match_take_an_array_whole() {
    check(&doc! {"a": {"$size": 2.0}}, &[doc! {"a": [[1], 2]}], &[doc! {"a": [[1, 2]]}, doc! {}]);
    let within = doc! {"a": {"$elemMatch": {"$gt": 1, "$lt": 3}}};
    check(&within, &[doc! {"a": [0, 2]}], &[doc! {"a": [0, 5]}, doc! {"a": 2}]);
    let query = doc! {"a": {"$elemMatch": {"b": 1, "c": 2}}};
    check(&query, &[doc! {"a": [{"b": 1, "c": 2}]}], &[doc! {"a": [{"b": 1}, {"c": 2}]}]);
    check(&doc! {"a": {"$elemMatch": {"0": 1}}}, &[doc! {"a": [[1]]}], &[doc! {"a": [1]}]);
    check(&doc! {"a": {"$elemMatch": {"$exists": true}}}, &[doc! {"a": [1]}], &[doc! {"a": []}]);
}

#[test]
fn all_wants_every_value() {
    check(&doc! {"a": {"$all": [1, 2]}}, &[doc! {"a": [2, 1]}], &[doc! {"a": [1]}, doc! {"a": 1}]);
    check(&doc! {"a": {"$all": [[1]]}}, &[doc! {"a": [1]}, doc! {"a": [[1]]}], &[]);
    check(&doc! {"a": {"$all": []}}, &[], &[doc! {"a": []}, doc! {}]);
    let each = doc! {"a": {"$all": [{"$elemMatch": {"b": 1}}, {"$elemMatch": {"b": 2}}]}};
    check(&each, &[doc! {"a": [{"b": 1}, {"b": 2}]}], &[doc! {"a": [{"b": 1}]}]);
    check(&doc! {"a": {"$all": [regex("x"), "y"]}}, &[doc! {"a": ["ax", "y"]}], &[doc! {"a": "x"}]);
}

#[test]
fn types_by_name_number_and_list() {
    check(&doc! {"a": {"$type": "number"}}, &[doc! {"a": 1}, doc! {"a": [1.5]}], &[doc! {"a": ""}]);
    check(&doc! {"a": {"$type": "array"}}, &[doc! {"a": []}], &[doc! {"a": {}}]);
    check(&doc! {"a": {"$type": [-1, 127.0]}}, &[doc! {"a": Bson::MinKey}], &[doc! {}]);
}

#[test]
fn modulo_cuts_both_sides() {
    let one = [doc! {"a": 5}, doc! {"a": 5.9}, doc! {"a": 1_i64}];
    let other = [doc! {"a": f64::NAN}, doc! {"a": 1e300}, doc! {"a": "5"}, doc! {"a": 4}];
    check(&doc! {"a": {"$mod": [4.7, 1.2]}}, &one, &other);
    check(&doc! {"a": {"$mod": [-1, 0]}}, &[doc! {"a": i64::MIN}], &[]);
    check(&doc! {"a": {"$mod": [4, -1]}}, &[doc! {"a": -5}], &[doc! {"a": 3}]);
}

#[test]
fn patterns_match_text_and_a_stored_pattern() {
    for filter in [doc! {"a": regex("^b")}, doc! {"a": {"$in": [regex("^b"), 5]}}] {
        let one = [doc! {"a": "bc"}, doc! {"a": Bson::Symbol("b".into())}, doc! {"a": regex("^b")}];
        check(&filter, &one, &[doc! {"a": "ab"}, doc! {"a": regex("^c")}]);
    }
    check(&doc! {"a": {"$eq": regex("^b")}}, &[doc! {"a": regex("^b")}], &[doc! {"a": "b"}]);
    check(&doc! {"a": {"$options": "i", "$regex": "B"}}, &[doc! {"a": "b"}], &[doc! {"a": "a"}]);
    check(&doc! {"a": {"$not": regex("b")}}, &[doc! {"a": 1}, doc! {}], &[doc! {"a": ["b", "c"]}]);
}

#[test]
fn a_reference_is_a_value() {
    let reference = doc! {"$ref": "x", "$id": 1};
    check(&doc! {"a": &reference}, &[doc! {"a": &reference}], &[doc! {"a": {"$ref": "x"}}]);
    check(&doc! {"a": {"$elemMatch": {"$id": 1}}}, &[doc! {"a": [&reference]}], &[]);
    check(&doc! {"a.$id": 1}, &[doc! {"a": &reference}], &[]);
}

#[test]
fn exists_goes_by_what_is_true() {
    for truth in [bson!(1), bson!("")] {
        check(&doc! {"a": {"$exists": truth}}, &[doc! {"a": null}, doc! {"a": []}], &[doc! {}]);
    }
    for lie in [bson!(0.0), bson!(null)] {
        check(&doc! {"a": {"$exists": lie}}, &[doc! {}], &[doc! {"a": null}]);
    }
    check(&doc! {"a.b": {"$exists": false}}, &[doc! {"a": [1]}], &[doc! {"a": [{"b": 1}, {}]}]);
}

#[test]
fn what_the_server_refuses_is_refused() {
    let on_a_field = [
        doc! {"$foo": 1},
        doc! {"$gt": 1, "b": 2},
        doc! {"$eq": Bson::Undefined},
        doc! {"$gt": regex("x")},
        doc! {"$ne": regex("x")},
        doc! {"$in": 1},
        doc! {"$in": [{"$gt": 1}]},
        doc! {"$nin": [Bson::Undefined]},
        doc! {"$not": {}},
        doc! {"$not": 1},
        doc! {"$size": 1.5},
        doc! {"$size": -1},
        doc! {"$size": 2_147_483_648_i64},
        doc! {"$type": 0},
        doc! {"$type": 255},
        doc! {"$type": "missing"},
        doc! {"$type": []},
        doc! {"$type": true},
        doc! {"$mod": [2]},
        doc! {"$mod": [2, 1, 1]},
        doc! {"$mod": [0.5, 1]},
        doc! {"$mod": [f64::NAN, 1]},
        doc! {"$mod": [2, "x"]},
        doc! {"$all": 1},
        doc! {"$all": [{"$gt": 1}]},
        doc! {"$all": [{"$elemMatch": {}}, 1]},
        doc! {"$elemMatch": []},
        doc! {"$elemMatch": {"$gt": 1, "b": 1}},
        doc! {"$elemMatch": {"b": 1, "$gt": 1}},
        doc! {"$regex": 1},
        doc! {"$regex": "("},
        doc! {"$regex": "a", "$options": "g"},
        doc! {"$options": "i"},
        doc! {"$ref": 1},
    ];
    let whole = [doc! {"$foo": 1}, doc! {"$and": []}, doc! {"$or": [1]}, doc! {"$not": {"a": 1}}];
    let on_a_field = on_a_field.into_iter().map(|condition| doc! {"a": condition});
    for filter in on_a_field.chain(whole) {
        let error = parse(&filter).expect_err(&filter.to_string());
        assert!(matches!(error, QueryError::Invalid(_)), "{filter}: {error}");
    }
}

#[test]
fn what_is_not_supported_is_named() {
    let refused = [
        (doc! {"$expr": true}, "$expr"),
        (doc! {"$where": "1"}, "$where"),
        (doc! {"$or": [{"$text": {"$search": "x"}}]}, "$text"),
        (doc! {"a": {"$elemMatch": {"$jsonSchema": {}}}}, "$jsonSchema"),
        (doc! {"a": {"$bitsAllSet": 1}}, "$bitsAllSet"),
        (doc! {"a": {"$not": {"$geoWithin": {}}}}, "$geoWithin"),
    ];
    for (filter, name) in refused {
        let error = parse(&filter).unwrap_err();
        assert_eq!(error, QueryError::Unsupported(format!("\"{name}\"")), "{filter}");
    }
}

#[test]
fn nesting_is_bounded_as_on_the_server() {
    let nested = |levels| (1..levels).fold(doc! {"$gt": 1}, |inner, _| doc! {"$not": inner});
    // The filter itself is one level.
    assert!(parse(&doc! {"a": nested(MAX_DEPTH - 1)}).is_ok());
    assert!(parse(&doc! {"a": nested(MAX_DEPTH)}).is_err());
}

/// A filter of repeated names takes no more than time linear in its size.
#[test]
fn names_may_be_repeated() {
    let mut writer = DocWriter::new();
    writer.open(kind::DOCUMENT, b"a");
    for _ in 0..200_000 {
        writer.string(b"$regex", "x").string(b"$options", "");
    }
    writer.close();
    let filter = RawDocumentBuf::from_bytes(writer.finish()).unwrap();
    let filter = Filter::parse(&filter, V6).unwrap();
    assert!(filter.matches(&RawDocumentBuf::try_from(&doc! {"a": "x"}).unwrap()));
}

#[test]
fn bytes_that_are_no_bson_are_no_danger() {
    let source = doc! {"a": {"$elemMatch": {"b": [regex("x"), {"c": "text"}], "d": 1.5}}, "e": 1};
    let source = RawDocumentBuf::try_from(&source).unwrap().into_bytes();
    let any = parse(&doc! {"a.b.c": {"$ne": "x"}}).unwrap();
    for at in 4..source.len() - 1 {
        for bit in 0..8 {
            let mut broken = source.clone();
            broken[at] ^= 1 << bit;
            let broken = RawDocumentBuf::from_bytes(broken).unwrap();
            any.matches(&broken);
            if let Ok(filter) = Filter::parse(&broken, V6) {
                filter.matches(&broken);
            }
        }
    }
}

#[test]
fn a_collation_matters_where_strings_are_compared() {
    let symbol = Bson::Symbol("x".into());
    for filter in [
        doc! {"a": "x"},
        doc! {"a": symbol},
        doc! {"a": {"b": ["x"]}},
        doc! {"a": {"$gte": "x"}},
        doc! {"a": {"$ne": "x"}},
        doc! {"a": {"$in": [1, "x"]}},
        doc! {"a": {"$nin": [{"b": "x"}]}},
        doc! {"a": {"$all": [1, "x"]}},
        doc! {"a": {"$not": {"$lt": "x"}}},
        doc! {"a": {"$elemMatch": {"$gt": 1, "$lt": "x"}}},
        doc! {"a": {"$elemMatch": {"b": 1, "c": "x"}}},
        doc! {"a": 1, "$or": [{"b": 1}, {"$nor": [{"c": "x"}]}]},
    ] {
        assert!(parse(&filter).unwrap().compares_strings(), "{filter}");
    }
    let code = Bson::JavaScriptCode("x".into());
    for filter in [
        doc! {},
        doc! {"a": 1, "b": null, "$comment": "x"},
        doc! {"a": code},
        doc! {"a": regex("x")},
        doc! {"a": {"$regex": "x", "$options": "i"}},
        doc! {"a": {"$in": [regex("x"), 1]}},
        doc! {"a": {"$all": [regex("x")]}},
        doc! {"a": {"$not": regex("x")}},
        doc! {"a": {"$type": "string", "$exists": true, "$size": 1}},
        doc! {"a": {"$elemMatch": {"b": {"$gt": 1}, "c": regex("x")}}},
        doc! {"a": {"$gt": Bson::MinKey, "$lte": {"b": [2]}, "$mod": [2, 1]}},
    ] {
        assert!(!parse(&filter).unwrap().compares_strings(), "{filter}");
    }
}
