//! Times as people write and read them.
//!
//! Cluster time counts whole seconds and, within a second, writes. A fraction of a second is
//! therefore not a cluster time: nobody can say between which writes it falls, so it is refused and
//! not rounded. A whole second stands for every write in it, whichever way the command asks. A
//! second that is not held to its end is refused, not cut short.

use std::fmt;
use std::str::FromStr;

use jiff::civil;
use jiff::tz::Offset;

use crate::Timestamp;

/// A point in cluster time, as an operator gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeSpec {
    /// One timestamp.
    Exact(Timestamp),
    /// All of one second, given in seconds since 1970 (UTC).
    Second(u32),
    /// The newest timestamp that is available.
    Latest,
}

impl TimeSpec {
    /// Returns the last timestamp that is included when this time is the upper bound and belongs to
    /// what is asked for. For a second that is its very last timestamp,
    /// even if it is past `latest`, because a second that is not over cannot be had whole.
    pub fn until_inclusive(self, latest: Timestamp) -> Timestamp {
        match self {
            Self::Exact(ts) => ts,
            Self::Second(seconds) => Timestamp::new(seconds, u32::MAX),
            Self::Latest => latest,
        }
    }

    /// Returns the last timestamp that is included when this time is the first that is not
    /// included. For a second that is the last timestamp of the second before it.
    pub fn before_exclusive(self, latest: Timestamp) -> Timestamp {
        self.since_inclusive(latest).predecessor()
    }

    /// Returns the first timestamp that is included when this time is the lower bound.
    pub fn since_inclusive(self, latest: Timestamp) -> Timestamp {
        match self {
            Self::Exact(ts) => ts,
            Self::Second(seconds) => Timestamp::new(seconds, 0),
            Self::Latest => latest,
        }
    }
}

/// Writes a text that can be parsed again.
impl fmt::Display for TimeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exact(ts) => write!(f, "{ts}"),
            Self::Second(seconds) => write!(f, "{}", Utc(seconds)),
            Self::Latest => f.write_str("latest"),
        }
    }
}

/// A text that cannot be understood as a time, with the reason. The message names the accepted
/// forms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{input:?} is not a time: {reason}. Write 2026-11-21T12:03:44Z, 2026-11-21T13:03:44+01:00, \
     2026-11-21T12:03:44 (UTC), 1795262624,42 (seconds and increment, also with '.' or ':' between), \
     or latest"
)]
pub struct TimeSpecError {
    /// The beginning of the text, at most 80 characters.
    pub input: String,
    /// Why the text is not a time.
    pub reason: String,
}

impl FromStr for TimeSpec {
    type Err = TimeSpecError;

    /// Accepts every spelling that the error message names, seconds since 1970 alone, and the forms
    /// of [`Timestamp::for_people`], of MongoDB's shell (`Timestamp(1795262624, 42)`,
    /// `Timestamp({ t: 1795262624, i: 42 })`) and of ISO dates with a zero fraction.
    fn from_str(input: &str) -> Result<Self, Self::Err> {
        parse(input.trim())
            .map_err(|reason| TimeSpecError { input: input.chars().take(80).collect(), reason })
    }
}

impl Timestamp {
    /// Returns `2026-11-21T12:03:44Z (1795262624,42)`, which [`TimeSpec`] can read again.
    pub fn for_people(self) -> impl fmt::Display {
        ForPeople(self)
    }
}

struct ForPeople(Timestamp);

impl fmt::Display for ForPeople {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(ts) = self;
        write!(f, "{} ({ts})", Utc(ts.seconds()))
    }
}

/// Seconds since 1970, as RFC 3339.
struct Utc(u32);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_second(self.0.into())
            .expect("seconds of 32 bits end in 2106, jiff's range in 9999");
        write!(f, "{time}")
    }
}

type Parsed<T> = Result<T, String>;

fn parse(text: &str) -> Parsed<TimeSpec> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.eq_ignore_ascii_case("latest") {
        return Ok(TimeSpec::Latest);
    }
    if let Some((time, pair)) = text.split_once(" (") {
        return for_people(time, pair);
    }
    if let Some(pair) = bracketed(text) {
        return position(pair).map(TimeSpec::Exact);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return epoch_second(text).map(TimeSpec::Second);
    }
    match text.find([',', '.', ':']) {
        Some(at) if text[..at].bytes().all(|byte| byte.is_ascii_digit()) => {
            position(text).map(TimeSpec::Exact)
        }
        _ => date_time(text).map(TimeSpec::Second),
    }
}

/// Parses `2026-11-21T12:03:44Z (1795262624,42)`, already cut at the bracket.
fn for_people(time: &str, pair: &str) -> Parsed<TimeSpec> {
    let pair = pair.strip_suffix(')').ok_or("its bracket is not closed")?;
    let (seconds, ts) = (date_time(time)?, position(pair)?);
    if ts.seconds() != seconds {
        return Err(format!(
            "date and timestamp differ: the timestamp is of {}",
            Utc(ts.seconds())
        ));
    }
    Ok(TimeSpec::Exact(ts))
}

/// Returns what stands in `(…)` or `Timestamp(…)`.
fn bracketed(text: &str) -> Option<&str> {
    let text = text.strip_prefix("Timestamp").unwrap_or(text);
    text.strip_prefix('(')?.strip_suffix(')')
}

/// Parses `T,I`, `T.I`, `T:I`, or `{ t: T, i: I }`.
fn position(text: &str) -> Parsed<Timestamp> {
    let named = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let (seconds, separator, increment) = match named {
        Some(named) => {
            let (t, i) = named.split_once(',').ok_or("it has no increment")?;
            (member(t, "t")?, ',', member(i, "i")?)
        }
        None => {
            let at = text.find([',', '.', ':']).ok_or("it has no increment")?;
            (text[..at].trim(), char::from(text.as_bytes()[at]), text[at + 1..].trim())
        }
    };
    let ts = Timestamp::new(number(seconds, "seconds")?, number(increment, "increment")?);
    if separator != ',' {
        check_not_something_else(seconds, separator, increment)?;
    }
    Ok(ts)
}

/// Refuses what looks like something else. `12:03` is a time of day. `date +%s.%N` and similar
/// commands print fractions, not increments (no second has a million writes). With a comma neither
/// can be meant.
fn check_not_something_else(seconds: &str, separator: char, increment: &str) -> Parsed<()> {
    let what = if seconds.len() < 9 {
        "a date or a time of day"
    } else if separator == '.'
        && (increment.len() > 6 || increment.len() > 1 && increment.starts_with('0'))
    {
        "a fraction of a second, which cluster time does not have"
    } else {
        return Ok(());
    };
    Err(format!(
        "it looks like {what}; if seconds and increment are meant, write {seconds},{increment}"
    ))
}

fn member<'a>(text: &'a str, name: &str) -> Parsed<&'a str> {
    let (found, value) = text.split_once(':').ok_or("it is not { t: seconds, i: increment }")?;
    if found.trim().trim_matches('"') != name {
        return Err("it is not { t: seconds, i: increment }".into());
    }
    Ok(value.trim())
}

fn number(text: &str, what: &str) -> Parsed<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("its {what} is not a whole number"));
    }
    text.parse().map_err(|_| format!("its {what} is above {}", u32::MAX))
}

/// Parses seconds since 1970, as `date +%s` prints them. A shorter number is more likely a year or
/// a date than a second in 1970. A longer number is in milliseconds.
fn epoch_second(text: &str) -> Parsed<u32> {
    match text.len() {
        0..=8 => Err("a number alone is seconds since 1970, and has 9 or 10 digits".into()),
        9..=10 => number(text, "number of seconds"),
        _ => Err("a number alone is seconds since 1970; this looks like a smaller unit".into()),
    }
}

/// Parses `YYYY-MM-DDTHH:MM:SS`, with a zone or in UTC, and returns seconds since 1970. The shape
/// is checked strictly first: a library that reads more would return the beginning of an hour for
/// half an hour, or the second before a leap second.
fn date_time(text: &str) -> Parsed<u32> {
    const SHAPE: &str = "it is not of the form YYYY-MM-DDTHH:MM:SS with or without a zone";
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits = |(byte, expected): (&u8, &u8)| match expected {
        b'd' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        _ => byte == expected,
    };
    let bytes = text.as_bytes();
    if bytes.len() < shape.len() || !bytes.iter().zip(shape).all(fits) {
        return Err(SHAPE.into());
    }
    let (local, rest) = text.split_at(shape.len());
    if &local[17..] == "60" {
        return Err("cluster time has no leap seconds; take the second before or after".into());
    }
    let offset = offset(without_fraction(rest)?)?;
    let local = civil(local)?;
    let seconds = offset.to_timestamp(local).ok().map(|instant| instant.as_second());
    seconds
        .and_then(|seconds| u32::try_from(seconds).ok())
        .ok_or_else(|| "cluster time begins in 1970 and ends in February 2106".into())
}

/// Returns the zone after the seconds. A fraction of zeros says the same as no fraction, and many
/// tools print it.
fn without_fraction(rest: &str) -> Parsed<&str> {
    let Some(fraction) = rest.strip_prefix(['.', ',']) else {
        return Ok(rest);
    };
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Err("its fraction has no digits".into());
    }
    if fraction[..digits].bytes().any(|digit| digit != b'0') {
        return Err("cluster time has no fractions of a second; take the whole second, or the \
                    seconds and increment of the entry you mean"
            .into());
    }
    Ok(&fraction[digits..])
}

/// Parses `Z`, `+HH:MM`, `+HHMM`, or nothing for UTC.
fn offset(zone: &str) -> Parsed<Offset> {
    let shaped = |minutes_at: usize| {
        let digits = zone.bytes().skip(1).filter(u8::is_ascii_digit).count();
        (digits == 4).then(|| (&zone[1..3], &zone[minutes_at..]))
    };
    let (hours, minutes) = match zone.as_bytes() {
        [] | [b'Z' | b'z'] => return Ok(Offset::UTC),
        [b'+' | b'-', _, _, b':', _, _] => shaped(4),
        [b'+' | b'-', _, _, _, _] => shaped(3),
        _ => None,
    }
    .ok_or("its zone is not Z, +HH:MM or -HH:MM")?;
    let seconds = |text: &str| text.parse::<i32>().map_err(|error| error.to_string());
    let (hours, minutes) = (seconds(hours)?, seconds(minutes)?);
    if hours > 23 || minutes > 59 {
        return Err("its zone is a day or more from UTC".into());
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).map_err(|error| error.to_string())
}

/// Parses text whose shape has been checked.
fn civil(text: &str) -> Parsed<civil::DateTime> {
    let field = |at: std::ops::Range<usize>| text[at].parse::<i16>().map_err(|e| e.to_string());
    let small = |at: usize| text[at..at + 2].parse::<i8>().map_err(|e| e.to_string());
    let (year, month, day) = (field(0..4)?, small(5)?, small(8)?);
    let (hour, minute, second) = (small(11)?, small(14)?, small(17)?);
    civil::DateTime::new(year, month, day, hour, minute, second, 0)
        .map_err(|_| "there is no such date or time of day".into())
}

#[cfg(test)]
mod tests;
