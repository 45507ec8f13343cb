//! What a delta may contain: its sections and entries, one at a time. See [`super`] for the
//! grammar.

use crate::raw::{Doc, Element, Elements, kind};
use crate::update::error::{DiffFault, UpdateError};
use crate::update::output::parse_index;

#[derive(Clone, Copy)]
pub(super) enum Action<'d> {
    Delete,
    Update(Element<'d>),
    Insert(Element<'d>),
    Patch { offset: usize, data: &'d [u8] },
    Sub(Doc<'d>),
}

const DELETE: u8 = 1;
const UPDATE: u8 = 2;
const INSERT: u8 = 3;
const BINARY: u8 = 4;
pub(super) const SUB_DIFF: u8 = 5;

/// Returns the rank of a section among the others. The server accepts any name by its first letter,
/// but writes only these.
pub(super) fn section_order(name: &[u8]) -> Result<u8, UpdateError> {
    match name {
        b"d" => Ok(DELETE),
        b"u" => Ok(UPDATE),
        b"i" => Ok(INSERT),
        b"b" => Ok(BINARY),
        [b's', ..] => Ok(SUB_DIFF),
        [] => Err(UpdateError::delta(DiffFault::EmptySectionName, name)),
        _ => Err(UpdateError::delta(DiffFault::UnexpectedSection, name)),
    }
}

pub(super) fn action(section: u8, element: Element<'_>) -> Result<Action<'_>, UpdateError> {
    Ok(match section {
        DELETE => Action::Delete,
        UPDATE => Action::Update(element),
        INSERT => Action::Insert(element),
        _ => patch_of(element)
            .ok_or_else(|| UpdateError::delta(DiffFault::InvalidBinary, element.name))?,
    })
}

fn patch_of(element: Element<'_>) -> Option<Action<'_>> {
    let mut members = element.as_doc()?.elements();
    let offset = members.next()?.ok()?;
    let data = members.next()?.ok()?;
    let is_exact = members.next().is_none() && offset.name == b"o" && data.name == b"d";
    if !is_exact || offset.kind != kind::INT32 {
        return None;
    }
    let offset = usize::try_from(offset.as_integer()?).ok()?;
    Some(Action::Patch { offset, data: data.as_binary()?.1 })
}

pub(super) fn is_array_diff(diff: Doc<'_>) -> Result<bool, UpdateError> {
    let first = diff.first()?.ok_or_else(|| UpdateError::delta(DiffFault::Empty, b""))?;
    Ok(first.name == b"a")
}

pub(super) fn deeper(depth_left: usize) -> Result<usize, UpdateError> {
    depth_left.checked_sub(1).ok_or_else(|| UpdateError::delta(DiffFault::TooDeep, b""))
}

#[derive(Clone, Copy)]
pub(super) enum ArrayAction<'d> {
    Update(Element<'d>),
    Sub(Doc<'d>),
}

#[derive(Clone, Copy)]
pub(super) struct ArrayEntry<'d> {
    pub(super) index: u64,
    pub(super) action: ArrayAction<'d>,
}

/// The entries of an array diff, in ascending order of index.
pub(super) struct ArrayEntries<'d> {
    entries: Elements<'d>,
    pub(super) length: Option<u64>,
    /// The smallest index that the next entry may have.
    lowest: u64,
}

impl<'d> ArrayEntries<'d> {
    pub(super) fn new(diff: Doc<'d>) -> Result<Self, UpdateError> {
        let mut entries = diff.elements();
        let header = entries.next().transpose()?;
        match header.map(|header| (header.kind, header.as_bool())) {
            Some((kind::BOOL, Some(true))) => {}
            Some((kind::BOOL, _)) => return Err(UpdateError::delta(DiffFault::HeaderValue, b"a")),
            _ => return Err(UpdateError::delta(DiffFault::HeaderType, b"a")),
        }
        let mut length = None;
        let mut peeked = entries.clone();
        if let Some(element) = peeked.next().transpose()?
            && element.name == b"l"
        {
            length = Some(array_length(element)?);
            entries = peeked;
        }
        Ok(Self { entries, length, lowest: 0 })
    }

    pub(super) fn next(&mut self) -> Result<Option<ArrayEntry<'d>>, UpdateError> {
        let Some(element) = self.entries.next().transpose()? else {
            return Ok(None);
        };
        let fault = |fault| Err(UpdateError::delta(fault, element.name));
        let [section, digits @ ..] = element.name else {
            return fault(DiffFault::MissingIndex);
        };
        if digits.is_empty() {
            return fault(DiffFault::MissingIndex);
        }
        let Some(index) = parse_index(digits) else {
            return fault(DiffFault::InvalidIndex);
        };
        let action = match section {
            b'u' => ArrayAction::Update(element),
            b's' => match element.as_doc() {
                Some(diff) => ArrayAction::Sub(diff),
                None => return fault(DiffFault::ArraySubDiffType),
            },
            _ => return fault(DiffFault::UnknownArrayEntry),
        };
        if index < self.lowest {
            return fault(DiffFault::IndexOrder);
        }
        if self.length.is_some_and(|length| index >= length) {
            return fault(DiffFault::IndexBeyondLength);
        }
        self.lowest = index + 1;
        Ok(Some(ArrayEntry { index, action }))
    }
}

fn array_length(element: Element<'_>) -> Result<u64, UpdateError> {
    if element.kind != kind::INT32 {
        return Err(UpdateError::delta(DiffFault::SectionType, element.name));
    }
    let length = element.as_integer().and_then(|length| u64::try_from(length).ok());
    length.ok_or_else(|| UpdateError::delta(DiffFault::NegativeLength, element.name))
}
