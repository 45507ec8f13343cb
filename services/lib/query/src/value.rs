//! One BSON value, without a name.

use hindsight_oplog::raw::{Doc, Element, kind};

use crate::compare::compare_values;

/// A value: its type and its bytes. The framing was checked when the document was walked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    pub(crate) kind: u8,
    pub(crate) bytes: &'a [u8],
}

impl<'a> From<Element<'a>> for Value<'a> {
    fn from(element: Element<'a>) -> Self {
        Self { kind: element.kind, bytes: element.value }
    }
}

impl<'a> Value<'a> {
    /// Returns the document or array that this value is; `None` for values of other types.
    pub(crate) fn embedded(self) -> Option<Doc<'a>> {
        match self.kind {
            kind::DOCUMENT | kind::ARRAY => Doc::new(self.bytes).ok(),
            _ => None,
        }
    }

    /// Whether comparing this value may compare strings. The code and the scope of a function are
    /// not compared as strings, whatever the collation.
    pub(crate) fn holds_strings(self) -> bool {
        match self.kind {
            kind::STRING | kind::SYMBOL => true,
            _ => self.embedded().is_some_and(|inner| {
                let mut values = inner.elements().map_while(Result::ok).map(Value::from);
                values.any(Value::holds_strings)
            }),
        }
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self.kind, kind::INT32 | kind::INT64 | kind::DOUBLE | kind::DECIMAL128)
    }

    /// Whether the server treats this value as true: everything but `false`, null, undefined and
    /// zeros.
    pub(crate) fn is_true(self) -> bool {
        match self.kind {
            kind::BOOL => self.bytes != [0],
            kind::NULL | kind::UNDEFINED => false,
            kind::INT32 | kind::INT64 => self.integer() != 0,
            kind::DOUBLE => self.double() != 0.0,
            kind::DECIMAL128 => {
                !matches!(Decimal::of(self.decimal_bits()), Decimal::Finite { coefficient: 0, .. })
            }
            _ => true,
        }
    }

    pub(crate) fn is_nan(self) -> bool {
        match self.kind {
            kind::DOUBLE => self.double().is_nan(),
            kind::DECIMAL128 => matches!(Decimal::of(self.decimal_bits()), Decimal::NaN),
            _ => false,
        }
    }

    /// An integer of either width.
    pub(crate) fn integer(self) -> i64 {
        match self.kind {
            kind::INT32 => self.bytes.try_into().map_or(0, |b| i64::from(i32::from_le_bytes(b))),
            _ => self.bytes.try_into().map_or(0, i64::from_le_bytes),
        }
    }

    pub(crate) fn double(self) -> f64 {
        self.bytes.try_into().map_or(f64::NAN, f64::from_le_bytes)
    }

    fn decimal_bits(self) -> u128 {
        self.bytes.try_into().map_or(0, u128::from_le_bytes)
    }

    /// Returns the number, cut towards zero; `None` if the value is not a number, not finite, or
    /// beyond 64 bits.
    pub(crate) fn truncated(self) -> Option<i64> {
        match self.kind {
            kind::INT32 | kind::INT64 => Some(self.integer()),
            kind::DOUBLE => whole(self.double().trunc()),
            kind::DECIMAL128 => {
                Decimal::of(self.decimal_bits()).truncated().map(|(whole, _)| whole)
            }
            _ => None,
        }
    }

    /// Returns the number if it has no fraction and fits in 64 bits.
    pub(crate) fn exact_integer(self) -> Option<i64> {
        match self.kind {
            kind::DOUBLE if self.double().fract() != 0.0 => None,
            kind::DECIMAL128 => match Decimal::of(self.decimal_bits()).truncated()? {
                (whole, true) => Some(whole),
                _ => None,
            },
            _ => self.truncated(),
        }
    }

    /// The bytes of a string, symbol or code.
    pub(crate) fn text(self) -> &'a [u8] {
        let end = self.bytes.len().saturating_sub(1);
        self.bytes.get(4..end).unwrap_or_default()
    }

    /// Splits a regular expression into its pattern and its flags.
    pub(crate) fn regex(self) -> (&'a [u8], &'a [u8]) {
        let mut parts = self.bytes.split(|&byte| byte == 0);
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
    }

    pub(crate) fn to_owned(self) -> OwnedValue {
        OwnedValue { kind: self.kind, bytes: self.bytes.into() }
    }
}

/// A value that a filter owns and compares with.
#[derive(Clone, Debug)]
pub(crate) struct OwnedValue {
    kind: u8,
    bytes: Box<[u8]>,
}

impl OwnedValue {
    pub(crate) fn get(&self) -> Value<'_> {
        Value { kind: self.kind, bytes: &self.bytes }
    }

    pub(crate) fn compare(&self, other: Value<'_>) -> std::cmp::Ordering {
        compare_values(self.get(), other)
    }
}

/// Converts a whole double to an i64, if it fits. 2^63 itself does not fit, and `i64::MAX as f64`
/// is 2^63.
fn whole(double: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (-LIMIT..LIMIT).contains(&double).then_some(double as i64)
}

/// A Decimal128 in its binary-integer form, split into its parts.
enum Decimal {
    NaN,
    Infinite,
    Finite { negative: bool, coefficient: u128, exponent: i32 },
}

impl Decimal {
    fn of(bits: u128) -> Self {
        const LARGEST_COEFFICIENT: u128 = 10_u128.pow(34) - 1;
        match (bits >> 122) & 0x1f {
            0x1f => return Self::NaN,
            0x1e => return Self::Infinite,
            _ => {}
        }
        // The other layout can hold only coefficients beyond the largest one, which count as zero.
        let other_layout = (bits >> 125) & 3 == 3;
        let mut coefficient = bits & ((1 << 113) - 1);
        if other_layout || coefficient > LARGEST_COEFFICIENT {
            coefficient = 0;
        }
        let exponent = ((bits >> 113) & 0x3fff) as i32 - 6176;
        Self::Finite { negative: bits >> 127 == 1, coefficient, exponent }
    }

    /// Returns the part before the point if it fits in 64 bits, and whether nothing follows the
    /// point.
    fn truncated(self) -> Option<(i64, bool)> {
        let Self::Finite { negative, coefficient, exponent } = self else { return None };
        if coefficient == 0 {
            return Some((0, true));
        }
        let power = 10_u128.checked_pow(exponent.unsigned_abs());
        let (whole, exact) = if exponent >= 0 {
            (coefficient.checked_mul(power?)?, true)
        } else {
            // A power beyond 128 bits is beyond every coefficient.
            power.map_or((0, false), |power| (coefficient / power, coefficient % power == 0))
        };
        let whole = i128::try_from(whole).ok()?;
        Some((i64::try_from(if negative { -whole } else { whole }).ok()?, exact))
    }
}
