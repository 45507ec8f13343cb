//! Values of flags that several commands take.

use std::time::Duration;

use bytes::Bytes;
use hindsight_api::extended_json;

use crate::exit::{Failure, Result};

/// Parses a duration such as `500ms`, `60s`, `5m` or `1h`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 =
        digits.parse().map_err(|_| format!("{text:?} is not a duration such as 60s or 5m"))?;
    let milliseconds = match &text[digits.len()..] {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "d" => number.checked_mul(86_400_000),
        _ => return Err(format!("{text:?} needs a unit: ms, s, m, h or d")),
    };
    milliseconds.map(Duration::from_millis).ok_or_else(|| format!("{text:?} is too long"))
}

/// Parses the document that a flag holds as Extended JSON. Returns no bytes when there is no
/// document.
pub(super) fn bson_of(flag: &str, json: Option<&str>) -> Result<Bytes> {
    let Some(json) = json else { return Ok(Bytes::new()) };
    let document = extended_json::parse_document(json);
    let document =
        document.map_err(|error| Failure::usage(format!("{flag} {json:?}: {error:#}")))?;
    Ok(document.into_bytes().into())
}
