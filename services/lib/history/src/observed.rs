//! What is known about the catalog from elsewhere than entries. The history takes it up from a
//! stated time on, and reports it.

use hindsight_oplog::Timestamp;
use hindsight_oplog::raw::{Doc, DocWriter, Element, kind};

use crate::HistoryError;
use crate::state::timestamp;

/// A difference between the catalog that the entries made and the catalog that members of the
/// source listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    pub(crate) generation: u32,
    pub(crate) number: u32,
    /// From this time on the history follows what was listed.
    pub at: Timestamp,
    /// The namespace of the collection at that time.
    pub ns: String,
    /// The differences, each in words.
    pub differences: Vec<String>,
    /// Whether the history follows what was listed. False when the history goes on as the entries
    /// say, because what was listed cannot be taken up.
    pub taken_up: bool,
}

pub(crate) fn encode(observed: &Observed) -> Vec<u8> {
    let mut record = DocWriter::new();
    record.string(b"ns", &observed.ns).open(kind::ARRAY, b"differences");
    for (at, text) in observed.differences.iter().enumerate() {
        record.string(at.to_string().as_bytes(), text);
    }
    record.close().int64(b"generation", i64::from(observed.generation));
    record.value(kind::TIMESTAMP, b"at", &observed.at.as_u64().to_le_bytes());
    record.value(kind::BOOL, b"takenUp", &[u8::from(observed.taken_up)]);
    record.finish()
}

pub(crate) fn decode(number: u32, bytes: &[u8]) -> Result<Observed, HistoryError> {
    decode_known(number, bytes)
        .ok_or_else(|| HistoryError::corrupt("an observation it cannot read"))
}

fn decode_known(number: u32, bytes: &[u8]) -> Option<Observed> {
    let record = Doc::new(bytes).ok()?;
    let field = |name: &[u8]| record.get(name).ok().flatten();
    let texts = field(b"differences")?.as_array()?.elements();
    Some(Observed {
        generation: u32::try_from(field(b"generation")?.as_integer()?).ok()?,
        number,
        at: timestamp(record, b"at")?,
        ns: field(b"ns")?.as_str()?.to_owned(),
        differences: texts.map(|it| Some(it.ok()?.as_str()?.to_owned())).collect::<Option<_>>()?,
        taken_up: field(b"takenUp").and_then(Element::as_bool)?,
    })
}
