//! Reads ahead: the documents that the next entries write to, while earlier entries are applied.
//!
//! Finding the newest version of a document is most of the work of an update or a delete, and does
//! not depend on the order of entries. So another thread finds the versions that the store holds,
//! in the order of keys, and the writer takes them from memory.
//!
//! The writer may use what was read ahead as long as everything newer is among the versions that
//! it remembers. Commits are counted for that: the reader notes how many commits the store held
//! before it read, and the writer knows up to which commit it has forgotten versions.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hindsight_oplog::raw::Doc;
use hindsight_oplog::{OpKind, Operation, Timestamp, id_key};

use crate::assemble::{Assembler, Newest, Whole};
use crate::recent::Recent;
use crate::value::Chain;
use crate::{CollectionState, History, HistoryError, key, state};

/// The most bytes of documents that are read ahead at once. Further documents are found when their
/// entries are applied.
const MAX_BYTES: usize = 8 << 20;

/// The newest versions of some documents, as the store held them.
#[derive(Debug)]
pub struct Ahead {
    /// The store held at least this many commits.
    commits: u64,
    bytes: Vec<u8>,
    pub(crate) documents: HashMap<u64, Read>,
}

/// One document that was read ahead.
#[derive(Debug)]
pub(crate) struct Read {
    prefix: Range<usize>,
    newest: Option<Version>,
}

/// The newest version of a document. Without `document` it is a deletion.
#[derive(Debug)]
struct Version {
    visible: Timestamp,
    document: Option<Range<usize>>,
    chain: Option<Chain>,
}

impl Ahead {
    pub(crate) fn commits(&self) -> u64 {
        self.commits
    }

    /// Returns what the store held of the document: `Some(None)` when no version. Returns `None`
    /// for a document that was not read.
    pub(crate) fn find(&self, hash: u64, prefix: &[u8]) -> Option<Option<Newest<'_>>> {
        let read = self.documents.get(&hash).filter(|it| &self.bytes[it.prefix.clone()] == prefix);
        let Some(version) = &read?.newest else { return Some(None) };
        let whole = |range: &Range<usize>| {
            let document = Doc::new(&self.bytes[range.clone()]).ok()?;
            // Documents of capped collections are not read ahead.
            Some(Whole { document, order: None, chain: version.chain })
        };
        let document = match &version.document {
            Some(range) => Some(whole(range)?),
            None => None,
        };
        Some(Some(Newest { visible: version.visible, document }))
    }

    fn add(&mut self, hash: u64, prefix: &[u8], newest: Option<Newest<'_>>) {
        let prefix = self.push(prefix);
        let newest = newest.map(|Newest { visible, document }| Version {
            visible,
            chain: document.as_ref().and_then(|it| it.chain),
            document: document.map(|it| self.push(it.document.as_bytes())),
        });
        self.documents.insert(hash, Read { prefix, newest });
    }

    fn push(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }
}

/// Collects the documents that the next entries write to.
pub struct LookAhead<'h> {
    history: &'h History,
    recent: Arc<Recent>,
    generation: u32,
    /// Whether inserts look for their documents: in the relaxed window they do not.
    inserts_look: bool,
    commits: u64,
    last_target: Option<([u8; 16], Option<u32>)>,
    /// The greatest prefix of each number, in the store and among the entries so far.
    greatest: HashMap<u32, Vec<u8>>,
    prefixes: Vec<u8>,
    wanted: Vec<(u64, Range<usize>)>,
}

impl History {
    /// Begins to read ahead for the newest generation. Returns `None` when no writer was ever
    /// started.
    pub fn look_ahead(&self) -> Option<LookAhead<'_>> {
        let recent = Arc::clone(self.recent.get()?);
        let generation = self.generations().pop()?;
        Some(LookAhead {
            history: self,
            recent,
            generation: generation.id,
            inserts_look: generation.through() >= generation.base.exact_from,
            commits: self.commits.load(Ordering::Acquire),
            last_target: None,
            greatest: HashMap::new(),
            prefixes: Vec::new(),
            wanted: Vec::new(),
        })
    }
}

impl LookAhead<'_> {
    /// Notes the document of an operation, if the writer will have to look for it.
    ///
    /// # Errors
    /// Returns [`HistoryError::Store`] when the store cannot be read.
    pub fn want(&mut self, operation: &Operation<'_>) -> Result<(), HistoryError> {
        let Some(number) = self.number(operation) else { return Ok(()) };
        let Some(id) = operation.document_id() else { return Ok(()) };
        let start = self.prefixes.len();
        key::push_number(&mut self.prefixes, number);
        id_key::encode(id, &mut self.prefixes);
        let prefix = start..self.prefixes.len();
        let hash = self.recent.hash(&self.prefixes[prefix.clone()]);
        let is_insert = operation.kind == OpKind::Insert;
        let is_new = is_insert && (!self.inserts_look || self.is_greatest(number, &prefix)?);
        if is_new || self.recent.holds(hash) {
            self.prefixes.truncate(start);
        } else {
            self.wanted.push((hash, prefix));
        }
        Ok(())
    }

    /// Reads the documents.
    ///
    /// # Errors
    /// Returns [`HistoryError`] when the store cannot be read.
    pub fn read(mut self) -> Result<Ahead, HistoryError> {
        let mut ahead =
            Ahead { commits: self.commits, bytes: Vec::new(), documents: HashMap::new() };
        let prefixes = &self.prefixes;
        self.wanted
            .sort_unstable_by(|(_, a), (_, b)| prefixes[a.clone()].cmp(&prefixes[b.clone()]));
        let mut versions = self.history.version_finder();
        let mut assembler = Assembler::default();
        let mut before: &[u8] = &[];
        for (hash, prefix) in &self.wanted {
            let prefix = &prefixes[prefix.clone()];
            if prefix == before {
                continue;
            }
            ahead.add(*hash, prefix, assembler.newest(&mut versions, prefix)?);
            if ahead.bytes.len() > MAX_BYTES {
                break;
            }
            before = prefix;
        }
        Ok(ahead)
    }

    /// Returns the number of the collection that the operation writes to, if its documents are in
    /// the history.
    fn number(&mut self, operation: &Operation<'_>) -> Option<u32> {
        let writes = matches!(operation.kind, OpKind::Insert | OpKind::Update | OpKind::Delete);
        let uuid = operation.ui.filter(|_| writes)?;
        if let Some((_, number)) = self.last_target.filter(|(last, _)| *last == uuid) {
            return number;
        }
        let catalog = self.history.read_catalog();
        let is_read = |state: &CollectionState| {
            !(state.excluded || state.is_capped() || state::is_written_unlogged(&state.ns))
        };
        let live = catalog.live(self.generation, &uuid).filter(|(_, state)| is_read(state));
        let number = live.map(|(number, _)| number);
        self.last_target = Some((uuid, number));
        number
    }

    fn is_greatest(&mut self, number: u32, prefix: &Range<usize>) -> Result<bool, HistoryError> {
        let prefix = &self.prefixes[prefix.clone()];
        let greatest = match self.greatest.get_mut(&number) {
            Some(known) => known,
            None => {
                let stored = self.history.greatest_prefix(number)?;
                self.greatest.entry(number).or_insert(stored)
            }
        };
        let is_greater = prefix > &greatest[..];
        if is_greater {
            greatest.clear();
            greatest.extend_from_slice(prefix);
        }
        Ok(is_greater)
    }
}
