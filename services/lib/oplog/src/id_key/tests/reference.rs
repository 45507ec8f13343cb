//! The comparison, written a second time after the server's `BSONElement::compareElements`: on
//! decoded values, and for numbers on the exact decimal text that the standard library and `bson`
//! print.

use std::cmp::Ordering;

use bson::{Bson, Document};

pub(super) fn compare(left: &Bson, right: &Bson) -> Ordering {
    canonical_type(left).cmp(&canonical_type(right)).then_with(|| match (left, right) {
        (Bson::String(_) | Bson::Symbol(_), _) => text(left).cmp(text(right)),
        (Bson::Document(l), Bson::Document(r)) => documents(l, r),
        (Bson::Array(l), Bson::Array(r)) => l
            .iter()
            .zip(r)
            .map(|(l, r)| compare(l, r))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| l.len().cmp(&r.len())),
        (Bson::Binary(l), Bson::Binary(r)) => (l.bytes.len(), u8::from(l.subtype), &l.bytes)
            .cmp(&(r.bytes.len(), u8::from(r.subtype), &r.bytes)),
        (Bson::ObjectId(l), Bson::ObjectId(r)) => l.bytes().cmp(&r.bytes()),
        (Bson::Boolean(l), Bson::Boolean(r)) => l.cmp(r),
        (Bson::DateTime(l), Bson::DateTime(r)) => l.timestamp_millis().cmp(&r.timestamp_millis()),
        (Bson::Timestamp(l), Bson::Timestamp(r)) => {
            (l.time, l.increment).cmp(&(r.time, r.increment))
        }
        (Bson::RegularExpression(l), Bson::RegularExpression(r)) => {
            (l.pattern.as_str(), l.options.as_str()).cmp(&(r.pattern.as_str(), r.options.as_str()))
        }
        (Bson::JavaScriptCode(l), Bson::JavaScriptCode(r)) => l.cmp(r),
        (Bson::JavaScriptCodeWithScope(l), Bson::JavaScriptCodeWithScope(r)) => {
            l.code.cmp(&r.code).then_with(|| documents(&l.scope, &r.scope))
        }
        _ if canonical_type(left) == 10 => numbers(left, right),
        _ => Ordering::Equal,
    })
}

fn documents(left: &Document, right: &Document) -> Ordering {
    for ((left_name, left), (right_name, right)) in left.iter().zip(right) {
        let order = canonical_type(left)
            .cmp(&canonical_type(right))
            .then_with(|| left_name.cmp(right_name))
            .then_with(|| compare(left, right));
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len())
}

fn canonical_type(value: &Bson) -> i32 {
    match value {
        Bson::MinKey => -1,
        Bson::Undefined => 0,
        Bson::Null => 5,
        Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => 10,
        Bson::String(_) | Bson::Symbol(_) => 15,
        Bson::Document(_) => 20,
        Bson::Array(_) => 25,
        Bson::Binary(_) => 30,
        Bson::ObjectId(_) => 35,
        Bson::Boolean(_) => 40,
        Bson::DateTime(_) => 45,
        Bson::Timestamp(_) => 47,
        Bson::RegularExpression(_) => 50,
        Bson::DbPointer(_) => 55,
        Bson::JavaScriptCode(_) => 60,
        Bson::JavaScriptCodeWithScope(_) => 65,
        Bson::MaxKey => 127,
    }
}

fn text(value: &Bson) -> &str {
    match value {
        Bson::String(text) | Bson::Symbol(text) => text,
        _ => unreachable!("a string or symbol"),
    }
}

fn numbers(left: &Bson, right: &Bson) -> Ordering {
    rank(left).cmp(&rank(right)).then_with(|| {
        if rank(left).abs() != 1 {
            return Ordering::Equal;
        }
        let ((negative, left), (_, right)) = (magnitude(left), magnitude(right));
        if negative { right.cmp(&left) } else { left.cmp(&right) }
    })
}

/// NaN, -infinity, negative, zero, positive, infinity.
fn rank(number: &Bson) -> i32 {
    let printed = printed(number);
    match printed.as_str() {
        "NaN" => -3,
        "-inf" | "-Infinity" => -2,
        "inf" | "Infinity" => 2,
        _ => match magnitude(number) {
            (_, (_, digits)) if digits.is_empty() => 0,
            (negative, _) => 1 - 2 * i32::from(negative),
        },
    }
}

fn printed(number: &Bson) -> String {
    match number {
        Bson::Int32(number) => number.to_string(),
        Bson::Int64(number) => number.to_string(),
        Bson::Double(number) => format!("{number:.1074}"),
        Bson::Decimal128(number) => number.to_string(),
        _ => unreachable!("a number"),
    }
}

/// Sign, and `(exponent, digits)` without leading or trailing zeros: `0.digits * 10^exponent`.
fn magnitude(number: &Bson) -> (bool, (i64, String)) {
    let printed = printed(number);
    let (negative, printed) = match printed.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, printed.as_str()),
    };
    let (mantissa, exponent) = printed.split_once('E').unwrap_or((printed, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    if digits.is_empty() {
        return (false, (0, String::new()));
    }
    let leading = (all.len() - digits.len()) as i64;
    let exponent = whole.len() as i64 - leading + exponent.parse::<i64>().unwrap_or(0);
    (negative, (exponent, digits.trim_end_matches('0').to_owned()))
}
