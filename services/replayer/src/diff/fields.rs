//! Determines which fields of two documents differ, by path.
//!
//! - A field that only one document has is named, and so is a field whose type or bytes differ.
//!   When both values are documents (or arrays), their differing fields (elements) are named
//!   instead: `address.city`, `items.3.price`. The elements of an array are named by their number,
//!   whatever names are stored.
//! - A field that is not named by these rules, but whose place among the common fields differs, is
//!   named too: as few fields as explain the order. So documents that differ only in the order of
//!   their fields are also reported.
//! - When a name comes twice, the first field is compared with the first and the second with the
//!   second.
//! - The fields of `before` come first, in the order of `before`, and then the fields that only
//!   `after` has.
//!
//! Names are shown as they are, except for bytes that are not UTF-8. A name that contains a dot
//! looks like a path.

use std::collections::HashMap;

use hindsight_oplog::raw::{Doc, Element, Elements, Malformed, kind};

/// The most paths that are named. Nobody would read more.
const MOST_PATHS: usize = 100;
/// The depth below which a difference is named by what holds it.
const MOST_DEPTH: usize = 64;
/// The most fields that are compared from the place where the names begin to differ. When a
/// document has more, only the fields at that place are named.
const MOST_FIELDS: usize = 50_000;
/// The most bytes of a path. A longer path is replaced by the path of what holds the field; a
/// longer name is cut.
const MOST_PATH_BYTES: usize = 1024;

/// Returns the dotted paths of what differs, at most 100. The result is empty exactly when the
/// documents are the same, byte for byte.
///
/// # Errors
/// Returns an error when either document is not BSON, as far as it had to be read.
pub fn changed_fields(before: &[u8], after: &[u8]) -> Result<Vec<String>, Malformed> {
    let (before, after) = (Doc::new(before)?, Doc::new(after)?);
    let mut paths = Paths { found: Vec::new(), at: String::new(), depth: 0 };
    paths.documents(before, after)?;
    Ok(paths.found)
}

struct Paths {
    found: Vec<String>,
    /// The path of the document being compared. Empty for the whole document.
    at: String,
    depth: usize,
}

impl Paths {
    fn is_full(&self) -> bool {
        self.found.len() >= MOST_PATHS
    }

    fn documents(&mut self, before: Doc<'_>, after: Doc<'_>) -> Result<(), Malformed> {
        let (mut fields_before, mut fields_after) = (before.elements(), after.elements());
        loop {
            let rest = (fields_before.clone(), fields_after.clone());
            match (fields_before.next().transpose()?, fields_after.next().transpose()?) {
                (None, None) => return Ok(()),
                (Some(before), Some(after)) if before.name == after.name => {
                    self.values(before.name, before, after)?;
                }
                _ => return self.fields_apart(rest.0, rest.1),
            }
            if self.is_full() {
                return Ok(());
            }
        }
    }

    /// Compares the fields from the place where the names are no longer the same.
    fn fields_apart(&mut self, before: Elements<'_>, after: Elements<'_>) -> Result<(), Malformed> {
        let fields_before: Vec<Element<'_>> = Result::from_iter(before.take(MOST_FIELDS + 1))?;
        let fields_after: Vec<Element<'_>> = Result::from_iter(after.take(MOST_FIELDS + 1))?;
        if fields_before.len().max(fields_after.len()) > MOST_FIELDS {
            let first = fields_before.first().into_iter().chain(fields_after.first());
            first.for_each(|field| self.name(field.name));
            return Ok(());
        }
        let pairing = Pairing::of(&fields_before, &fields_after);
        // A field that is named for its value says nothing about the order of the others.
        let is_ordered = |field: Element<'_>, at: &usize| {
            is_same(field, fields_after[*at]) || is_nested(field, fields_after[*at])
        };
        let pairs = fields_before.iter().zip(&pairing.partners);
        let ordered: Vec<Option<usize>> =
            pairs.map(|(field, at)| at.filter(|at| is_ordered(*field, at))).collect();
        let stays = in_order(&ordered);
        for (number, field) in fields_before.iter().enumerate() {
            match pairing.partners[number] {
                None => self.name(field.name),
                Some(_) if ordered[number].is_some() && !stays[number] => self.name(field.name),
                Some(at) => self.values(field.name, *field, fields_after[at])?,
            }
            if self.is_full() {
                return Ok(());
            }
        }
        for at in pairing.added {
            if self.is_full() {
                break;
            }
            self.name(fields_after[at].name);
        }
        Ok(())
    }

    fn arrays(&mut self, before: Doc<'_>, after: Doc<'_>) -> Result<(), Malformed> {
        let mut is_told = false;
        let (mut before, mut after) = (before.elements(), after.elements());
        for number in 0_usize.. {
            let pair = (before.next().transpose()?, after.next().transpose()?);
            match pair {
                (Some(before), Some(after)) if is_same(before, after) => continue,
                (Some(before), Some(after)) => {
                    self.values(number.to_string().as_bytes(), before, after)?;
                }
                (None, None) => break,
                _ => self.name(number.to_string().as_bytes()),
            }
            is_told = true;
            if self.is_full() {
                return Ok(());
            }
        }
        if !is_told {
            // Only the names stored with the elements differ.
            self.tell(self.at.clone());
        }
        Ok(())
    }

    /// Compares the values of one field.
    fn values(
        &mut self,
        name: &[u8],
        before: Element<'_>,
        after: Element<'_>,
    ) -> Result<(), Malformed> {
        if is_same(before, after) {
            return Ok(());
        }
        let fits = self.depth < MOST_DEPTH && self.at.len() + name.len() < MOST_PATH_BYTES;
        if !is_nested(before, after) || !fits {
            self.name(name);
            return Ok(());
        }
        let (inner_before, inner_after) = (Doc::new(before.value)?, Doc::new(after.value)?);
        let outer = self.at.len();
        self.enter(name);
        self.depth += 1;
        let done = match before.kind {
            kind::ARRAY => self.arrays(inner_before, inner_after),
            _ => self.documents(inner_before, inner_after),
        };
        self.depth -= 1;
        self.at.truncate(outer);
        done
    }

    fn enter(&mut self, name: &[u8]) {
        if self.depth > 0 {
            self.at.push('.');
        }
        self.at.push_str(&String::from_utf8_lossy(name));
    }

    fn name(&mut self, name: &[u8]) {
        let outer = self.at.len();
        self.enter(name);
        let mut path = self.at.clone();
        self.at.truncate(outer);
        if path.len() > MOST_PATH_BYTES {
            let end = path.floor_char_boundary(MOST_PATH_BYTES);
            path.truncate(if self.depth > 0 { outer } else { end });
        }
        self.tell(path);
    }

    fn tell(&mut self, path: String) {
        if !self.found.contains(&path) {
            self.found.push(path);
        }
    }
}

/// Whether both are documents, or both are arrays.
fn is_nested(before: Element<'_>, after: Element<'_>) -> bool {
    before.kind == after.kind && matches!(before.kind, kind::DOCUMENT | kind::ARRAY)
}

fn is_same(before: Element<'_>, after: Element<'_>) -> bool {
    before.kind == after.kind && before.value == after.value
}

/// Which fields of two documents belong together.
struct Pairing {
    /// For each field of `before`, its place in `after`.
    partners: Vec<Option<usize>>,
    /// The places in `after` of the fields that `before` lacks.
    added: Vec<usize>,
}

impl Pairing {
    fn of(before: &[Element<'_>], after: &[Element<'_>]) -> Self {
        let mut places: HashMap<&[u8], Vec<usize>> = HashMap::with_capacity(after.len());
        for (at, field) in after.iter().enumerate().rev() {
            places.entry(field.name).or_default().push(at);
        }
        let partners: Vec<Option<usize>> =
            before.iter().map(|field| places.get_mut(field.name)?.pop()).collect();
        let mut added: Vec<usize> = places.into_values().flatten().collect();
        added.sort_unstable();
        Pairing { partners, added }
    }
}

/// Marks as many of these places as possible that are in order: a longest increasing sequence. An
/// item without a place is not in the sequence.
fn in_order(places: &[Option<usize>]) -> Vec<bool> {
    // By length less one: the number that ends a sequence of that length at the lowest place.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; places.len()];
    for (number, place) in places.iter().enumerate() {
        if place.is_none() {
            continue;
        }
        let length = ends.partition_point(|end| places[*end] < *place);
        before[number] = length.checked_sub(1).map(|shorter| ends[shorter]);
        match ends.get_mut(length) {
            Some(end) => *end = number,
            None => ends.push(number),
        }
    }
    let mut is_in = vec![false; places.len()];
    let mut next = ends.last().copied();
    while let Some(number) = next {
        is_in[number] = true;
        next = before[number];
    }
    is_in
}

#[cfg(test)]
mod tests;
