//! The commands of a batch. Pure.

use bson::RawDocumentBuf;
use hindsight_oplog::raw::{Doc, DocWriter, Malformed, kind};

use crate::reversion::Reversion;

/// How documents are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// By updates: a change stream shows each document replaced.
    Updates,
    /// By deletes of all documents, followed by inserts: documents may exchange the values of a
    /// unique index, and may have fields that no update takes.
    DeletesAndInserts,
}

/// Returns the command that reads the documents of a batch.
pub(crate) fn find(collection: &str, batch: &[&Reversion]) -> Result<RawDocumentBuf, Malformed> {
    let mut command = DocWriter::new();
    command.string(b"find", collection).open(kind::DOCUMENT, b"filter");
    command.open(kind::DOCUMENT, b"_id").open(kind::ARRAY, b"$in");
    for (place, reversion) in batch.iter().enumerate() {
        let id = Doc::new(&reversion.id)?.first()?.ok_or(Malformed("an empty id"))?;
        command.value(id.kind, place.to_string().as_bytes(), id.value);
    }
    command.close().close().close();
    command.int32(b"batchSize", i32::try_from(batch.len() + 1).unwrap_or(i32::MAX));
    raw(command)
}

/// Returns the commands that write the batch, in order. Each document that is there is touched by
/// one delete or one update, and each document that is not by one insert. The numbers say how many
/// documents each command must find or make.
pub(crate) fn writes(
    collection: &str,
    batch: &[&Reversion],
    means: Means,
) -> Result<Vec<(RawDocumentBuf, usize)>, Malformed> {
    let replaces = |it: &Reversion| it.now.is_some() && it.then.is_some();
    let updates = |it: &Reversion| means == Means::Updates && replaces(it);
    let (mut deleted, mut updated, mut inserted) = (Vec::new(), Vec::new(), Vec::new());
    for &reversion in batch {
        match &reversion.then {
            Some(then) if updates(reversion) => updated.push((reversion, then)),
            then => {
                if reversion.now.is_some() {
                    deleted.push(reversion);
                }
                inserted.extend(then);
            }
        }
    }
    let mut commands = Vec::new();
    if !deleted.is_empty() {
        let mut command = begin("delete", collection, "deletes");
        for (place, reversion) in deleted.iter().enumerate() {
            command.open(kind::DOCUMENT, place.to_string().as_bytes());
            command.doc(b"q", Doc::new(&reversion.id)?).int32(b"limit", 1).close();
        }
        commands.push((end(command)?, deleted.len()));
    }
    if !updated.is_empty() {
        let mut command = begin("update", collection, "updates");
        for (place, (reversion, then)) in updated.iter().enumerate() {
            command.open(kind::DOCUMENT, place.to_string().as_bytes());
            command.doc(b"q", Doc::new(&reversion.id)?).doc(b"u", Doc::new(then)?).close();
        }
        commands.push((end(command)?, updated.len()));
    }
    if !inserted.is_empty() {
        let mut command = begin("insert", collection, "documents");
        for (place, document) in inserted.iter().enumerate() {
            command.doc(place.to_string().as_bytes(), Doc::new(document)?);
        }
        commands.push((end(command)?, inserted.len()));
    }
    Ok(commands)
}

fn begin(name: &str, collection: &str, list: &str) -> DocWriter {
    let mut command = DocWriter::new();
    command.string(name.as_bytes(), collection).open(kind::ARRAY, list.as_bytes());
    command
}

fn end(mut command: DocWriter) -> Result<RawDocumentBuf, Malformed> {
    command.close();
    raw(command)
}

fn raw(command: DocWriter) -> Result<RawDocumentBuf, Malformed> {
    RawDocumentBuf::from_bytes(command.finish()).map_err(|_| Malformed("a command that is no BSON"))
}

#[cfg(test)]
mod tests {
    use bson::{Document, doc};

    use super::*;
    use crate::reversion::tests::reversion;

    fn document(command: &RawDocumentBuf) -> Document {
        Document::try_from(command).expect("BSON")
    }

    #[test]
    fn each_document_is_written_once() {
        let (old, new) = (doc! {"_id": 1, "n": 1}, doc! {"_id": 1, "n": 2});
        let replaced = reversion(1, Some(new), Some(old.clone()));
        let added = reversion(2, Some(doc! {"_id": 2}), None);
        let removed = reversion(3, None, Some(doc! {"_id": 3}));
        let batch = [&replaced, &added, &removed];
        let found = document(&find("orders", &batch).expect("a command"));
        let filter = found.get_document("filter").expect("a filter");
        assert_eq!(filter, &doc! {"_id": {"$in": [1, 2, 3]}});
        let commands = |means| {
            let commands = writes("orders", &batch, means).expect("commands");
            commands.iter().map(|(command, n)| (document(command), *n)).collect::<Vec<_>>()
        };
        let inserts = |documents: Vec<Document>| {
            let n = documents.len();
            (doc! {"insert": "orders", "documents": documents}, n)
        };
        let delete = |id: i32| doc! {"q": {"_id": id}, "limit": 1};
        let expected = [
            (doc! {"delete": "orders", "deletes": [delete(2)]}, 1),
            (doc! {"update": "orders", "updates": [{"q": {"_id": 1}, "u": old.clone()}]}, 1),
            inserts(vec![doc! {"_id": 3}]),
        ];
        assert_eq!(commands(Means::Updates), expected);
        let expected = [
            (doc! {"delete": "orders", "deletes": [delete(1), delete(2)]}, 2),
            inserts(vec![old, doc! {"_id": 3}]),
        ];
        assert_eq!(commands(Means::DeletesAndInserts), expected);
    }
}
