//! The file of a revert: both states of every document.
//!
//! BSON documents, one after another, as `bsondump` reads them:
//!
//! ```text
//! {hindsight: "revert", version: 1, wanted: <timestamp>, latest: <timestamp>}
//! {ns, id: {_id}, now?: {…}, then?: {…}}                                      any number
//! {end: <number of documents>}
//! ```

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use hindsight_oplog::Timestamp;
use hindsight_oplog::raw::{Doc, DocWriter, Element, Malformed, kind};

use crate::error::RevertError;
use crate::reversion::Reversion;

const VERSION: i64 = 1;
/// Two documents of the largest size, and their names.
const LARGEST: usize = 64 << 20;

/// What the file is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The time whose state is wanted.
    pub wanted: Timestamp,
    /// The time at which the history knew the documents as `now`.
    pub latest: Timestamp,
}

/// Writes the file. A file that is not [finished](RevertFileWriter::finish) cannot be read.
pub struct RevertFileWriter {
    path: PathBuf,
    file: BufWriter<File>,
    documents: u64,
}

impl RevertFileWriter {
    /// Creates the file.
    ///
    /// # Errors
    /// Returns [`RevertError::File`] when the file exists or cannot be made.
    pub fn create(path: &Path, header: Header) -> Result<Self, RevertError> {
        let file = File::options().write(true).create_new(true).open(path);
        let file = file.map_err(|error| RevertError::file(path, error))?;
        let mut writer = Self { path: path.to_owned(), file: BufWriter::new(file), documents: 0 };
        let mut record = DocWriter::new();
        record.string(b"hindsight", "revert").int64(b"version", VERSION);
        for (name, at) in [(&b"wanted"[..], header.wanted), (b"latest", header.latest)] {
            record.value(kind::TIMESTAMP, name, &at.as_u64().to_le_bytes());
        }
        writer.write(&record.finish())?;
        Ok(writer)
    }

    /// Adds a document.
    ///
    /// # Errors
    /// Returns [`RevertError::File`] when the file cannot be written or a state is no BSON.
    pub fn add(&mut self, reversion: &Reversion) -> Result<(), RevertError> {
        let record = encode(reversion).map_err(|error| RevertError::file(&self.path, error))?;
        self.documents += 1;
        self.write(&record)
    }

    /// Makes the file whole and durable.
    ///
    /// # Errors
    /// Returns [`RevertError::File`] when the file cannot be written.
    pub fn finish(mut self) -> Result<(), RevertError> {
        let mut record = DocWriter::new();
        record.int64(b"end", i64::try_from(self.documents).unwrap_or(i64::MAX));
        self.write(&record.finish())?;
        let done = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        done.map_err(|error| RevertError::file(&self.path, error))
    }

    fn write(&mut self, record: &[u8]) -> Result<(), RevertError> {
        self.file.write_all(record).map_err(|error| RevertError::file(&self.path, error))
    }
}

/// Reads the file, from its first document to its last.
pub struct RevertFile {
    path: PathBuf,
    file: BufReader<File>,
    header: Header,
    documents: u64,
    ended: bool,
}

impl RevertFile {
    /// Opens the file, and reads through it once to see that it is whole.
    ///
    /// # Errors
    /// Returns [`RevertError::File`] when the file cannot be read, was cut short, or is not the
    /// file of a revert.
    pub fn open(path: &Path) -> Result<Self, RevertError> {
        let mut whole = Self::begin(path)?;
        whole.try_for_each(|reversion| reversion.map(drop))?;
        Self::begin(path)
    }

    /// Returns what the file is about.
    pub fn header(&self) -> Header {
        self.header
    }

    fn begin(path: &Path) -> Result<Self, RevertError> {
        let file = File::open(path).map_err(|error| RevertError::file(path, error))?;
        let mut file = BufReader::new(file);
        let foreign = || RevertError::file(path, "this is not the file of a revert");
        let record = read_record(&mut file).map_err(|error| RevertError::file(path, error))?;
        let header = Doc::new(&record).ok().and_then(header_of).ok_or_else(foreign)?;
        Ok(Self { path: path.to_owned(), file, header, documents: 0, ended: false })
    }

    fn next_reversion(&mut self) -> Result<Option<Reversion>, String> {
        let record = read_record(&mut self.file)?;
        let record = Doc::new(&record).map_err(|error| error.to_string())?;
        let field = |name: &[u8]| record.get(name).map_err(|error| error.to_string());
        if let Some(end) = field(b"end")? {
            let is_whole = end.as_integer() == i64::try_from(self.documents).ok();
            return is_whole.then_some(None).ok_or_else(|| "documents are missing".to_owned());
        }
        self.documents += 1;
        decode(record).map(Some).map_err(|error| error.to_string())
    }
}

impl Iterator for RevertFile {
    type Item = Result<Reversion, RevertError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_reversion();
        self.ended = !matches!(next, Ok(Some(_)));
        next.map_err(|reason| RevertError::file(&self.path, reason)).transpose()
    }
}

fn header_of(record: Doc<'_>) -> Option<Header> {
    let field = |name: &[u8]| record.get(name).ok().flatten();
    let is_ours = field(b"hindsight")?.as_str()? == "revert";
    let is_known = field(b"version")?.as_integer()? == VERSION;
    let (wanted, latest) = (field(b"wanted")?.as_timestamp()?, field(b"latest")?.as_timestamp()?);
    (is_ours && is_known).then_some(Header { wanted, latest })
}

fn encode(reversion: &Reversion) -> Result<Vec<u8>, Malformed> {
    let mut record = DocWriter::with_capacity(reversion.byte_count() + 64);
    record.string(b"ns", &reversion.ns).doc(b"id", Doc::new(&reversion.id)?);
    for (name, state) in [(&b"now"[..], &reversion.now), (b"then", &reversion.then)] {
        if let Some(state) = state {
            record.doc(name, Doc::new(state)?);
        }
    }
    Ok(record.finish())
}

fn decode(record: Doc<'_>) -> Result<Reversion, Malformed> {
    let state = |name: &[u8]| -> Result<Option<Vec<u8>>, Malformed> {
        let Some(element) = record.get(name)? else { return Ok(None) };
        let document = element.as_doc().ok_or(Malformed("a state that is no document"))?;
        Ok(Some(document.as_bytes().to_vec()))
    };
    let ns = record.get(b"ns")?.and_then(Element::as_str);
    Ok(Reversion {
        ns: ns.ok_or(Malformed("a document without a namespace"))?.to_owned(),
        id: state(b"id")?.ok_or(Malformed("a document without an id"))?,
        now: state(b"now")?,
        then: state(b"then")?,
    })
}

/// Reads one BSON document.
fn read_record(file: &mut impl Read) -> Result<Vec<u8>, String> {
    let cut_short = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the file was cut short".to_owned(),
        _ => error.to_string(),
    };
    let mut length = [0; 4];
    file.read_exact(&mut length).map_err(cut_short)?;
    let bytes = usize::try_from(i32::from_le_bytes(length)).unwrap_or_default();
    if !(5..=LARGEST).contains(&bytes) {
        return Err(format!("a document of {bytes} bytes: the file is damaged"));
    }
    let mut record = vec![0; bytes];
    record[..4].copy_from_slice(&length);
    file.read_exact(&mut record[4..]).map_err(cut_short)?;
    Ok(record)
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;
    use crate::reversion::tests::reversion;

    const HEADER: Header = Header { wanted: Timestamp::new(5, 1), latest: Timestamp::new(9, 2) };

    #[test]
    fn what_was_written_is_read_and_nothing_less() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("revert.bson");
        let reversions = [
            reversion(1, Some(doc! {"_id": 1, "n": 1}), Some(doc! {"_id": 1, "n": 2})),
            reversion(2, None, Some(doc! {"_id": 2})),
            reversion(3, Some(doc! {"_id": 3}), None),
        ];
        let mut writer = RevertFileWriter::create(&path, HEADER).expect("a new file");
        reversions.iter().for_each(|it| writer.add(it).expect("added"));
        writer.finish().expect("whole");
        let file = RevertFile::open(&path).expect("readable");
        assert_eq!(file.header(), HEADER);
        let read: Result<Vec<_>, _> = file.collect();
        assert_eq!(read.expect("whole"), reversions);

        let again = RevertFileWriter::create(&path, HEADER).map(drop);
        again.expect_err("a file is never overwritten");
        let whole = std::fs::read(&path).expect("readable");
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).expect("written");
            let error = RevertFile::open(&path).map(drop).expect_err("cut short");
            assert!(error.to_string().contains("revert.bson"), "{error}");
        }
    }

    #[test]
    fn a_file_without_one_of_its_documents_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("revert.bson");
        let mut writer = RevertFileWriter::create(&path, HEADER).expect("a new file");
        writer.add(&reversion(2, None, Some(doc! {"_id": 2}))).expect("added");
        writer.documents += 1;
        writer.finish().expect("written");
        let error = RevertFile::open(&path).map(drop).expect_err("not whole");
        assert!(error.to_string().contains("documents are missing"), "{error}");
    }
}
