//! Which fields a delta writes.

use super::grammar::{
    ArrayAction, ArrayEntries, SUB_DIFF, action, deeper, is_array_diff, section_order,
};
use crate::raw::{Doc, MAX_DEPTH};
use crate::update::error::{DiffFault, UpdateError};
use crate::update::output::parse_index;
use crate::update::writes::{Meets, meets, split};

pub(in crate::update) fn writes(diff: Doc<'_>, path: &[u8]) -> Result<bool, UpdateError> {
    document(diff, path, MAX_DEPTH)
}

fn document(diff: Doc<'_>, path: &[u8], depth: usize) -> Result<bool, UpdateError> {
    let depth = deeper(depth)?;
    for section in diff.elements() {
        let section = section?;
        let order = section_order(section.name)?;
        let fault = if order == SUB_DIFF { DiffFault::SubDiffType } else { DiffFault::SectionType };
        let content = section.as_doc().ok_or_else(|| UpdateError::delta(fault, section.name))?;
        let is_written = if order == SUB_DIFF {
            match meets(path, &section.name[1..]) {
                Meets::Elsewhere => false,
                Meets::There => true,
                Meets::Above(rest) if is_array_diff(content)? => array(content, rest, depth)?,
                Meets::Above(rest) => document(content, rest, depth)?,
            }
        } else {
            names(order, content, path)?
        };
        if is_written {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a section whose fields are written as a whole writes the path.
fn names(order: u8, content: Doc<'_>, path: &[u8]) -> Result<bool, UpdateError> {
    for element in content.elements() {
        let element = element?;
        action(order, element)?;
        if !matches!(meets(path, element.name), Meets::Elsewhere) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn array(diff: Doc<'_>, path: &[u8], depth: usize) -> Result<bool, UpdateError> {
    let depth = deeper(depth)?;
    let (first, rest) = split(path);
    let place = parse_index(first);
    let mut entries = ArrayEntries::new(diff)?;
    // Elements from the new length on are gone.
    if entries.length.is_some_and(|length| place.is_none_or(|place| place >= length)) {
        return Ok(true);
    }
    while let Some(entry) = entries.next()? {
        if place.is_some_and(|place| place != entry.index) {
            continue;
        }
        let below = if place.is_some() { rest } else { Some(path) };
        let is_written = match (entry.action, below) {
            (ArrayAction::Update(_), _) | (ArrayAction::Sub(_), None) => true,
            (ArrayAction::Sub(diff), Some(below)) => match is_array_diff(diff)? {
                true if place.is_none() => false,
                true => array(diff, below, depth)?,
                false => document(diff, below, depth)?,
            },
        };
        if is_written {
            return Ok(true);
        }
    }
    Ok(false)
}
