//! Catalog entries as raw BSON: the commands that make them, and whether two of them say the same.

use hindsight_oplog::raw::{self, Doc, DocWriter, Element, Malformed, kind};

/// The document without some of its top-level fields.
pub(super) fn without(doc: Doc<'_>, names: &[&[u8]]) -> Result<Vec<u8>, Malformed> {
    let mut writer = DocWriter::with_capacity(doc.as_bytes().len());
    copy_without(&mut writer, doc, names)?;
    Ok(writer.finish())
}

fn copy_without(writer: &mut DocWriter, doc: Doc<'_>, names: &[&[u8]]) -> Result<(), Malformed> {
    for element in doc.elements() {
        let element = element?;
        if !names.contains(&element.name) {
            writer.element(element);
        }
    }
    Ok(())
}

/// Whether this is the index on `_id` that every collection has (a hashed one is an ordinary index).
pub(super) fn is_id_index(spec: Doc<'_>) -> Result<bool, Malformed> {
    let key = spec.get(b"key")?.and_then(Element::as_doc).ok_or(Malformed("index without key"))?;
    let mut fields = key.elements();
    let first = fields.next().transpose()?.ok_or(Malformed("index with an empty key"))?;
    Ok(first.name == b"_id"
        && first.as_integer() == Some(1)
        && fields.next().is_none()
        && spec.get(b"clustered")?.is_none())
}

/// `create` with the collection's options. What makes it delete documents by itself is set later, and the
/// mark of a temporary collection is no option of the command.
pub(super) fn create_collection(
    name: &str,
    options: Doc<'_>,
    id_index: Option<Doc<'_>>,
) -> Result<Vec<u8>, Malformed> {
    let mut command = DocWriter::new();
    command.string(b"create", name);
    let mut left_out: Vec<&[u8]> = vec![b"expireAfterSeconds", b"temp", b"uuid", b"idIndex"];
    if cap_afterwards(name, options)?.is_some() {
        left_out.extend([b"capped".as_slice(), b"size", b"max"]);
    }
    copy_without(&mut command, options, &left_out)?;
    if let Some(index) = id_index {
        command.doc(b"idIndex", Doc::new(&without(index, &[b"ns"])?)?);
    }
    Ok(command.finish())
}

/// `convertToCapped` for a collection that is clustered and capped: servers refuse to create one (6.0 without
/// test commands), and yet make one of a clustered collection with this command.
pub(super) fn cap_afterwards(name: &str, options: Doc<'_>) -> Result<Option<Vec<u8>>, Malformed> {
    let clustered = options.get(b"clusteredIndex")?.is_some();
    let capped = options.get(b"capped")?.is_some_and(|flag| flag.as_bool() == Some(true));
    let Some(size) = options.get(b"size")?.filter(|_| clustered && capped) else { return Ok(None) };
    let mut command = DocWriter::new();
    command.string(b"convertToCapped", name).element(size);
    Ok(Some(command.finish()))
}

/// More than any collection may hold beyond its bounds while it is loaded.
const ROOM_BYTES: i64 = 1 << 40;

/// A `create` whose capped collection keeps everything it is given.
pub(super) fn with_room(create: Doc<'_>) -> Result<Vec<u8>, Malformed> {
    let mut command = DocWriter::new();
    for element in create.elements() {
        let element = element?;
        match element.name {
            b"max" => {}
            b"size" => {
                let size = element.as_integer().ok_or(Malformed("size is not a number"))?;
                command.int64(b"size", size.saturating_add(ROOM_BYTES));
            }
            _ => {
                command.element(element);
            }
        }
    }
    Ok(command.finish())
}

/// `collMod` that sets a capped collection's bounds. It deletes nothing: the next insert does.
pub(super) fn set_bounds(name: &str, options: Doc<'_>) -> Result<Vec<u8>, Malformed> {
    let mut command = DocWriter::new();
    command.string(b"collMod", name);
    for (option, parameter) in
        [(b"size".as_slice(), b"cappedSize".as_slice()), (b"max", b"cappedMax")]
    {
        if let Some(bound) = options.get(option)? {
            let bound = bound.as_integer().ok_or(Malformed("a bound is not a number"))?;
            command.int64(parameter, bound);
        }
    }
    Ok(command.finish())
}

/// `create` of a time-series over buckets that exist already: it only makes the view.
pub(super) fn create_time_series(name: &str, buckets: Doc<'_>) -> Result<Vec<u8>, Malformed> {
    let mut command = DocWriter::new();
    command.string(b"create", name);
    let time_series = buckets.get(b"timeseries")?;
    command.element(time_series.ok_or(Malformed("buckets without the option timeseries"))?);
    if let Some(collation) = buckets.get(b"collation")? {
        command.element(collation);
    }
    Ok(command.finish())
}

pub(super) fn create_view(name: &str, definition: Doc<'_>) -> Result<Vec<u8>, Malformed> {
    let mut command = DocWriter::new();
    command.string(b"create", name);
    copy_without(&mut command, definition, &[b"_id"])?;
    Ok(command.finish())
}

/// `collMod` that makes the collection's documents expire.
pub(super) fn set_expiry(name: &str, seconds: Element<'_>) -> Vec<u8> {
    let mut command = DocWriter::new();
    command.string(b"collMod", name).element(seconds);
    command.finish()
}

/// `createIndexes` for all of them at once: the collection is scanned once.
pub(super) fn create_indexes(name: &str, specs: &[Vec<u8>]) -> Vec<u8> {
    let mut command = DocWriter::new();
    command.string(b"createIndexes", name).open(kind::ARRAY, b"indexes");
    for (number, spec) in specs.iter().enumerate() {
        command.value(kind::DOCUMENT, number.to_string().as_bytes(), spec);
    }
    command.close();
    command.finish()
}

/// The name of an index; for messages, so never an error.
pub(crate) fn index_name(spec: &[u8]) -> String {
    let name = Doc::new(spec).ok().and_then(|spec| spec.get(b"name").ok().flatten());
    let name = name.and_then(Element::as_string_bytes).unwrap_or(b"(unnamed)");
    String::from_utf8_lossy(name).into_owned()
}

/// Whether two documents of a catalog say the same: the same fields whatever their order, numbers compared by
/// value (`collMod` and `create` may store different widths), everything nested compared byte by byte. Fields
/// in `ignored` are not looked at.
pub(crate) fn same_definition(
    left: Doc<'_>,
    right: Doc<'_>,
    ignored: &[&[u8]],
) -> Result<bool, Malformed> {
    let count = |doc: Doc<'_>| -> Result<usize, Malformed> {
        let mut count = 0;
        for element in doc.elements() {
            count += usize::from(!ignored.contains(&element?.name));
        }
        Ok(count)
    };
    if count(left)? != count(right)? {
        return Ok(false);
    }
    for element in left.elements() {
        let element = element?;
        if ignored.contains(&element.name) {
            continue;
        }
        match right.get(element.name)? {
            Some(other) if same_value(element, other) => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn same_value(left: Element<'_>, right: Element<'_>) -> bool {
    if left.as_bytes() == right.as_bytes() {
        return true;
    }
    if left.name == b"wildcardProjection" {
        return same_projection(left, right).unwrap_or(false);
    }
    matches!((left.as_integer(), right.as_integer()), (Some(a), Some(b)) if a == b)
}

/// 5.0 keeps a wildcard index's projection in its own words: flags for numbers, the default for `_id` written
/// out. The entry of its creation has the user's.
fn same_projection(left: Element<'_>, right: Element<'_>) -> Result<bool, Malformed> {
    let (Some(left), Some(right)) = (left.as_doc(), right.as_doc()) else { return Ok(false) };
    Ok(projection(left)? == projection(right)?)
}

/// The paths taken, or those left out, sorted; nested paths dotted. That `_id` is left out is the default.
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
        let taken = element.as_bool().or(element.as_integer().map(|number| number != 0));
        paths.push((path, taken.ok_or(Malformed("a projection of something else than flags"))?));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};

    use super::*;

    fn same(left: &RawDocumentBuf, right: &RawDocumentBuf) -> bool {
        let (left, right) = (Doc::new(left.as_bytes()), Doc::new(right.as_bytes()));
        let (left, right) = (left.expect("a document"), right.expect("a document"));
        same_definition(left, right, &[b"ns"]).expect("well formed")
    }

    #[test]
    fn wildcard_projections_are_compared_by_meaning() {
        let index = |projection: RawDocumentBuf| rawdoc! { "wildcardProjection": projection };
        let written = index(rawdoc! { "d": 1, "n": { "x": 1 } });
        assert!(same(&written, &index(rawdoc! { "d": true, "n.x": true, "_id": false })));
        assert!(!same(&written, &index(rawdoc! { "d": true, "_id": false })));
        assert!(!same(&written, &index(rawdoc! { "d": false, "n.x": false })));
        assert!(!same(&written, &index(rawdoc! { "d": 1, "n.x": 1, "_id": 1 })));
    }

    #[test]
    fn definitions_are_compared_by_meaning() {
        let spec = rawdoc! { "v": 2, "key": { "a": 1, "b": 1 }, "name": "ab" };
        assert!(same(&spec, &rawdoc! { "name": "ab", "v": 2_i64, "key": { "a": 1, "b": 1 } }));
        assert!(same(
            &spec,
            &rawdoc! { "v": 2, "key": { "a": 1, "b": 1 }, "name": "ab", "ns": "x.y" }
        ));
        assert!(!same(&spec, &rawdoc! { "v": 2, "key": { "b": 1, "a": 1 }, "name": "ab" }));
        assert!(!same(&spec, &rawdoc! { "v": 2, "key": { "a": 1, "b": 1 } }));
        assert!(!same(
            &spec,
            &rawdoc! { "v": 2, "key": { "a": 1, "b": 1 }, "name": "ab", "hidden": true }
        ));
        assert!(!same(&spec, &rawdoc! { "v": 2, "key": { "a": 1, "b": 1 }, "unique": true }));
    }

    #[test]
    fn only_the_ascending_index_on_id_alone_is_the_id_index() {
        let is = |raw: RawDocumentBuf| {
            is_id_index(Doc::new(raw.as_bytes()).expect("a document")).expect("well formed")
        };
        assert!(is(rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" }));
        assert!(is(rawdoc! { "v": 1, "key": { "_id": 1.0 }, "name": "other" }));
        assert!(!is(rawdoc! { "key": { "_id": "hashed" }, "name": "_id_hashed" }));
        assert!(!is(rawdoc! { "key": { "_id": 1, "a": 1 }, "name": "both" }));
        assert!(!is(rawdoc! { "key": { "_id": 1 }, "name": "byid", "clustered": true }));
    }
}
