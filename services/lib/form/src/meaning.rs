//! What a definition means, whatever words it uses.

use std::collections::BTreeMap;

use hindsight_oplog::raw::{self, Doc, Element, Malformed, kind};

use super::index::{IndexKind, kind_of, repaired};

/// The fields of a definition by name, each with its meaning. Two definitions with equal meaning
/// make the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning(BTreeMap<Vec<u8>, Value>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// A number that is an integer, whatever its type: `collMod` and `create` may store different
    /// widths.
    Integer(i64),
    /// The paths that are included or left out.
    Projection(Vec<(Vec<u8>, bool)>),
    /// The fields of `timeseries`, whose order is up to the server: 7.0.28 lists the two spans in
    /// its own order, after `collMod` too.
    Fields(BTreeMap<Vec<u8>, Value>),
    /// Everything else, byte by byte, including nested documents.
    Bytes(u8, Vec<u8>),
}

impl Meaning {
    /// Returns the meaning of any document of a catalog, without the fields in `ignored`.
    ///
    /// # Errors
    /// Returns [`Malformed`] when the document is not BSON.
    pub fn of(doc: Doc<'_>, ignored: &[&[u8]]) -> Result<Self, Malformed> {
        Self::of_fields(doc, |element| ignored.contains(&element.name))
    }

    /// Returns the meaning of an index spec. Flags that are off, simple collation and options for
    /// another kind of index are ignored.
    ///
    /// # Errors
    /// Returns [`Malformed`] when the spec is not BSON, or holds no key.
    pub fn of_index(spec: Doc<'_>) -> Result<Self, Malformed> {
        let index_kind = kind_of(spec)?;
        let repaired = repaired(spec)?;
        Self::of_fields(Doc::new(&repaired)?, |element| {
            element.as_bool() == Some(false)
                || is_simple_collation(element)
                || is_foreign(&index_kind, element.name)
        })
    }

    /// Returns the meaning of the options of a collection. The UUID is ignored, because the server
    /// chooses it. The mark of a temporary collection is ignored, because making the collection
    /// reports whether the mark could be set. `autoIndexId` is ignored unless it is false, because
    /// an `_id` index needs no option.
    ///
    /// # Errors
    /// Returns [`Malformed`] when the options are not BSON.
    pub fn of_options(options: Doc<'_>) -> Result<Self, Malformed> {
        Self::of_fields(options, |element| match element.name {
            b"uuid" | b"temp" => true,
            b"autoIndexId" => element.as_bool() != Some(false),
            b"capped" | b"recordPreImages" => element.as_bool() == Some(false),
            _ => is_simple_collation(element),
        })
    }

    fn of_fields(
        doc: Doc<'_>,
        says_nothing: impl Fn(Element<'_>) -> bool,
    ) -> Result<Self, Malformed> {
        let mut fields = BTreeMap::new();
        for element in doc.elements() {
            let element = element?;
            if !says_nothing(element) {
                fields.insert(element.name.to_vec(), Value::of(element));
            }
        }
        Ok(Self(fields))
    }

    /// Returns the names of the fields in which two definitions differ, as one text; `None` if they
    /// mean the same.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let names = self.differing(other);
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// Returns the names of the fields in which two definitions differ.
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let names = self.0.keys().chain(other.0.keys().filter(|name| !self.0.contains_key(*name)));
        let differing = names.filter(|name| self.0.get(*name) != other.0.get(*name));
        differing.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }
}

impl Value {
    fn of(element: Element<'_>) -> Self {
        let bytes = || Value::Bytes(element.kind, element.value.to_vec());
        if element.name == b"wildcardProjection" {
            let paths = element.as_doc().and_then(|doc| projection(doc).ok());
            return paths.map_or_else(bytes, Value::Projection);
        }
        if element.name == b"timeseries" {
            let fields = element.as_doc().and_then(|doc| Meaning::of(doc, &[]).ok());
            return fields.map_or_else(bytes, |Meaning(fields)| Value::Fields(fields));
        }
        element.as_integer().map_or_else(bytes, Value::Integer)
    }
}

/// Returns whether a field only says what holds without it: that strings are compared by their
/// bytes. Servers leave the field out until 8.x.
pub fn is_simple_collation(element: Element<'_>) -> bool {
    let locale = || element.as_doc()?.get(b"locale").ok().flatten()?.as_string_bytes();
    element.name == b"collation" && locale() == Some(b"simple")
}

/// Returns whether an option belongs to another kind of index, and so does nothing. 4.4 to 6.0.5
/// still list some of these options, 6.0.27 and 7.0 leave them out, and others are refused from 5.0
/// on.
pub fn is_foreign(index_kind: &IndexKind, option: &[u8]) -> bool {
    match option {
        b"bits" | b"min" | b"max" => !matches!(index_kind, IndexKind::Plane | IndexKind::Haystack),
        b"weights" | b"textIndexVersion" => *index_kind != IndexKind::Text,
        b"2dsphereIndexVersion" | b"coarsestIndexedLevel" | b"finestIndexedLevel" => {
            *index_kind != IndexKind::Sphere
        }
        b"bucketSize" => *index_kind != IndexKind::Haystack,
        _ => false,
    }
}

/// Returns the included or excluded paths, sorted, with dots in nested paths. An excluded `_id` is
/// the default, and is left out. 5.0 keeps the projection of a wildcard index in its own words:
/// flags for numbers, and the default for `_id` written out.
fn projection(doc: Doc<'_>) -> Result<Vec<(Vec<u8>, bool)>, Malformed> {
    let mut paths = Vec::new();
    add_paths(doc, &[], raw::MAX_DEPTH, &mut paths)?;
    paths.retain(|(path, taken)| *taken || path != b"_id");
    paths.sort();
    Ok(paths)
}

fn add_paths(
    doc: Doc<'_>,
    prefix: &[u8],
    depth_left: usize,
    paths: &mut Vec<(Vec<u8>, bool)>,
) -> Result<(), Malformed> {
    for element in doc.elements() {
        let element = element?;
        let path = [prefix, element.name].concat();
        if let Some(nested) = element.as_doc().filter(|_| depth_left > 0) {
            add_paths(nested, &[path.as_slice(), b"."].concat(), depth_left - 1, paths)?;
            continue;
        }
        if element.kind != kind::BOOL && super::number::as_f64(element).is_none() {
            return Err(Malformed("a projection of something else than flags"));
        }
        paths.push((path, super::number::is_true(element)));
    }
    Ok(())
}
