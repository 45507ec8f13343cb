//! Numbers of any BSON type, as servers read them in a spec.

use std::cmp::Ordering;

use hindsight_oplog::raw::{Element, kind};

/// Returns a number as a double; `None` for a value that is not a number.
pub(super) fn as_f64(element: Element<'_>) -> Option<f64> {
    match element.kind {
        kind::DOUBLE => Some(f64::from_le_bytes(element.value.try_into().ok()?)),
        kind::INT32 => Some(f64::from(i32::from_le_bytes(element.value.try_into().ok()?))),
        kind::INT64 => Some(i64::from_le_bytes(element.value.try_into().ok()?) as f64),
        kind::DECIMAL128 => {
            Some(Decimal::of(u128::from_le_bytes(element.value.try_into().ok()?)).to_f64())
        }
        _ => None,
    }
}

/// Returns the number as an integer, as the server's `safeNumberLong` does: a double loses its
/// fraction, a decimal is rounded half to even, NaN is 0, and a number that is too large becomes
/// the largest possible one (seen on 5.0.4, 6.0.5 and 6.0.27).
pub(super) fn integer(element: Element<'_>) -> Option<i64> {
    match element.kind {
        kind::INT64 => Some(i64::from_le_bytes(element.value.try_into().ok()?)),
        kind::DECIMAL128 => {
            Some(Decimal::of(u128::from_le_bytes(element.value.try_into().ok()?)).to_i64())
        }
        // Rust's cast does all three.
        _ => as_f64(element).map(|number| number as i64),
    }
}

/// Returns the number as a double, as the server's `safeNumberDouble` does: a decimal below the
/// smallest positive double, including every negative decimal, becomes that double; whole numbers
/// stay within what a double holds exactly (seen on 5.0.4, 6.0.5 and 6.0.27).
pub(super) fn double(element: Element<'_>) -> Option<f64> {
    const SAFE: i64 = 1 << f64::MANTISSA_DIGITS;
    match element.kind {
        kind::INT64 => {
            let number = i64::from_le_bytes(element.value.try_into().ok()?);
            Some(number.clamp(-SAFE, SAFE) as f64)
        }
        // The smallest double here is the smallest with all its digits, `f64::MIN_POSITIVE`. NaN
        // stays.
        kind::DECIMAL128 => as_f64(element).map(|it| it.clamp(f64::MIN_POSITIVE, f64::MAX)),
        _ => as_f64(element),
    }
}

/// Returns whether the value is NaN, as a double or as a decimal.
pub fn is_nan(element: Element<'_>) -> bool {
    as_f64(element).is_some_and(f64::is_nan)
}

/// The server's `trueValue`: true for numbers other than zero, including NaN, and for every other
/// value except false, null and undefined.
pub(super) fn is_true(element: Element<'_>) -> bool {
    if element.kind == kind::DECIMAL128 {
        // Not through a double, which cannot hold numbers that small.
        let bits = element.value.try_into().map(u128::from_le_bytes);
        return !bits
            .is_ok_and(|bits| matches!(Decimal::of(bits), Decimal::Finite { coefficient: 0, .. }));
    }
    if let Some(number) = as_f64(element) {
        return number != 0.0;
    }
    !matches!(element.kind, kind::NULL | kind::UNDEFINED) && element.as_bool() != Some(false)
}

/// A Decimal128, split into its parts (IEEE 754-2008, binary encoding).
enum Decimal {
    NotANumber,
    Infinite { negative: bool },
    Finite { negative: bool, coefficient: u128, exponent: i32 },
}

impl Decimal {
    fn of(bits: u128) -> Self {
        const COEFFICIENT_BITS: u32 = 113;
        const BIAS: i32 = 6176;
        let negative = bits >> 127 == 1;
        match (bits >> 122) & 0x1f {
            0x1f => Self::NotANumber,
            0x1e => Self::Infinite { negative },
            // A coefficient that large is not valid, and counts as zero.
            0x18.. => Self::Finite { negative, coefficient: 0, exponent: 0 },
            _ => Self::Finite {
                negative,
                coefficient: bits & ((1 << COEFFICIENT_BITS) - 1),
                exponent: ((bits >> COEFFICIENT_BITS) & 0x3fff) as i32 - BIAS,
            },
        }
    }

    /// Returns the nearest double.
    fn to_f64(&self) -> f64 {
        match *self {
            Self::NotANumber => f64::NAN,
            Self::Infinite { negative } => signed(negative, f64::INFINITY),
            Self::Finite { negative, coefficient, exponent } => {
                let size = format!("{coefficient}e{exponent}").parse();
                signed(negative, size.unwrap_or(f64::NAN))
            }
        }
    }

    /// Returns the number rounded half to even, and kept within 64 bits.
    fn to_i64(&self) -> i64 {
        let (negative, size) = match *self {
            Self::NotANumber => return 0,
            Self::Infinite { negative } => (negative, u128::MAX),
            Self::Finite { negative, coefficient, exponent } => {
                (negative, whole(coefficient, exponent))
            }
        };
        match (i64::try_from(size), negative) {
            (Ok(size), true) => -size,
            (Ok(size), false) => size,
            (Err(_), true) => i64::MIN,
            (Err(_), false) => i64::MAX,
        }
    }
}

fn signed(negative: bool, size: f64) -> f64 {
    if negative { -size } else { size }
}

/// Returns `coefficient * 10^exponent`, rounded half to even, and at most the largest possible
/// number.
fn whole(coefficient: u128, exponent: i32) -> u128 {
    let power = 10_u128.checked_pow(exponent.unsigned_abs());
    match (power, exponent < 0) {
        (Some(power), false) => coefficient.saturating_mul(power),
        (None, false) if coefficient > 0 => u128::MAX,
        // A coefficient has at most 34 digits, so less than a half is left.
        (None, _) => 0,
        (Some(power), true) => {
            let (down, rest) = (coefficient / power, coefficient % power);
            let up = match rest.cmp(&(power - rest)) {
                Ordering::Less => false,
                Ordering::Equal => down % 2 == 1,
                Ordering::Greater => true,
            };
            down + u128::from(up)
        }
    }
}

#[cfg(test)]
mod tests {
    use bson::{Bson, Decimal128, doc};
    use hindsight_oplog::raw::Doc;

    use super::*;

    fn with<T>(value: impl Into<Bson>, read: impl Fn(Element<'_>) -> T) -> T {
        let bytes = bson::serialize_to_vec(&doc! { "n": value.into() }).expect("serialises");
        let doc = Doc::new(&bytes).expect("a document");
        read(doc.get(b"n").expect("well formed").expect("there"))
    }

    fn decimal_of(text: &str) -> Decimal128 {
        text.parse().expect("a decimal")
    }

    #[test]
    fn doubles_are_cut_decimals_are_rounded_and_nan_is_zero() {
        assert_eq!(with(10.7, integer), Some(10));
        assert_eq!(with(-0.5, integer), Some(0));
        assert_eq!(with(f64::NAN, integer), Some(0));
        assert_eq!(with(i64::MAX, integer), Some(i64::MAX));
        assert_eq!(with(f64::INFINITY, integer), Some(i64::MAX));
        assert_eq!(with("10", integer), None);
        for (text, number) in [
            ("10.7", 11),
            ("10.5", 10),
            ("11.5", 12),
            ("0.5", 0),
            ("1.5", 2),
            ("-0.4", 0),
            ("-1.5", -2),
            ("-1E+3", -1000),
            ("2.50000000000000000000000000000001", 3),
            ("1E-6000", 0),
            ("0E+6000", 0),
            ("9223372036854775807", i64::MAX),
            ("1E+30", i64::MAX),
            ("-1E+300", i64::MIN),
            ("-Infinity", i64::MIN),
            ("NaN", 0),
        ] {
            assert_eq!(with(decimal_of(text), integer), Some(number), "{text}");
        }
    }

    #[test]
    fn decimals_below_the_smallest_double_become_that() {
        for (text, number) in [
            ("-5.5", f64::MIN_POSITIVE),
            ("1E-320", f64::MIN_POSITIVE),
            ("5.5", 5.5),
            ("0.1", 0.1),
            ("1E+400", f64::MAX),
        ] {
            assert_eq!(with(decimal_of(text), double), Some(number), "{text}");
        }
        assert_eq!(with((1_i64 << 60) + 1, double), Some(9_007_199_254_740_992.0));
        assert_eq!(with(-5.5, double), Some(-5.5));
        assert_eq!(with("x", double), None);
    }

    #[test]
    fn flags_are_read_as_the_server_reads_them() {
        for value in [Bson::from(1), 0.5.into(), f64::NAN.into(), "x".into(), true.into()] {
            assert!(with(value.clone(), is_true), "{value}");
        }
        for value in [Bson::from(0), 0.0.into(), (-0.0).into(), false.into(), Bson::Null] {
            assert!(!with(value.clone(), is_true), "{value}");
        }
        assert!(with(decimal_of("1"), is_true) && !with(decimal_of("0E+3"), is_true));
        assert!(with(decimal_of("1E-6000"), is_true) && with(decimal_of("NaN"), is_true));
    }
}
