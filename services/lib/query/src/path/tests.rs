use bson::{Bson, Document, RawDocumentBuf, doc};

use super::*;

/// Returns the values to which a path leads, in order; `None` is a place without a value.
fn values(path: &str, document: &Document, at_array: AtArray) -> Vec<Option<Bson>> {
    let raw = RawDocumentBuf::try_from(document).unwrap();
    let mut values = Vec::new();
    let mut visit = |value: Option<Value<'_>>| {
        values.push(value.map(decoded));
        false
    };
    let doc = Doc::new(raw.as_bytes()).unwrap();
    assert!(!Path::parse(path.as_bytes()).unwrap().any(doc, at_array, &mut visit));
    values
}

fn decoded(value: Value<'_>) -> Bson {
    let mut writer = hindsight_oplog::raw::DocWriter::new();
    writer.value(value.kind, b"v", value.bytes);
    let document = RawDocumentBuf::from_bytes(writer.finish()).unwrap();
    Document::try_from(&document).unwrap().remove("v").unwrap()
}

fn entered(path: &str, document: &Document) -> Vec<Option<Bson>> {
    values(path, document, AtArray::Enter)
}

fn some(values: impl IntoIterator<Item = impl Into<Bson>>) -> Vec<Option<Bson>> {
    values.into_iter().map(|value| Some(value.into())).collect()
}

#[test]
fn a_path_without_arrays_leads_to_one_value_or_to_nothing() {
    let document = doc! {"a": {"b": 1, "": 2}, "c": 3, "": 4};
    assert_eq!(entered("a.b", &document), some([1]));
    assert_eq!(entered("a.", &document), some([2]));
    assert_eq!(entered("", &document), some([4]));
    assert_eq!(entered("a.x", &document), [None]);
    assert_eq!(entered("c.b", &document), [None]);
    assert_eq!(entered("x.b", &document), [None]);
}

#[test]
fn an_array_at_the_end_gives_its_elements_and_then_itself() {
    let document = doc! {"a": [1, [2]]};
    let array = document.get("a").unwrap().clone();
    let inner = Bson::from(vec![2]);
    assert_eq!(entered("a", &document), some([Bson::Int32(1), inner, array.clone()]));
    assert_eq!(entered("a.", &document).len(), 3);
    assert_eq!(values("a", &document, AtArray::Whole), some([array]));
    assert_eq!(entered("a", &doc! {"a": []}), some([Bson::Array(vec![])]));
}

#[test]
fn an_array_on_the_way_is_entered_where_documents_are() {
    let document = doc! {"a": [{"b": 1}, 5, {"c": 1}, [{"b": 2}], {"b": [3]}]};
    let expected = [some([1]), vec![None], some([3]), some([Bson::from(vec![3])])].concat();
    assert_eq!(entered("a.b", &document), expected);
    assert_eq!(entered("a.b", &doc! {"a": []}), []);
    assert_eq!(entered("a.b", &doc! {"a": [1]}), []);
}

#[test]
fn digits_are_a_place_and_a_name() {
    let document = doc! {"a": [{"0": 1, "b": 2}, {"0": 3}]};
    let first = document.get_array("a").unwrap()[0].clone();
    assert_eq!(entered("a.0", &document), some([Bson::Int32(1), first, Bson::Int32(3)]));
    assert_eq!(entered("a.0.b", &document), [vec![None], some([2]), vec![None]].concat());
    assert_eq!(entered("a.00", &document), [None, None]);
    // The element at a place is visited whole. Only by its place is an array in an array entered.
    let nested = doc! {"a": [[1, 2]]};
    assert_eq!(entered("a.0", &nested), some([vec![1, 2]]));
    assert_eq!(entered("a.0.1", &nested), some([2]));
}

#[test]
fn a_path_has_a_bounded_number_of_names() {
    let path = vec!["a"; MOST_NAMES].join(".");
    assert!(Path::parse(path.as_bytes()).is_ok());
    let error = Path::parse(format!("{path}.a").as_bytes()).unwrap_err();
    assert!(error.to_string().contains("more than 180 names"), "{error}");
}

#[test]
fn the_first_true_ends_the_walk() {
    let raw = RawDocumentBuf::try_from(&doc! {"a": [1, 2, 3]}).unwrap();
    let mut visited = 0;
    let mut visit = |_: Option<Value<'_>>| {
        visited += 1;
        visited == 2
    };
    let doc = Doc::new(raw.as_bytes()).unwrap();
    assert!(Path::parse(b"a").unwrap().any(doc, AtArray::Enter, &mut visit));
    assert_eq!(visited, 2);
}
