//! Regular expressions.
//!
//! MongoDB up to 6.0 matches with PCRE 8, and from 6.1 on with PCRE2 (10.40 in 7.0). This crate
//! matches with PCRE2, always in UTF mode and with LF as the newline, as the server does. Patterns
//! for PCRE 8 are rewritten (`rewriting`). These differences remain:
//!
//! - Up to 6.0, patterns that PCRE 8 refuses and PCRE2 knows are accepted: `(?n)`, `(?^)`, `(?R)`,
//!   `(*NO_JIT)`, names of more than 32 bytes.
//! - From 6.1 on, patterns that PCRE2 10.40 refuses and later releases know are accepted: `(?a)`.
//! - `(?=\K)`, which PCRE 8 accepts, is refused.
//! - A match that takes too many steps is no match. The server has such a limit as well, but counts
//!   the steps differently.
//! - A string that is not UTF-8 never matches.

use hindsight_oplog::Series;
use pcre2::bytes::{Regex, RegexBuilder};

use crate::error::QueryError;
use crate::value::Value;
use crate::version::Answers;

mod rewriting;

/// Bounds a match to some tens of milliseconds, and fixes settings that a linked PCRE2 may have
/// been built with differently.
const PREFIX: &str = "(*LIMIT_MATCH=1000000)(*LF)(*BSR_UNICODE)";

/// A compiled regular expression, with the text from which it was compiled.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    source: Box<[u8]>,
    flags: Box<[u8]>,
    regex: Regex,
}

impl Pattern {
    pub(crate) fn new(
        field: &[u8],
        source: &[u8],
        flags: &[u8],
        version: Series,
    ) -> Result<Self, QueryError> {
        let mut builder = RegexBuilder::new();
        builder.utf(true);
        for &flag in flags {
            match flag {
                b'i' => builder.caseless(true),
                b'm' => builder.multi_line(true),
                b's' => builder.dotall(true),
                b'x' => builder.extended(true),
                // UTF mode, which is always on.
                b'u' => &mut builder,
                _ => {
                    let reason = format!(
                        "unknown flag {:?} of a regular expression; use i, m, s, x or u",
                        char::from(flag)
                    );
                    return Err(QueryError::invalid(field, reason));
                }
            };
        }
        let refuse = |reason: &str| {
            let reason = format!("the regular expression cannot be used: {reason}");
            QueryError::invalid(field, reason)
        };
        if source.contains(&0) {
            return Err(refuse("it holds a null byte; write \\x00 for it"));
        }
        let text = std::str::from_utf8(source).map_err(|_| refuse("it is not UTF-8"))?;
        let is_pcre_8 = version.has_pcre_8();
        let text = rewriting::rewritten(text, is_pcre_8);
        let (verbs, rest) = rewriting::after_verbs(&text);
        // PCRE 8's name for this verb. Servers still accept the name.
        let verbs = verbs.replace("(*UTF8)", "(*UTF)");
        if is_pcre_8 {
            // The server compiles each pattern twice: as it stands, and in a group, for whole
            // strings.
            let grouped = builder.build(&format!("{PREFIX}{verbs}(?:{rest})"));
            grouped.map_err(|error| refuse(&error.to_string()))?;
            if rest.contains("\\N{") {
                return Err(refuse("\\N{…} is not known before MongoDB 6.1"));
            }
        }
        let regex = builder
            .build(&format!("{PREFIX}{verbs}{rest}"))
            .map_err(|error| refuse(&error.to_string()))?;
        Ok(Self { source: source.into(), flags: flags.into(), regex })
    }

    /// Compiles a BSON regular expression.
    pub(crate) fn of_value(
        field: &[u8],
        value: Value<'_>,
        version: Series,
    ) -> Result<Self, QueryError> {
        let (source, flags) = value.regex();
        Self::new(field, source, flags, version)
    }

    /// Whether the pattern is found in the text.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        std::str::from_utf8(text).is_ok() && self.regex.is_match(text).unwrap_or(false)
    }

    /// Whether a stored regular expression has the same text and flags. Such a value matches, too.
    pub(crate) fn equals(&self, (source, flags): (&[u8], &[u8])) -> bool {
        *self.source == *source && *self.flags == *flags
    }
}

#[cfg(test)]
mod tests;
