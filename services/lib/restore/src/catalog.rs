//! Catalog entries as raw BSON: the commands that create them, and the comparison of two entries.

use hindsight_form::{IndexKind, Meaning, kind_of};
use hindsight_oplog::raw::{Doc, DocWriter, Element, Malformed, kind};

/// Returns true for the index on `_id` that every collection has. A hashed index on `_id` is an
/// ordinary index.
pub(super) fn is_id_index(spec: Doc<'_>) -> Result<bool, Malformed> {
    let key = spec.get(b"key")?.and_then(Element::as_doc).ok_or(Malformed("index without key"))?;
    let mut fields = key.elements();
    let first = fields.next().transpose()?.ok_or(Malformed("index with an empty key"))?;
    Ok(first.name == b"_id"
        && first.as_integer() == Some(1)
        && fields.next().is_none()
        && spec.get(b"clustered")?.is_none())
}

/// Builds a `create` with the collection's options. Options that make the collection delete
/// documents by itself are set later, and the mark of a temporary collection is not an option of
/// the command.
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
    // A server takes either autoIndexId or idIndex: with autoIndexId it makes the index itself.
    let makes_id_index = options.get(b"autoIndexId")?.is_some();
    let as_ordered = id_index.is_none_or(|index| is_default_id_index(index).unwrap_or(false));
    if makes_id_index && !as_ordered {
        left_out.push(b"autoIndexId");
    }
    command.copy_without(options, &left_out)?;
    if let Some(index) = id_index.filter(|_| !makes_id_index || !as_ordered) {
        command.open(kind::DOCUMENT, b"idIndex").copy_without(index, &[b"ns"])?.close();
    }
    Ok(command.finish())
}

/// Returns true if a server makes this `_id` index when the command names none. The collation of an
/// `_id` index is always that of the collection.
fn is_default_id_index(index: Doc<'_>) -> Result<bool, Malformed> {
    Ok(index.get(b"v")?.and_then(Element::as_integer) == Some(2))
}

/// Returns the spec that creates an index which is then listed as `spec`.
///
/// A new index without a collation would take that of the collection, which servers refuse for some
/// kinds of index. An index that is listed without a collation has the simple collation (an index
/// of version 1 never has another). A text index that expires documents is listed with a key of two
/// fields, and must be created with a key of one field.
pub(super) fn create_index(options: Doc<'_>, spec: Doc<'_>) -> Result<Vec<u8>, Malformed> {
    let mut made = DocWriter::with_capacity(spec.as_bytes().len() + 64);
    let expires = spec.get(b"expireAfterSeconds")?.is_some();
    let is_text = kind_of(spec)? == IndexKind::Text;
    for element in spec.elements() {
        let element = element?;
        match element.name {
            b"ns" => {}
            b"key" if is_text && expires => write_text_key(&mut made, spec)?,
            _ => drop(made.element(element)),
        }
    }
    let is_old = spec.get(b"v")?.and_then(Element::as_integer) == Some(1);
    if options.get(b"collation")?.is_some() && spec.get(b"collation")?.is_none() && !is_old {
        made.open(kind::DOCUMENT, b"collation").string(b"locale", "simple").close();
    }
    Ok(made.finish())
}

/// Writes the key of a text index with one field. Any of the searched fields will do, because the
/// others come from the weights.
fn write_text_key(made: &mut DocWriter, spec: Doc<'_>) -> Result<(), Malformed> {
    let weights = spec.get(b"weights")?.and_then(Element::as_doc);
    let field = weights.and_then(|weights| weights.first().ok().flatten());
    let field = field.ok_or(Malformed("text index without weights"))?;
    made.open(kind::DOCUMENT, b"key");
    made.value(kind::STRING, field.name, b"\x05\0\0\0text\0").close();
    Ok(())
}

/// Repeats `recordPreImages` in a `collMod`. Some servers (5.0.4, 6.0.5) switch the option off when
/// a `collMod` does not name it.
pub fn keep_pre_images(command: &mut DocWriter, options: Doc<'_>) -> Result<(), Malformed> {
    if let Some(option) = options.get(b"recordPreImages")? {
        command.element(option);
    }
    Ok(())
}

/// Builds a `convertToCapped` for a collection that is both clustered and capped; returns `None`
/// for any other collection. Servers refuse to create such a collection (6.0 without test
/// commands), but convert a clustered collection into a capped one with this command.
pub(super) fn cap_afterwards(name: &str, options: Doc<'_>) -> Result<Option<Vec<u8>>, Malformed> {
    let clustered = options.get(b"clusteredIndex")?.is_some();
    let capped = options.get(b"capped")?.is_some_and(|flag| flag.as_bool() == Some(true));
    let Some(size) = options.get(b"size")?.filter(|_| clustered && capped) else { return Ok(None) };
    let mut command = DocWriter::new();
    command.string(b"convertToCapped", name).element(size);
    Ok(Some(command.finish()))
}

/// Bytes of room for a capped collection while it is loaded: more than any collection may hold
/// beyond its bounds.
const ROOM_BYTES: i64 = 1 << 40;
/// The largest size of a capped collection that a server takes, in bytes.
const MAX_CAPPED_BYTES: i64 = 1 << 50;

/// Changes a `create` so that the capped collection keeps every document that is written to it.
pub(super) fn with_room(create: Doc<'_>) -> Result<Vec<u8>, Malformed> {
    let mut command = DocWriter::new();
    for element in create.elements() {
        let element = element?;
        match element.name {
            b"max" => {}
            b"size" => {
                let size = element.as_integer().ok_or(Malformed("size is not a number"))?;
                command.int64(b"size", size.saturating_add(ROOM_BYTES).min(MAX_CAPPED_BYTES));
            }
            _ => {
                command.element(element);
            }
        }
    }
    Ok(command.finish())
}

/// Builds a `collMod` that sets the bounds of a capped collection. The command deletes nothing; the
/// next insert does.
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
    keep_pre_images(&mut command, options)?;
    Ok(command.finish())
}

/// Builds the `create` of a view from its document in `system.views`.
pub(super) fn create_view(name: &str, definition: Doc<'_>) -> Result<Vec<u8>, Malformed> {
    let mut command = DocWriter::new();
    command.string(b"create", name);
    command.copy_without(definition, &[b"_id"])?;
    Ok(command.finish())
}

/// Builds a `collMod` that makes the collection's documents expire.
pub(super) fn set_expiry(
    name: &str,
    seconds: Element<'_>,
    options: Doc<'_>,
) -> Result<Vec<u8>, Malformed> {
    let mut command = DocWriter::new();
    command.string(b"collMod", name).element(seconds);
    keep_pre_images(&mut command, options)?;
    Ok(command.finish())
}

/// Returns true if two documents of a catalog mean the same: they have the same fields in any
/// order, with numbers compared by value and everything nested compared byte by byte. Fields in
/// `ignored` are not compared.
pub(super) fn same_definition(
    left: Doc<'_>,
    right: Doc<'_>,
    ignored: &[&[u8]],
) -> Result<bool, Malformed> {
    Ok(Meaning::of(left, ignored)? == Meaning::of(right, ignored)?)
}

#[cfg(test)]
mod tests;
