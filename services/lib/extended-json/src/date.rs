//! Dates in readable form.

use jiff::SignedDuration;
use jiff::civil::{DateTime, datetime};

/// Returns the RFC 3339 text of a date, with milliseconds only when they are not zero. `None` for
/// dates outside the years 1970 to 9999, for which the relaxed notation has no text.
pub(crate) fn text(milliseconds: i64) -> Option<String> {
    let epoch: DateTime = datetime(1970, 1, 1, 0, 0, 0, 0);
    let since = SignedDuration::from_millis(milliseconds);
    // Civil dates end with the year 9999, and so does the notation.
    let date = epoch.checked_add(since).ok().filter(|_| milliseconds >= 0)?;
    Some(match milliseconds % 1000 {
        0 => format!("{date:.0}Z"),
        _ => format!("{date:.3}Z"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_years_of_four_digits_have_a_text() {
        for (milliseconds, expected) in [
            (0, Some("1970-01-01T00:00:00Z")),
            (1_356_351_330_500, Some("2012-12-24T12:15:30.500Z")),
            (1, Some("1970-01-01T00:00:00.001Z")),
            (253_402_300_799_999, Some("9999-12-31T23:59:59.999Z")),
            (253_402_300_800_000, None),
            (-1, None),
            (i64::MAX, None),
            (i64::MIN, None),
        ] {
            assert_eq!(text(milliseconds).as_deref(), expected, "{milliseconds}");
        }
    }
}
