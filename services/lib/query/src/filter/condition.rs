//! What a filter asks of a document, as a tree, and whether a document meets it.

use std::sync::Arc;

use hindsight_oplog::Series;
use hindsight_oplog::raw::{Doc, kind};

use super::types::TypeSet;
use crate::compare::{canonical, compare_values};
use crate::path::{AtArray, Path};
use crate::pattern::Pattern;
use crate::value::{OwnedValue, Value};
use crate::version::Answers;

/// A condition on a document, or on a value within one.
#[derive(Debug)]
pub(super) enum Condition {
    Always(bool),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// Some value that the path leads to passes the test.
    Field(Arc<Path>, Test),
}

/// A test of one value.
#[derive(Debug)]
pub(super) enum Test {
    Compare(Comparison, OwnedValue),
    /// Sorted values, whether null is one of them, and patterns.
    In {
        values: Vec<OwnedValue>,
        null: bool,
        patterns: Vec<Pattern>,
    },
    Pattern(Box<Pattern>),
    Exists,
    Type(TypeSet),
    Mod {
        divisor: i64,
        remainder: i64,
    },
    Size(i32),
    /// The value is an array with an element that is a document for which the condition holds.
    ElementDocument(Box<Condition>),
    /// The value is an array with an element for which all these conditions hold.
    ElementValue(Vec<Condition>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Condition {
    pub(super) fn compares_strings(&self) -> bool {
        match self {
            Self::Always(_) => false,
            Self::All(conditions) | Self::Any(conditions) => any_compares_strings(conditions),
            Self::Not(condition) => condition.compares_strings(),
            Self::Field(_, test) => test.compares_strings(),
        }
    }

    pub(super) fn holds_for(&self, document: Doc<'_>, version: Series) -> bool {
        let holds = |one: &Condition| one.holds_for(document, version);
        match self {
            Self::Always(answer) => *answer,
            Self::All(conditions) => conditions.iter().all(holds),
            Self::Any(conditions) => conditions.iter().any(holds),
            Self::Not(condition) => !holds(condition),
            Self::Field(path, test) => {
                let mut passes = |value: Option<Value<'_>>| test.passes(value, version);
                path.any(document, test.at_array(), &mut passes)
                    || version.null_finds_ends_at_arrays()
                        && test.takes_null()
                        && !path.any(document, AtArray::Whole, &mut |value| value.is_some())
            }
        }
    }

    /// Whether the condition holds for an element of an array itself. Paths do not matter, and
    /// arrays in the element are not entered.
    fn holds_for_value(&self, value: Value<'_>, version: Series) -> bool {
        let holds = |one: &Condition| one.holds_for_value(value, version);
        match self {
            Self::Always(answer) => *answer,
            Self::All(conditions) => conditions.iter().all(holds),
            Self::Any(conditions) => conditions.iter().any(holds),
            Self::Not(condition) => !holds(condition),
            Self::Field(_, test) => test.passes(Some(value), version),
        }
    }
}

fn any_compares_strings(conditions: &[Condition]) -> bool {
    conditions.iter().any(Condition::compares_strings)
}

impl Test {
    fn compares_strings(&self) -> bool {
        match self {
            Self::Compare(_, with) => with.get().holds_strings(),
            Self::In { values, .. } => values.iter().any(|value| value.get().holds_strings()),
            Self::Pattern(_) | Self::Exists | Self::Type(_) | Self::Mod { .. } | Self::Size(_) => {
                false
            }
            Self::ElementDocument(condition) => condition.compares_strings(),
            Self::ElementValue(conditions) => any_compares_strings(conditions),
        }
    }

    fn at_array(&self) -> AtArray {
        match self {
            Self::Size(_) | Self::ElementDocument(_) | Self::ElementValue(_) => AtArray::Whole,
            _ => AtArray::Enter,
        }
    }

    /// Whether the test looks for null.
    fn takes_null(&self) -> bool {
        match self {
            Self::Compare(comparison, with) => {
                with.get().kind == kind::NULL && comparison.takes_equal()
            }
            Self::In { null, .. } => *null,
            _ => false,
        }
    }

    /// Whether the value passes the test. `None` is a missing value.
    fn passes(&self, value: Option<Value<'_>>, version: Series) -> bool {
        if let Self::Compare(comparison, with) = self {
            return comparison.holds(value, with.get(), version);
        }
        let Some(value) = value else {
            return matches!(self, Self::In { null: true, .. });
        };
        match self {
            Self::Compare(..) | Self::Exists => true,
            Self::In { values, null, patterns } => {
                *null && value.kind == kind::UNDEFINED && version.null_finds_undefined()
                    || values.binary_search_by(|one| one.compare(value)).is_ok()
                    || patterns.iter().any(|pattern| is_found(pattern, value))
            }
            Self::Pattern(pattern) => is_found(pattern, value),
            Self::Type(types) => types.contains(value.kind),
            Self::Mod { divisor, remainder } => {
                value.truncated().is_some_and(|value| value.wrapping_rem(*divisor) == *remainder)
            }
            Self::Size(size) => elements(value)
                .is_some_and(|array| usize::try_from(*size) == Ok(array.elements().count())),
            Self::ElementDocument(condition) => any_element(value, |element| {
                element.embedded().is_some_and(|element| condition.holds_for(element, version))
            }),
            Self::ElementValue(conditions) => any_element(value, |element| {
                conditions.iter().all(|condition| condition.holds_for_value(element, version))
            }),
        }
    }
}

fn is_found(pattern: &Pattern, value: Value<'_>) -> bool {
    match value.kind {
        kind::STRING | kind::SYMBOL => pattern.is_in(value.text()),
        kind::REGEX => pattern.equals(value.regex()),
        _ => false,
    }
}

fn elements(value: Value<'_>) -> Option<Doc<'_>> {
    if value.kind == kind::ARRAY { value.embedded() } else { None }
}

fn any_element<'a>(value: Value<'a>, holds: impl Fn(Value<'a>) -> bool) -> bool {
    elements(value).is_some_and(|array| {
        array.elements().map_while(Result::ok).any(|element| holds(element.into()))
    })
}

impl Comparison {
    /// Compares within a type only, with two exceptions. Null is equal to a missing value and,
    /// before 8.0, to undefined. The minimum key is below everything, and the maximum key above
    /// everything.
    fn holds(self, value: Option<Value<'_>>, with: Value<'_>, version: Series) -> bool {
        let kind = value.map_or(kind::UNDEFINED, |value| value.kind);
        match value {
            Some(value) if canonical(kind) == canonical(with.kind) => {
                self.holds_within(value, with)
            }
            _ if with.kind == kind::NULL && kind == kind::UNDEFINED => {
                self.takes_equal() && (value.is_none() || version.null_finds_undefined())
            }
            _ if with.kind == kind::MAX_KEY => matches!(self, Self::Less | Self::LessOrEqual),
            _ if with.kind == kind::MIN_KEY => matches!(self, Self::Greater | Self::GreaterOrEqual),
            _ => false,
        }
    }

    fn holds_within(self, value: Value<'_>, with: Value<'_>) -> bool {
        if self != Self::Equal && (value.is_nan() || with.is_nan()) {
            return self.takes_equal() && value.is_nan() && with.is_nan();
        }
        let order = compare_values(value, with);
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }

    fn takes_equal(self) -> bool {
        matches!(self, Self::Equal | Self::LessOrEqual | Self::GreaterOrEqual)
    }
}
