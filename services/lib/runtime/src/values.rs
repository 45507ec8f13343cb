//! Values of settings as people write them: numbers and durations within bounds, members of lists.
//!
//! What is out of bounds is refused where it is read, before anything begins. The message says what
//! to write instead; whoever reads the setting adds its name and its value.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// The longest duration that a setting may have: a hundred years. More is a mistake.
pub const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

/// The units of a duration in milliseconds, the longest first.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Returns what reads a whole number from `least` to `most`.
pub fn number<T>(
    least: T,
    most: T,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: Copy + Display + FromStr + PartialOrd + Send + Sync + 'static,
{
    move |text| match text.trim().parse() {
        Ok(number) if least <= number && number <= most => Ok(number),
        _ => Err(format!("write a whole number from {least} to {most}")),
    }
}

/// Returns what reads a duration from `least` to `most`, such as `500ms`, `60s`, `5m`, `1h` or
/// `7d`.
pub fn duration(
    least: Duration,
    most: Duration,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| {
        let found = parse_duration(text)?;
        if found < least || found > most {
            return Err(format!("write a duration from {} to {}", shown(least), shown(most)));
        }
        Ok(found)
    }
}

/// Like [`duration`], and reads zero as "never".
pub fn duration_or_never(
    least: Duration,
    most: Duration,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    let within = duration(least, most);
    move |text| match parse_duration(text)? {
        Duration::ZERO => Ok(Duration::ZERO),
        _ => within(text).map_err(|error| format!("{error}, or 0s for never")),
    }
}

/// Returns the members of a list without the spaces around them. An empty member says nothing, so
/// an empty list is like none.
pub fn members<T: AsRef<str>>(list: &[T]) -> impl Iterator<Item = &str> {
    list.iter().map(|member| member.as_ref().trim()).filter(|member| !member.is_empty())
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 =
        digits.parse().map_err(|_| format!("{text:?} is not a duration such as 60s or 5m"))?;
    let unit = UNITS.iter().find(|(name, _)| *name == &text[digits.len()..]);
    let (_, milliseconds) =
        unit.ok_or_else(|| format!("{text:?} needs a unit: ms, s, m, h or d"))?;
    let milliseconds = number.checked_mul(*milliseconds);
    milliseconds.map(Duration::from_millis).ok_or_else(|| format!("{text:?} is too long"))
}

/// Returns a duration in the longest unit of which it is a whole number.
fn shown(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let whole = UNITS.iter().find(|(_, unit)| milliseconds % unit == 0 && milliseconds > 0);
    whole.map_or_else(|| "0s".to_owned(), |(name, unit)| format!("{}{name}", milliseconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_bounds_is_answered_with_the_bounds() {
        let read = number::<u16>(1, 300);
        assert_eq!((read("1"), read(" 300 ")), (Ok(1), Ok(300)));
        for text in ["0", "301", "-1", "65536", "", "many", "1.0"] {
            assert_eq!(read(text), Err("write a whole number from 1 to 300".to_owned()), "{text}");
        }
    }

    #[test]
    fn a_duration_needs_a_unit_and_has_bounds() {
        let seconds = Duration::from_secs;
        let read = duration(seconds(10), seconds(86_400));
        assert_eq!(read("10s"), Ok(seconds(10)));
        assert_eq!(read("1d"), read("24h"));
        assert_eq!(read("10500ms"), Ok(Duration::from_millis(10_500)));
        for text in ["9s", "0s", "25h", "9999ms"] {
            assert_eq!(read(text), Err("write a duration from 10s to 1d".to_owned()), "{text}");
        }
        for (text, word) in [("5", "unit"), ("soon", "not a"), ("999999999999999d", "too long")] {
            assert!(read(text).is_err_and(|error| error.contains(word)), "{text}");
        }
        let read = duration_or_never(seconds(1), LONGEST);
        assert_eq!((read("0s"), read("36500d")), (Ok(Duration::ZERO), Ok(LONGEST)));
        let refused = "write a duration from 1s to 36500d, or 0s for never";
        assert_eq!(read("999ms"), Err(refused.to_owned()));
    }

    #[test]
    fn members_are_trimmed_and_empty_ones_say_nothing() {
        let found = |list: &[&str]| members(list).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(found(&[" a", "", "  ", "b c "]), ["a", "b c"]);
        assert!(found(&[""]).is_empty() && found(&[]).is_empty());
    }
}
