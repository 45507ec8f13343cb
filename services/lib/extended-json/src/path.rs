//! Values at dotted paths.

use hindsight_oplog::raw::{Doc, kind};

use crate::{Notation, Value};

/// Returns the values at a dotted path, in the order of the document: several when a field comes
/// twice. Elements of arrays are named by their index. Names are compared as they are shown. A name
/// that contains dots may match several parts of the path.
pub fn at_path<'a>(document: Doc<'a>, path: &str, notation: Notation) -> Vec<Value<'a>> {
    let mut found = Vec::new();
    find(document, false, path, notation, &mut found);
    found
}

fn find<'a>(
    document: Doc<'a>,
    is_array: bool,
    path: &str,
    notation: Notation,
    found: &mut Vec<Value<'a>>,
) {
    for (number, element) in document.elements().map_while(Result::ok).enumerate() {
        let name = match is_array {
            true => number.to_string().into(),
            false => String::from_utf8_lossy(element.name),
        };
        let Some(rest) = path.strip_prefix(&*name) else { continue };
        if rest.is_empty() {
            found.push(Value::of(element, notation));
        } else if let Some(rest) = rest.strip_prefix('.')
            && let Some(inner) = element.as_doc().or_else(|| element.as_array())
        {
            find(inner, element.kind == kind::ARRAY, rest, notation, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use bson::{Document, doc};
    use hindsight_oplog::raw::DocWriter;

    use super::*;

    fn texts(document: &[u8], path: &str) -> Vec<String> {
        let document = Doc::new(document).expect("BSON");
        let found = at_path(document, path, Notation::Relaxed);
        found.iter().map(|it| serde_json::to_string(it).expect("JSON")).collect()
    }

    #[test]
    fn a_path_leads_through_documents_and_arrays() {
        let document: Document = doc! {"a": [{"b": 1}, 2], "c": {"d": "x", "e.f": {"g": 3}}};
        let document = document.to_vec().expect("BSON");
        let found = |path| texts(&document, path).join(", ");
        assert_eq!(
            ["a.0.b", "a.1", "c.d", "c.e.f.g", "c.e", "a.x", "a.0.b.c"].map(found),
            ["1", "2", "\"x\"", "3", "", "", ""]
        );
    }

    #[test]
    fn a_name_that_comes_twice_has_two_values() {
        let mut writer = DocWriter::new();
        writer.int32(b"a", 1).open(kind::DOCUMENT, b"b").int32(b"c", 2).close().int32(b"a", 3);
        writer.open(kind::DOCUMENT, b"b").int32(b"c", 4).close();
        let document = writer.finish();
        assert_eq!(texts(&document, "a"), ["1", "3"]);
        assert_eq!(texts(&document, "b.c"), ["2", "4"]);
    }
}
