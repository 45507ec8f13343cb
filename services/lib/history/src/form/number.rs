//! Numbers of any BSON type, as servers read them in a spec.

use hindsight_oplog::raw::{Element, kind};

/// A number; none for what is none.
pub(super) fn as_f64(element: Element<'_>) -> Option<f64> {
    match element.kind {
        kind::DOUBLE => Some(f64::from_le_bytes(element.value.try_into().ok()?)),
        kind::INT32 => Some(f64::from(i32::from_le_bytes(element.value.try_into().ok()?))),
        kind::INT64 => Some(i64::from_le_bytes(element.value.try_into().ok()?) as f64),
        kind::DECIMAL128 => Some(decimal(u128::from_le_bytes(element.value.try_into().ok()?))),
        _ => None,
    }
}

/// The number without its fraction, as the server's `safeNumberLong` gives it: NaN is 0, and what is too large is the
/// largest there is.
pub(super) fn truncated(element: Element<'_>) -> Option<i64> {
    match element.kind {
        kind::INT64 => Some(i64::from_le_bytes(element.value.try_into().ok()?)),
        // The cast of Rust does both.
        _ => as_f64(element).map(|number| number as i64),
    }
}

/// Not a number, as a double or as a decimal.
pub fn is_nan(element: Element<'_>) -> bool {
    as_f64(element).is_some_and(f64::is_nan)
}

/// The server's `trueValue`: a number other than zero, NaN included; anything else but false, null and undefined.
pub(super) fn is_true(element: Element<'_>) -> bool {
    if let Some(number) = as_f64(element) {
        return number != 0.0;
    }
    !matches!(element.kind, kind::NULL | kind::UNDEFINED) && element.as_bool() != Some(false)
}

/// A decimal number as the nearest double, which is exact enough for seconds and flags (IEEE 754-2008, binary encoding).
fn decimal(bits: u128) -> f64 {
    const COEFFICIENT_BITS: u32 = 113;
    const BIAS: i32 = 6176;
    let sign = if bits >> 127 == 1 { -1.0 } else { 1.0 };
    match (bits >> 122) & 0x1f {
        0x1f => f64::NAN,
        0x1e => sign * f64::INFINITY,
        // A coefficient that large is none, and counts as zero.
        0x18.. => sign * 0.0,
        _ => {
            let exponent = ((bits >> COEFFICIENT_BITS) & 0x3fff) as i32 - BIAS;
            let coefficient = bits & ((1 << COEFFICIENT_BITS) - 1);
            sign * coefficient as f64 * 10_f64.powi(exponent)
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
    fn fractions_are_cut_and_nan_is_zero() {
        assert_eq!(with(10.7, truncated), Some(10));
        assert_eq!(with(-0.5, truncated), Some(0));
        assert_eq!(with(f64::NAN, truncated), Some(0));
        assert_eq!(with(i64::MAX, truncated), Some(i64::MAX));
        assert_eq!(with(f64::INFINITY, truncated), Some(i64::MAX));
        assert_eq!(with(decimal_of("10.5"), truncated), Some(10));
        assert_eq!(with(decimal_of("-1E+3"), truncated), Some(-1000));
        assert_eq!(with(decimal_of("NaN"), truncated), Some(0));
        assert_eq!(with("10", truncated), None);
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
    }
}
