//! The arguments of `$mod`, `$size` and `$regex`.

use hindsight_oplog::Series;
use hindsight_oplog::raw::{Doc, kind};

use super::condition::Test;
use crate::error::QueryError;
use crate::pattern::Pattern;
use crate::value::Value;

/// Returns the number if it has no fraction, whatever its numeric type.
pub(super) fn integer(value: Value<'_>) -> Option<i64> {
    value.exact_integer()
}

pub(super) fn size(field: &[u8], value: Value<'_>) -> Result<i32, QueryError> {
    let size = integer(value).and_then(|size| i32::try_from(size).ok()).filter(|size| *size >= 0);
    size.ok_or_else(|| {
        let reason = "$size takes a whole number from 0 to 2147483647, of any numeric type";
        QueryError::invalid(field, reason)
    })
}

/// Parses divisor and remainder, both cut towards zero.
pub(super) fn modulo(field: &[u8], value: Value<'_>) -> Result<Test, QueryError> {
    let refuse = |reason| Err(QueryError::invalid(field, reason));
    let array = value.embedded().filter(|_| value.kind == kind::ARRAY);
    let mut numbers = array.unwrap_or(Doc::EMPTY).elements();
    let (Some(divisor), Some(remainder), None) = (numbers.next(), numbers.next(), numbers.next())
    else {
        return refuse("$mod takes an array of two numbers, divisor and remainder");
    };
    let (divisor, remainder) = (Value::from(divisor?), Value::from(remainder?));
    match (divisor.truncated(), remainder.truncated()) {
        (Some(0), Some(_)) => refuse("the divisor of $mod must not be 0"),
        (Some(divisor), Some(remainder)) => Ok(Test::Mod { divisor, remainder }),
        _ => refuse("divisor and remainder of $mod have to be numbers that fit in 64 bits"),
    }
}

/// Builds the pattern that `$regex` and `$options` define together. As on the server, flags may
/// come from `$options` or from the expression itself. An expression with flags is refused beside
/// `$options` that are not empty, and before any `$options`.
pub(super) fn pattern(
    field: &[u8],
    operators: Doc<'_>,
    version: Series,
) -> Result<Pattern, QueryError> {
    let refuse = |reason| Err(QueryError::invalid(field, reason));
    let mut source: &[u8] = b"";
    let mut flags: &[u8] = b"";
    for element in operators.elements() {
        let element = element?;
        let value = Value::from(element);
        match (element.name, value.kind) {
            (b"$regex", kind::STRING) => source = value.text(),
            (b"$regex", kind::REGEX) => {
                let (text, own_flags) = value.regex();
                source = text;
                if !own_flags.is_empty() {
                    if !flags.is_empty() {
                        return refuse("flags in both $regex and $options; leave one of them out");
                    }
                    flags = own_flags;
                }
            }
            (b"$regex", _) => return refuse("$regex takes a string or a regular expression"),
            (b"$options", kind::STRING) if flags.is_empty() => flags = value.text(),
            (b"$options", kind::STRING) => {
                return refuse("flags in both $regex and $options; leave one of them out");
            }
            (b"$options", _) => return refuse("$options takes a string"),
            _ => {}
        }
    }
    Pattern::new(field, source, flags, version)
}
