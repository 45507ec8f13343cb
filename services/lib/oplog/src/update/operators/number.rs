//! Numbers, added and multiplied as the server's `SafeNum` does it.

use super::decimal::Decimal;
use super::{After, Made};
use crate::raw::{Element, kind};
use crate::update::error::UpdateError;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::update) enum Number {
    Int(i32),
    Long(i64),
    Double(f64),
    Decimal(Decimal),
}

const OVERFLOW: &str = "result does not fit 64 bits";

impl Number {
    pub(super) fn of(element: Element<'_>) -> Option<Self> {
        let value = element.value;
        Some(match element.kind {
            kind::INT32 => Self::Int(i32::from_le_bytes(value.try_into().ok()?)),
            kind::INT64 => Self::Long(i64::from_le_bytes(value.try_into().ok()?)),
            kind::DOUBLE => Self::Double(f64::from_le_bytes(value.try_into().ok()?)),
            kind::DECIMAL128 => {
                Self::Decimal(Decimal::from_bits(u128::from_le_bytes(value.try_into().ok()?)))
            }
            _ => return None,
        })
    }

    pub(super) fn made(self) -> Made {
        match self {
            Self::Int(number) => Made { kind: kind::INT32, bytes: number.to_le_bytes().to_vec() },
            Self::Long(number) => Made { kind: kind::INT64, bytes: number.to_le_bytes().to_vec() },
            Self::Double(number) => {
                Made { kind: kind::DOUBLE, bytes: number.to_le_bytes().to_vec() }
            }
            Self::Decimal(number) => {
                Made { kind: kind::DECIMAL128, bytes: number.bits().to_le_bytes().to_vec() }
            }
        }
    }

    /// Keeps the old number when the new number is equal and of the same type: `-0.0` plus `0` is
    /// `-0.0`.
    pub(super) fn unless_same<'a>(self, old: Self) -> After<'a> {
        let is_same = match (self, old) {
            (Self::Int(left), Self::Int(right)) => left == right,
            (Self::Long(left), Self::Long(right)) => left == right,
            (Self::Double(left), Self::Double(right)) => left == right,
            (Self::Decimal(left), Self::Decimal(right)) => left.equals(right),
            _ => false,
        };
        if is_same { After::Same } else { After::Made(self.made()) }
    }

    pub(super) fn plus(self, other: Self, path: &[u8]) -> Result<Self, UpdateError> {
        self.combine(other, path, i64::checked_add, |a, b| a + b, Decimal::plus)
    }

    pub(super) fn times(self, other: Self, path: &[u8]) -> Result<Self, UpdateError> {
        self.combine(other, path, i64::checked_mul, |a, b| a * b, Decimal::times)
    }

    fn combine(
        self,
        other: Self,
        path: &[u8],
        whole: fn(i64, i64) -> Option<i64>,
        double: fn(f64, f64) -> f64,
        decimal: fn(Decimal, Decimal) -> Decimal,
    ) -> Result<Self, UpdateError> {
        let whole =
            |left, right| whole(left, right).ok_or_else(|| UpdateError::modifier(OVERFLOW, path));
        Ok(match (self, other) {
            (Self::Decimal(_), _) | (_, Self::Decimal(_)) => {
                Self::Decimal(decimal(self.as_decimal(), other.as_decimal()))
            }
            (Self::Double(_), _) | (_, Self::Double(_)) => {
                Self::Double(double(self.as_double(), other.as_double()))
            }
            (Self::Int(left), Self::Int(right)) => {
                let result = whole(i64::from(left), i64::from(right))?;
                i32::try_from(result).map_or(Self::Long(result), Self::Int)
            }
            _ => Self::Long(whole(self.as_long(), other.as_long())?),
        })
    }

    fn as_decimal(self) -> Decimal {
        match self {
            Self::Int(number) => Decimal::from_integer(i64::from(number)),
            Self::Long(number) => Decimal::from_integer(number),
            Self::Double(number) => Decimal::from_double(number),
            Self::Decimal(number) => number,
        }
    }

    fn as_double(self) -> f64 {
        match self {
            Self::Double(number) => number,
            other => other.as_long() as f64,
        }
    }

    /// Returns the value of an integer.
    fn as_long(self) -> i64 {
        match self {
            Self::Int(number) => i64::from(number),
            Self::Long(number) => number,
            Self::Double(_) | Self::Decimal(_) => 0,
        }
    }
}

/// The operations of a `$bit`, in order.
pub(in crate::update) struct Bits(Vec<(BitOperation, Number)>);

#[derive(Clone, Copy)]
enum BitOperation {
    And,
    Or,
    Xor,
}

impl Bits {
    pub(super) fn read(field: Element<'_>) -> Result<Self, UpdateError> {
        let wrong = || UpdateError::modifier("$bit takes and, or and xor of integers", field.name);
        let mut operations = Vec::new();
        for element in field.as_doc().ok_or_else(wrong)?.elements() {
            let element = element?;
            let operation = match element.name {
                b"and" => BitOperation::And,
                b"or" => BitOperation::Or,
                b"xor" => BitOperation::Xor,
                _ => return Err(wrong()),
            };
            let with = Number::of(element)
                .filter(|number| matches!(number, Number::Int(_) | Number::Long(_)))
                .ok_or_else(wrong)?;
            operations.push((operation, with));
        }
        Ok(Self(operations))
    }

    pub(super) fn apply(&self, to: Number, path: &[u8]) -> Result<Number, UpdateError> {
        self.0.iter().try_fold(to, |number, (operation, with)| match (number, *with) {
            (Number::Int(left), Number::Int(right)) => Ok(Number::Int(match operation {
                BitOperation::And => left & right,
                BitOperation::Or => left | right,
                BitOperation::Xor => left ^ right,
            })),
            (Number::Double(_) | Number::Decimal(_), _) => {
                Err(UpdateError::modifier("bits of what is no integer", path))
            }
            (left, right) => {
                let (left, right) = (left.as_long(), right.as_long());
                Ok(Number::Long(match operation {
                    BitOperation::And => left & right,
                    BitOperation::Or => left | right,
                    BitOperation::Xor => left ^ right,
                }))
            }
        })
    }
}
