//! Fills `insert` commands with documents, byte for byte as they are.
//!
//! The documents are written into the command directly, because the driver's own `insert_many`
//! re-encodes each document, decodes its `_id` (which fails on invalid UTF-8), and adds an `_id`
//! where there is none.

use bson::RawDocumentBuf;
use hindsight_oplog::raw::{Doc, DocWriter, Element, Malformed, kind};

use super::documents::{Passage, display_id, passage, write_repair};
use super::time_series::RAW_DATA;

/// Documents of one collection, in the form in which a server takes them: a full `insert`, and the
/// update that must follow it, if any.
#[derive(Debug)]
pub struct Batch {
    /// The `insert`, for the database of the collection.
    pub insert: RawDocumentBuf,
    /// The update that puts back what the insert changes.
    pub repair: Option<RawDocumentBuf>,
    /// `insert` is not an insert but an `applyOps` of one document, for the database `admin`.
    pub verbatim: bool,
    pub(super) documents: u64,
    /// Bytes of the documents alone, without the command around them.
    pub(super) bytes: u64,
}

impl Batch {
    /// Makes a batch of one document that an insert would change or refuse.
    pub(super) fn verbatim(namespace: &str, document: &[u8]) -> Self {
        let mut command = DocWriter::with_capacity(document.len() + FRAME);
        command.open(kind::ARRAY, b"applyOps").open(kind::DOCUMENT, b"0");
        command.string(b"op", "i").string(b"ns", namespace);
        command.value(kind::DOCUMENT, b"o", document).close().close();
        // In an atomic applyOps, the server would move the _id to the front (up to 6.0).
        command.value(kind::BOOL, b"allowAtomic", &[0]);
        command.value(kind::BOOL, b"bypassDocumentValidation", &[1]);
        command.open(kind::DOCUMENT, b"writeConcern").int32(b"w", 1).close();
        let insert = RawDocumentBuf::from_bytes(command.finish());
        Self {
            insert: insert.expect("DocWriter frames what it writes"),
            repair: None,
            verbatim: true,
            documents: 1,
            bytes: document.len() as u64,
        }
    }

    /// Returns the documents in their order, each as its raw bytes.
    pub fn documents(&self) -> impl Iterator<Item = &[u8]> {
        let array: &[u8] = if self.verbatim { b"applyOps" } else { b"documents" };
        let elements = Doc::new(self.insert.as_bytes()).and_then(|command| command.get(array));
        let array = elements.ok().flatten().and_then(Element::as_array).unwrap_or(Doc::EMPTY);
        array.elements().filter_map(|element| {
            let element = element.ok()?;
            if !self.verbatim {
                return Some(element.value);
            }
            Some(element.as_doc()?.get(b"o").ok()??.value)
        })
    }
}

/// Why a document cannot be put into a batch.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is not BSON.
    Malformed(Malformed),
    /// The document needs a batch to itself, for this reason.
    Verbatim(&'static str),
    /// No command stores the document as it is.
    Impossible {
        /// Its `_id`, for messages.
        id: String,
        /// Why not.
        reason: &'static str,
    },
}

/// Collects the documents of one collection into batches.
#[derive(Debug)]
pub struct BatchBuilder {
    collection: String,
    ordered: bool,
    raw_data: bool,
    limit_bytes: usize,
    limit_documents: usize,
    insert: DocWriter,
    repair: Option<DocWriter>,
    repairs: u64,
    documents: usize,
    bytes: usize,
    digits: Vec<u8>,
}

/// Bytes reserved for the command around the documents: a namespace takes at most 255 bytes, and
/// the rest is fixed.
const FRAME: usize = 512;
/// Bytes that each element of an array takes besides its document: a type byte, at most five
/// digits, and a terminator.
const PER_DOCUMENT: usize = 7;

impl BatchBuilder {
    /// Begins the first batch of a collection, which is named without its database. A batch has at
    /// most `limit_bytes` and `limit_documents`, or one larger document.
    pub fn new(
        collection: &str,
        ordered: bool,
        limit_bytes: usize,
        limit_documents: usize,
    ) -> Self {
        Self {
            collection: collection.to_owned(),
            ordered,
            raw_data: false,
            limit_bytes,
            limit_documents,
            insert: begin("insert", collection, ordered, b"documents", limit_bytes.min(64 << 10)),
            repair: None,
            repairs: 0,
            documents: 0,
            bytes: 0,
            digits: Vec::with_capacity(8),
        }
    }

    /// Declares that the documents are buckets of a time-series that has no view. Such a collection
    /// expects measurements unless the command says otherwise.
    pub fn of_buckets(mut self) -> Self {
        self.raw_data = true;
        self
    }

    /// Adds a document. When the document no longer fits into the current batch, returns that batch
    /// and begins a new one with the document.
    ///
    /// # Errors
    /// Returns an error when no `insert` stores the document as it is.
    pub fn add(&mut self, document: &[u8]) -> Result<Option<Batch>, Unfit> {
        let passage = passage(document).map_err(Unfit::Malformed)?;
        match passage {
            Passage::AsItIs | Passage::Repaired => {}
            Passage::Verbatim(reason) => return Err(Unfit::Verbatim(reason)),
            Passage::Impossible(reason) => {
                return Err(Unfit::Impossible { id: display_id(document), reason });
            }
        }
        let full = self.documents > 0
            && (self.bytes + document.len() + PER_DOCUMENT * (self.documents + 1)
                > self.limit_bytes
                || self.documents == self.limit_documents);
        let batch = if full { self.take() } else { None };
        write_number(&mut self.digits, self.documents as u64);
        self.insert.value(kind::DOCUMENT, &self.digits, document);
        self.documents += 1;
        self.bytes += document.len();
        if passage == Passage::Repaired {
            self.add_repair(document).map_err(Unfit::Malformed)?;
        }
        Ok(batch)
    }

    /// Returns what has been added since the last batch, or `None` if nothing has.
    pub fn take(&mut self) -> Option<Batch> {
        if self.documents == 0 {
            return None;
        }
        let capacity = self.bytes + PER_DOCUMENT * self.documents + FRAME;
        let fresh = begin("insert", &self.collection, self.ordered, b"documents", capacity);
        let insert = std::mem::replace(&mut self.insert, fresh);
        let batch = Batch {
            insert: finish(insert, self.raw_data),
            repair: self.repair.take().map(|repair| finish(repair, self.raw_data)),
            verbatim: false,
            documents: self.documents as u64,
            bytes: self.bytes as u64,
        };
        (self.documents, self.bytes, self.repairs) = (0, 0, 0);
        Some(batch)
    }

    fn add_repair(&mut self, document: &[u8]) -> Result<(), Malformed> {
        let id = Doc::new(document)?.get(b"_id")?.ok_or(Malformed("document without _id"))?;
        let new = || begin("update", &self.collection, true, b"updates", document.len() + FRAME);
        let command = self.repair.get_or_insert_with(new);
        write_number(&mut self.digits, self.repairs);
        write_repair(command, &self.digits, id, document);
        self.repairs += 1;
        Ok(())
    }
}

/// Begins a write command. The primary alone acknowledges it, whatever the deployment's default
/// write concern is, because the barrier after the last batch waits for the majority once.
fn begin(verb: &str, collection: &str, ordered: bool, array: &[u8], capacity: usize) -> DocWriter {
    let mut command = DocWriter::with_capacity(capacity);
    command
        .string(verb.as_bytes(), collection)
        .value(kind::BOOL, b"ordered", &[u8::from(ordered)])
        .value(kind::BOOL, b"bypassDocumentValidation", &[1])
        .open(kind::DOCUMENT, b"writeConcern")
        .int32(b"w", 1)
        .close()
        .open(kind::ARRAY, array);
    command
}

fn finish(mut command: DocWriter, raw_data: bool) -> RawDocumentBuf {
    command.close();
    if raw_data {
        command.value(kind::BOOL, RAW_DATA, &[1]);
    }
    RawDocumentBuf::from_bytes(command.finish()).expect("DocWriter frames what it writes")
}

/// Writes the decimal digits of an array index, without allocating.
fn write_number(digits: &mut Vec<u8>, number: u64) {
    use std::io::Write;
    digits.clear();
    write!(digits, "{number}").expect("a Vec takes every write");
}

#[cfg(test)]
mod tests {
    use bson::{RawDocument, Timestamp, rawdoc};

    use super::*;

    fn documents(batch: &Batch) -> Vec<Vec<u8>> {
        let raw: &RawDocument = &batch.insert;
        let array = raw.get_array("documents").expect("an array");
        let bytes = |value: bson::RawBsonRef<'_>| {
            value.as_document().expect("a document").as_bytes().to_vec()
        };
        array.into_iter().map(|value| bytes(value.expect("well formed"))).collect()
    }

    #[test]
    fn documents_pass_unchanged_and_batches_keep_to_their_limits() {
        let all: Vec<_> = (0..25)
            .map(|number| rawdoc! { "_id": number, "text": "x".repeat(100) }.into_bytes())
            .collect();
        let limit = 4 * (all[0].len() + PER_DOCUMENT);
        let mut builder = BatchBuilder::new("things", false, limit, 100);
        let mut batches = Vec::new();
        for document in &all {
            batches.extend(builder.add(document).expect("fits"));
        }
        batches.extend(builder.take());
        assert!(builder.take().is_none());
        let sizes: Vec<_> = batches.iter().map(|batch| batch.documents).collect();
        assert_eq!(sizes, [4, 4, 4, 4, 4, 4, 1]);
        assert_eq!(batches.iter().flat_map(documents).collect::<Vec<_>>(), all);
        assert_eq!(batches[1].documents().collect::<Vec<_>>(), all[4..8]);
        assert!(batches[0].insert.as_bytes().len() <= limit + FRAME);
        let raw: &RawDocument = &batches[0].insert;
        assert_eq!(raw.get_str("insert").ok(), Some("things"));
        assert_eq!(raw.get_bool("ordered").ok(), Some(false));
    }

    #[test]
    fn the_number_of_documents_is_limited_too() {
        let mut builder = BatchBuilder::new("things", true, 1 << 20, 2);
        let add = |builder: &mut BatchBuilder, id: i32| {
            builder
                .add(rawdoc! { "_id": id }.as_bytes())
                .expect("fits")
                .map(|batch| batch.documents)
        };
        let taken: Vec<_> = (0..5).map(|id| add(&mut builder, id)).collect();
        assert_eq!(taken, [None, None, Some(2), None, Some(2)]);
    }

    #[test]
    fn a_document_larger_than_the_limit_goes_alone() {
        let mut builder = BatchBuilder::new("things", false, 1000, 100);
        let small = rawdoc! { "_id": 1 };
        let large = rawdoc! { "_id": 2, "text": "x".repeat(5000) };
        assert!(builder.add(small.as_bytes()).expect("fits").is_none());
        let first = builder.add(large.as_bytes()).expect("fits").expect("the small one goes first");
        let second = builder.add(small.as_bytes()).expect("fits").expect("then the large one");
        assert_eq!((first.documents, second.documents), (1, 1));
        assert_eq!(second.bytes, large.as_bytes().len() as u64);
    }

    #[test]
    fn zero_timestamps_are_put_back_by_an_update_of_the_same_batch() {
        let zero = Timestamp { time: 0, increment: 0 };
        let mut builder = BatchBuilder::new("things", false, 1 << 20, 100);
        let document = rawdoc! { "_id": 5, "t": zero };
        builder.add(rawdoc! { "_id": 4 }.as_bytes()).expect("fits");
        builder.add(document.as_bytes()).expect("fits");
        let repair = builder.take().and_then(|batch| batch.repair).expect("one document needs it");
        let expected = rawdoc! {
            "update": "things", "ordered": true, "bypassDocumentValidation": true,
            "writeConcern": { "w": 1 },
            "updates": [{
                "q": { "_id": { "$eq": 5 } },
                "u": [{ "$replaceWith": { "$literal": { "_id": 5, "t": zero } } }],
            }],
        };
        assert_eq!(repair, expected);
        builder.add(rawdoc! { "_id": 6 }.as_bytes()).expect("fits");
        assert!(
            builder.take().expect("a batch").repair.is_none(),
            "repairs do not outlive a batch"
        );
    }

    #[test]
    fn buckets_without_a_view_are_marked_as_such() {
        let mut builder = BatchBuilder::new("weather", false, 1 << 20, 100).of_buckets();
        for _ in 0..2 {
            builder.add(rawdoc! { "_id": 1 }.as_bytes()).expect("fits");
            let raw = builder.take().expect("a batch").insert;
            assert_eq!(raw.get_bool("rawData").ok(), Some(true));
        }
    }

    #[test]
    fn what_an_insert_would_rewrite_goes_another_way() {
        let mut builder = BatchBuilder::new("things", false, 1 << 20, 100);
        let late = rawdoc! { "a": 1, "_id": 9 };
        let unfit = builder.add(late.as_bytes()).expect_err("late _id");
        assert_eq!(unfit, Unfit::Verbatim("its _id is not its first field"));
        let batch = Batch::verbatim("shop.things", late.as_bytes());
        assert_eq!(batch.documents().collect::<Vec<_>>(), [late.as_bytes()]);
        let expected = rawdoc! {
            "applyOps": [{ "op": "i", "ns": "shop.things", "o": late }],
            "allowAtomic": false, "bypassDocumentValidation": true, "writeConcern": { "w": 1 },
        };
        assert_eq!((batch.insert, batch.documents, batch.bytes), (expected, 1, 21));
        let unfit = builder.add(rawdoc! { "a": 1 }.as_bytes()).expect_err("no _id");
        assert!(matches!(unfit, Unfit::Impossible { .. }), "{unfit:?}");
        let malformed = builder.add(&[9, 0, 0, 0]).expect_err("not a document");
        assert!(matches!(malformed, Unfit::Malformed(_)));
    }
}
