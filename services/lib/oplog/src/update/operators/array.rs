//! The operators on arrays.

use std::cmp::Ordering;

use super::{Made, Rules};
use crate::raw::{Doc, DocWriter, Element, kind};
use crate::update::error::UpdateError;
use crate::update::output::IndexName;

pub(in crate::update) struct Push<'a> {
    values: Vec<Element<'a>>,
    /// Counted from the front, or below zero from the end.
    position: Option<i64>,
    sort: Option<Sort<'a>>,
    /// How many of the first elements stay, or below zero how many of the last.
    slice: Option<i64>,
}

enum Sort<'a> {
    Whole { descending: bool },
    By(Vec<(&'a [u8], bool)>),
}

impl<'a> Push<'a> {
    pub(super) fn read(field: Element<'a>) -> Result<Self, UpdateError> {
        let each = match field.as_doc() {
            Some(clauses) => clauses.get(b"$each")?,
            None => None,
        };
        let (Some(clauses), Some(each)) = (field.as_doc(), each) else {
            return Ok(Self { values: vec![field], position: None, sort: None, slice: None });
        };
        let mut push = Self { values: values(each)?, position: None, sort: None, slice: None };
        for clause in clauses.elements() {
            let clause = clause?;
            let number = || {
                let wrong = || UpdateError::modifier("clause is no integer", clause.name);
                clause.as_integer().ok_or_else(wrong)
            };
            match clause.name {
                b"$each" => {}
                b"$position" => push.position = Some(number()?),
                b"$slice" => push.slice = Some(number()?),
                b"$sort" => push.sort = Some(Sort::read(clause)?),
                _ => return Err(UpdateError::modifier("unknown clause of $push", clause.name)),
            }
        }
        Ok(push)
    }

    pub(super) fn apply(&self, pre: Doc<'_>, rules: &Rules<'_>) -> Result<Made, UpdateError> {
        let mut elements = elements(pre)?;
        let length = elements.len();
        let at = match self.position {
            None => length,
            Some(position) => match usize::try_from(position) {
                Ok(position) => position.min(length),
                Err(_) => length.saturating_sub(distance(position)),
            },
        };
        elements.splice(at..at, self.values.iter().copied());
        if let Some(sort) = &self.sort {
            sort.apply(&mut elements, rules)?;
        }
        if let Some(slice) = self.slice {
            let kept = distance(slice).min(elements.len());
            if slice < 0 {
                elements.drain(..elements.len() - kept);
            } else {
                elements.truncate(kept);
            }
        }
        Ok(array(&elements))
    }
}

fn distance(number: i64) -> usize {
    usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX)
}

impl<'a> Sort<'a> {
    fn read(clause: Element<'a>) -> Result<Self, UpdateError> {
        let Some(fields) = clause.as_doc() else {
            return Ok(Self::Whole { descending: clause.as_integer() == Some(-1) });
        };
        let fields = fields.elements().map(|field| {
            let field = field?;
            Ok((field.name, field.as_integer() == Some(-1)))
        });
        Ok(Self::By(fields.collect::<Result<_, UpdateError>>()?))
    }

    /// Sorts the elements. Equal elements stay in their order.
    fn apply(&self, elements: &mut [Element<'_>], rules: &Rules<'_>) -> Result<(), UpdateError> {
        let mut failure = None;
        elements.sort_by(|left, right| {
            self.compare(*left, *right, rules).unwrap_or_else(|error| {
                failure.get_or_insert(error);
                Ordering::Equal
            })
        });
        failure.map_or(Ok(()), Err)
    }

    fn compare(
        &self,
        left: Element<'_>,
        right: Element<'_>,
        rules: &Rules<'_>,
    ) -> Result<Ordering, UpdateError> {
        let directed =
            |order: Ordering, descending| if descending { order.reverse() } else { order };
        match self {
            Self::Whole { descending } => Ok(directed(rules.compare(left, right)?, *descending)),
            Self::By(fields) => {
                for (path, descending) in fields {
                    let order = rules.compare(value_at(left, path)?, value_at(right, path)?)?;
                    if order.is_ne() {
                        return Ok(directed(order, *descending));
                    }
                }
                Ok(Ordering::Equal)
            }
        }
    }
}

/// Returns the value that a sort by a path uses: null where the path leads nowhere.
fn value_at<'a>(element: Element<'a>, path: &[u8]) -> Result<Element<'a>, UpdateError> {
    let mut found = Some(element);
    for name in path.split(|&byte| byte == b'.') {
        let within = found.and_then(|element| element.as_doc().or_else(|| element.as_array()));
        found = match within {
            Some(within) => within.get(name)?,
            None => None,
        };
    }
    Ok(found.unwrap_or(Element::NULL))
}

pub(in crate::update) struct AddToSet<'a>(Vec<Element<'a>>);

impl<'a> AddToSet<'a> {
    pub(super) fn read(field: Element<'a>) -> Result<Self, UpdateError> {
        let first = match field.as_doc() {
            Some(clauses) => clauses.first()?,
            None => None,
        };
        match first.filter(|clause| clause.name == b"$each") {
            Some(each) => values(each).map(Self),
            None => Ok(Self(vec![field])),
        }
    }

    pub(super) fn apply(&self, pre: Doc<'_>, rules: &Rules<'_>) -> Result<Made, UpdateError> {
        let mut set = elements(pre)?;
        for value in &self.0 {
            let mut is_known = false;
            for known in &set {
                is_known = is_known || rules.are_equal(*known, *value)?;
            }
            if !is_known {
                set.push(*value);
            }
        }
        Ok(array(&set))
    }
}

pub(in crate::update) enum Pull<'a> {
    Where(Element<'a>),
    All(Vec<Element<'a>>),
}

impl<'a> Pull<'a> {
    pub(super) fn read_all(field: Element<'a>) -> Result<Self, UpdateError> {
        values(field).map(Self::All)
    }

    pub(super) fn apply(&self, pre: Doc<'_>, rules: &Rules<'_>) -> Result<Made, UpdateError> {
        let mut kept = Vec::new();
        for element in elements(pre)? {
            if !self.takes(element, rules)? {
                kept.push(element);
            }
        }
        Ok(array(&kept))
    }

    fn takes(&self, element: Element<'_>, rules: &Rules<'_>) -> Result<bool, UpdateError> {
        match self {
            Self::All(values) => {
                for value in values {
                    if rules.are_equal(*value, element)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Where(condition) => match (condition.kind, rules.conditions) {
                (kind::DOCUMENT | kind::REGEX, Some(conditions)) => conditions
                    .hold(*condition, element)
                    .map_err(|reason| UpdateError::Condition { reason }),
                _ => rules.are_equal(*condition, element),
            },
        }
    }
}

pub(super) fn pop(pre: Doc<'_>, is_first: bool) -> Result<Made, UpdateError> {
    let elements = elements(pre)?;
    Ok(array(match elements.as_slice() {
        [] => &[],
        [_, rest @ ..] if is_first => rest,
        [rest @ .., _] => rest,
    }))
}

fn elements(array: Doc<'_>) -> Result<Vec<Element<'_>>, UpdateError> {
    Ok(array.elements().collect::<Result<_, _>>()?)
}

/// Returns the elements of the array that an operator has as its value.
fn values(of: Element<'_>) -> Result<Vec<Element<'_>>, UpdateError> {
    elements(of.as_array().ok_or_else(|| UpdateError::modifier("value is no array", of.name))?)
}

fn array(elements: &[Element<'_>]) -> Made {
    let mut writer = DocWriter::new();
    let mut index = IndexName::zero();
    for element in elements {
        writer.value(element.kind, index.name(), element.value);
        index.advance();
    }
    Made { kind: kind::ARRAY, bytes: writer.finish() }
}
