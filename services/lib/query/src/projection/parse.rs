//! Parses the document of a projection.

use std::collections::btree_map::Entry;

use hindsight_oplog::raw::{Doc, Element, kind};

use super::{Field, Named, Projection};
use crate::MAX_DEPTH;
use crate::error::QueryError;
use crate::filter::check;
use crate::value::Value;

pub(super) fn projection(doc: Doc<'_>) -> Result<Projection, QueryError> {
    check(doc, MAX_DEPTH)?;
    let mut parser = Parser::default();
    for element in doc.elements() {
        let element = element?;
        parser.id_named |= element.name == b"_id" || element.name.starts_with(b"_id.");
        parser.element(element, &mut Vec::new())?;
    }
    Ok(parser.finish())
}

#[derive(Default)]
struct Parser {
    /// Known from the first field other than `_id`.
    inclusion: Option<bool>,
    named: Named,
    /// Whether `_id` or a field in it is named.
    id_named: bool,
    /// The flag of `_id` itself. It may differ from the flag of the other fields.
    id: Option<bool>,
}

impl Parser {
    /// `prefix` holds the names of the documents in which the element stands.
    fn element<'a>(
        &mut self,
        element: Element<'a>,
        prefix: &mut Vec<&'a [u8]>,
    ) -> Result<(), QueryError> {
        let value = Value::from(element);
        let outer = prefix.len();
        let is_flag = value.kind == kind::BOOL || value.is_number();
        if is_positional(element.name) && (!is_flag || value.is_true()) {
            return Err(QueryError::unsupported(element.name));
        }
        if let Some(doc) = element.as_doc() {
            check_expression(element.name, doc)?;
            push_path(element.name, prefix)?;
            for inner in doc.elements() {
                self.element(inner?, prefix)?;
            }
        } else if is_flag {
            push_path(element.name, prefix)?;
            self.flag(element.name, outer, prefix, value.is_true())?;
        } else {
            let what = [b"a value for ", element.name].concat();
            return Err(QueryError::unsupported(&what));
        }
        prefix.truncate(outer);
        Ok(())
    }

    fn flag(
        &mut self,
        name: &[u8],
        outer: usize,
        path: &[&[u8]],
        included: bool,
    ) -> Result<(), QueryError> {
        add(&mut self.named, name, path)?;
        if outer == 0 && name == b"_id" {
            self.id = Some(included);
            return Ok(());
        }
        if *self.inclusion.get_or_insert(included) != included {
            let reason = "a projection includes fields or excludes them, _id aside; leave one out";
            return Err(QueryError::invalid(name, reason));
        }
        Ok(())
    }

    fn finish(mut self) -> Projection {
        // Without other fields `_id` decides. Without any field nothing is left out.
        let inclusion = self.inclusion.or(self.id).unwrap_or(false);
        if self.id.is_some_and(|included| included != inclusion) {
            self.named.remove(b"_id".as_slice());
        }
        if inclusion && !self.id_named {
            self.named.insert(b"_id".as_slice().into(), Field::Whole);
        }
        Projection { inclusion, named: self.named }
    }
}

/// Whether a name in the path is `$`, which asks for the element that the filter matched.
fn is_positional(name: &[u8]) -> bool {
    name == b"$" || name.ends_with(b".$") || name.windows(3).any(|part| part == b".$.")
}

/// Refuses a document that is not a list of fields.
fn check_expression(name: &[u8], doc: Doc<'_>) -> Result<(), QueryError> {
    let mut elements = doc.elements();
    let Some(first) = elements.next().transpose()? else {
        return Err(QueryError::invalid(name, "an empty document projects nothing; name a field"));
    };
    let is_expression =
        first.name.starts_with(b"$") && !is_reference_name(first.name) && elements.next().is_none();
    if is_expression { Err(QueryError::unsupported(first.name)) } else { Ok(()) }
}

/// The names of a reference are fields, although they begin as operators do.
fn is_reference_name(name: &[u8]) -> bool {
    matches!(name, b"$ref" | b"$id" | b"$db")
}

fn push_path<'a>(path: &'a [u8], names: &mut Vec<&'a [u8]>) -> Result<(), QueryError> {
    for name in path.split(|&byte| byte == b'.') {
        if name.is_empty() {
            let reason = "a path has no empty names; leave out the dot beside nothing";
            return Err(QueryError::invalid(path, reason));
        }
        if name.starts_with(b"$") && !is_reference_name(name) {
            let reason = "a field of a projection cannot begin with $; leave it out";
            return Err(QueryError::invalid(path, reason));
        }
        if names.len() == MAX_DEPTH {
            let reason = format!("a path of more than {MAX_DEPTH} names; shorten it");
            return Err(QueryError::invalid(path, reason));
        }
        names.push(name);
    }
    Ok(())
}

fn add(named: &mut Named, name: &[u8], path: &[&[u8]]) -> Result<(), QueryError> {
    let collision = || {
        let reason = "named together with a field around it or within it; leave one out";
        Err(QueryError::invalid(name, reason))
    };
    let Some((last, outer)) = path.split_last() else { return Ok(()) };
    let mut named = named;
    for &name in outer {
        let within = || Field::Within(Named::new());
        match named.entry(name.into()).or_insert_with(within) {
            Field::Within(inner) => named = inner,
            Field::Whole => return collision(),
        }
    }
    match named.entry((*last).into()) {
        Entry::Vacant(vacant) => {
            vacant.insert(Field::Whole);
            Ok(())
        }
        Entry::Occupied(_) => collision(),
    }
}
