//! What each operator makes of the value at its path (server: `db/update/*_node.cpp`).
//!
//! A user's `applyOps` may hold any operator, and MongoDB 6.0 and earlier log such a command as it
//! was given. Seen on 4.4.2, 5.0.4, 6.0.5 and 6.0.27, which agree about all of them.

use super::error::UpdateError;
use crate::raw::{Doc, Element, kind};
use crate::{Timestamp, id_key};

mod array;
mod decimal;
mod number;

use array::{AddToSet, Pull, Push};
use number::{Bits, Number};

/// What is done at one path.
pub(super) struct Change<'a> {
    pub(super) path: &'a [u8],
    pub(super) action: Action<'a>,
}

/// Returns the paths below an operator.
pub(super) fn fields(operator: Element<'_>) -> Result<Doc<'_>, UpdateError> {
    operator
        .as_doc()
        .ok_or_else(|| UpdateError::modifier("operator is not a document", operator.name))
}

/// Judges whether an element of an array meets the condition of a `$pull`.
pub trait Conditions {
    /// Returns whether the element meets the condition.
    ///
    /// # Errors
    /// Returns the reason when the condition cannot be judged.
    fn hold(&self, condition: Element<'_>, element: Element<'_>) -> Result<bool, String>;
}

/// What an operator may depend on besides its document.
pub(super) struct Rules<'r> {
    /// `None` for what the server logs by itself, which holds no such operators.
    pub(super) conditions: Option<&'r dyn Conditions>,
    /// Whether strings compare otherwise than by their bytes.
    pub(super) has_collation: bool,
    /// Whether this update makes the document.
    pub(super) inserts: bool,
    pub(super) now: Now,
}

/// The time that `$currentDate` sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, in milliseconds since the epoch.
    pub wall_ms: i64,
    /// The cluster time.
    pub timestamp: Timestamp,
}

impl Rules<'_> {
    pub(super) const LOGGED: Self = Self {
        conditions: None,
        has_collation: false,
        inserts: false,
        now: Now { wall_ms: 0, timestamp: Timestamp::ZERO },
    };

    pub(super) fn is_logged(&self) -> bool {
        self.conditions.is_none()
    }

    /// Whether two values are the same to the server.
    fn are_equal(&self, left: Element<'_>, right: Element<'_>) -> Result<bool, UpdateError> {
        Ok(self.compare(left, right)?.is_eq())
    }

    /// Returns the order of two values. Under a collation only an order that does not depend on
    /// strings is known.
    fn compare(
        &self,
        left: Element<'_>,
        right: Element<'_>,
    ) -> Result<std::cmp::Ordering, UpdateError> {
        let has_strings = std::cell::Cell::new(false);
        let key = |element: Element<'_>| {
            let mut key = Vec::new();
            let see = |text: &[u8], out: &mut Vec<u8>| {
                has_strings.set(true);
                out.extend_from_slice(text);
            };
            id_key::encode_collated(element, &see, &mut key);
            key
        };
        let order = key(left).cmp(&key(right));
        if self.has_collation && has_strings.get() && order.is_ne() {
            let reason = "compares strings in a collection with a collation";
            return Err(UpdateError::modifier(reason, left.name));
        }
        Ok(order)
    }
}

/// A value that was made, without a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) kind: u8,
    pub(super) bytes: Vec<u8>,
}

/// The value after an operator.
pub(super) enum After<'a> {
    Same,
    Gone,
    Element(Element<'a>),
    Made(Made),
}

pub(super) enum Action<'a> {
    Set(Element<'a>),
    Unset,
    Increment(Number),
    Multiply(Number),
    Minimum(Element<'a>),
    Maximum(Element<'a>),
    Bit(Bits),
    Now { is_timestamp: bool },
    Push(Push<'a>),
    AddToSet(AddToSet<'a>),
    Pop { is_first: bool },
    Pull(Pull<'a>),
}

/// Reads the changes that operators ask for.
pub(super) fn read<'a>(
    pre: Doc<'a>,
    o: Doc<'a>,
    rules: &Rules<'_>,
) -> Result<Vec<Change<'a>>, UpdateError> {
    let mut changes = Vec::new();
    for operator in o.elements() {
        let operator = operator?;
        if operator.name == b"$v" {
            continue;
        }
        for field in fields(operator)?.elements() {
            let field = field?;
            match operator.name {
                b"$rename" => rename(pre, field, &mut changes)?,
                b"$setOnInsert" if !rules.inserts => {}
                name => changes.push(Change { path: field.name, action: action(name, field)? }),
            }
        }
    }
    Ok(changes)
}

fn action<'a>(operator: &[u8], field: Element<'a>) -> Result<Action<'a>, UpdateError> {
    let number =
        || Number::of(field).ok_or_else(|| UpdateError::modifier("value is no number", field.name));
    Ok(match operator {
        b"$set" | b"$setOnInsert" => Action::Set(field),
        b"$unset" => Action::Unset,
        b"$inc" => Action::Increment(number()?),
        b"$mul" => Action::Multiply(number()?),
        b"$min" => Action::Minimum(field),
        b"$max" => Action::Maximum(field),
        b"$bit" => Action::Bit(Bits::read(field)?),
        b"$currentDate" => Action::Now { is_timestamp: is_timestamp(field)? },
        b"$push" => Action::Push(Push::read(field)?),
        b"$addToSet" => Action::AddToSet(AddToSet::read(field)?),
        b"$pop" => Action::Pop { is_first: field.as_integer().is_some_and(|end| end < 0) },
        b"$pull" => Action::Pull(Pull::Where(field)),
        b"$pullAll" => Action::Pull(Pull::read_all(field)?),
        _ => return Err(UpdateError::modifier("unknown operator", operator)),
    })
}

/// Adds the changes of a `$rename`. A field that does not exist is not renamed. A field whose new
/// place cannot be reached is still removed.
fn rename<'a>(
    pre: Doc<'a>,
    field: Element<'a>,
    changes: &mut Vec<Change<'a>>,
) -> Result<(), UpdateError> {
    let to = field
        .as_string_bytes()
        .ok_or_else(|| UpdateError::modifier("new name is no string", field.name))?;
    let mut within = Some(pre);
    let mut source = None;
    for name in field.name.split(|&byte| byte == b'.') {
        let Some(document) = within else { return Ok(()) };
        source = document.get(name)?;
        within = source.and_then(Element::as_doc);
    }
    if let Some(source) = source {
        changes.push(Change { path: field.name, action: Action::Unset });
        changes.push(Change { path: to, action: Action::Set(source) });
    }
    Ok(())
}

/// Whether a `$currentDate` asks for a timestamp. `true` and `false` both ask for a date.
fn is_timestamp(field: Element<'_>) -> Result<bool, UpdateError> {
    if field.as_bool().is_some() {
        return Ok(false);
    }
    let named = field.as_doc().and_then(|doc| doc.get(b"$type").ok().flatten());
    match named.and_then(Element::as_string_bytes) {
        Some(b"date") => Ok(false),
        Some(b"timestamp") => Ok(true),
        _ => Err(UpdateError::modifier("neither true, nor date, nor timestamp", field.name)),
    }
}

impl<'a> Action<'a> {
    /// Whether the action makes a field that is missing.
    pub(super) fn creates(&self) -> bool {
        !matches!(self, Self::Unset | Self::Pop { .. } | Self::Pull(_))
    }

    /// Returns the value at the path after the action, when `old` is there.
    pub(super) fn on(
        &self,
        old: Element<'_>,
        path: &[u8],
        rules: &Rules<'_>,
    ) -> Result<After<'a>, UpdateError> {
        let number = || {
            Number::of(old).ok_or_else(|| UpdateError::modifier("changes what is no number", path))
        };
        let array = || {
            old.as_array().ok_or_else(|| UpdateError::modifier("changes what is no array", path))
        };
        Ok(match self {
            Self::Set(value) => After::Element(*value),
            Self::Unset => After::Gone,
            Self::Increment(by) => number()?.plus(*by, path)?.unless_same(number()?),
            Self::Multiply(by) => number()?.times(*by, path)?.unless_same(number()?),
            Self::Minimum(value) if rules.compare(*value, old)?.is_lt() => After::Element(*value),
            Self::Maximum(value) if rules.compare(*value, old)?.is_gt() => After::Element(*value),
            Self::Minimum(_) | Self::Maximum(_) => After::Same,
            Self::Bit(bits) => After::Made(bits.apply(number()?, path)?.made()),
            Self::Now { is_timestamp } => After::Made(now(*is_timestamp, rules.now)),
            Self::Push(push) => After::Made(push.apply(array()?, rules)?),
            Self::AddToSet(add) => After::Made(add.apply(array()?, rules)?),
            Self::Pop { is_first } => After::Made(array::pop(array()?, *is_first)?),
            Self::Pull(pull) => After::Made(pull.apply(array()?, rules)?),
        })
    }

    /// Returns the value at the path after the action, when no value is there.
    pub(super) fn on_missing(
        &self,
        path: &[u8],
        rules: &Rules<'_>,
    ) -> Result<After<'a>, UpdateError> {
        Ok(match self {
            Self::Set(value) | Self::Minimum(value) | Self::Maximum(value) => {
                After::Element(*value)
            }
            Self::Increment(by) => After::Made(by.made()),
            Self::Multiply(by) => After::Made(Number::Int(0).times(*by, path)?.made()),
            Self::Bit(bits) => After::Made(bits.apply(Number::Int(0), path)?.made()),
            Self::Now { is_timestamp } => After::Made(now(*is_timestamp, rules.now)),
            Self::Push(push) => After::Made(push.apply(Doc::EMPTY, rules)?),
            Self::AddToSet(add) => After::Made(add.apply(Doc::EMPTY, rules)?),
            Self::Unset | Self::Pop { .. } | Self::Pull(_) => After::Same,
        })
    }
}

fn now(is_timestamp: bool, now: Now) -> Made {
    match is_timestamp {
        true => {
            Made { kind: kind::TIMESTAMP, bytes: now.timestamp.as_u64().to_le_bytes().to_vec() }
        }
        false => Made { kind: kind::DATE, bytes: now.wall_ms.to_le_bytes().to_vec() },
    }
}
