//! What is known about the catalog from elsewhere than entries. The history takes it up from a
//! stated time on, and reports it.

use std::sync::Arc;

use hindsight_oplog::raw::{Doc, DocWriter, Element, kind};
use hindsight_oplog::{OpTime, Timestamp};

use crate::state::timestamp;
use crate::writer::Unit;
use crate::{CollectionState, History, HistoryError, Writer};

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

impl History {
    /// Returns all observations, in the order of the collections and then of time.
    pub fn observed(&self) -> Vec<Observed> {
        self.read_catalog().observed().cloned().collect()
    }

    /// Returns the observations of the generation that answers at `at`.
    pub fn observed_around(&self, at: Timestamp) -> Vec<Observed> {
        let Ok(view) = self.reader_at(at) else { return Vec::new() };
        let generation = view.generation();
        let catalog = self.read_catalog();
        catalog.observed().filter(|it| it.generation == generation).cloned().collect()
    }
}

impl Writer<'_> {
    /// Returns the collection that has this UUID now, and the time since which it has its present
    /// state.
    pub fn newest(&self, uuid: &[u8; 16]) -> Option<(Timestamp, Arc<CollectionState>)> {
        let catalog = self.history.read_catalog();
        let (number, state) = catalog.live(self.generation.id, uuid)?;
        let since = catalog.get(number)?.states.last()?.0;
        Some((since, Arc::clone(state)))
    }

    /// Notes how members of the source listed a collection. If a state is given, the history
    /// follows it from `at` on.
    ///
    /// `at` is the optime of the last entry that was applied, before that entry is committed:
    /// nobody has seen the catalog of that time yet. Without a state, a difference that was already
    /// noted is not noted again.
    ///
    /// # Errors
    /// Returns [`HistoryError::Corrupt`] when the state is not BSON, or when the collection is
    /// gone.
    pub fn observe(
        &mut self,
        at: OpTime,
        uuid: &[u8; 16],
        state: Option<CollectionState>,
        differences: Vec<String>,
    ) -> Result<(), HistoryError> {
        let (number, ns) = {
            let catalog = self.history.read_catalog();
            let live = catalog.live(self.generation.id, uuid);
            let (number, state) =
                live.ok_or_else(|| HistoryError::corrupt("an observed collection that is gone"))?;
            (number, state.ns.clone())
        };
        let taken_up = state.is_some();
        let observed = Observed {
            generation: self.generation.id,
            number,
            at: at.ts,
            ns,
            differences,
            taken_up,
        };
        if !taken_up && self.history.read_catalog().is_noted(&observed) {
            return Ok(());
        }
        if let Some(state) = state {
            state.validate().map_err(HistoryError::corrupt)?;
            let visible = at.ts.max(self.generation.base.start);
            let relaxed = visible <= self.generation.base.exact_from;
            let unit = Unit { at, visible, relaxed, position: 0 };
            self.set_state(&unit, number, Some(state));
        }
        self.history.write_catalog().note(observed.clone());
        self.observed.push(observed);
        Ok(())
    }
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
