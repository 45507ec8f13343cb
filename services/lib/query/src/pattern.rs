//! Regular expressions.
//!
//! MongoDB up to 6.0 matches with PCRE 8, from 6.1 on with PCRE2. This is PCRE2, always in UTF
//! mode, with newlines being LF, as there. Differences that remain:
//!
//! - What PCRE 8 refuses and PCRE2 knows is accepted: `\N{U+61}`, `(?n)`, `(?a)`, `(?R)`, names of
//!   more than 32 bytes, a `\Q` or, under the flag x, a comment up to the end of the pattern.
//! - What PCRE 8 lets pass and PCRE2 refuses is refused: a class such as `[\d-z]`, and `\8` without
//!   eight groups.
//! - A match that takes too many steps is no match. The server has such a limit as well; the steps
//!   are counted differently.
//! - A string that is not UTF-8 never matches.

use pcre2::bytes::{Regex, RegexBuilder};

use crate::error::QueryError;
use crate::value::Value;

/// Bounds a match to some tens of milliseconds, and fixes what a linked PCRE2 may have been built
/// to do differently.
const PREFIX: &str = "(*LIMIT_MATCH=1000000)(*LF)(*BSR_UNICODE)";

/// A compiled regular expression, with the text it came from.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    source: Box<[u8]>,
    flags: Box<[u8]>,
    regex: Regex,
}

impl Pattern {
    pub(crate) fn new(field: &[u8], source: &[u8], flags: &[u8]) -> Result<Self, QueryError> {
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
        let regex = builder
            .build(&format!("{PREFIX}{}", as_pcre_8(text)))
            .map_err(|error| refuse(&error.to_string()))?;
        Ok(Self { source: source.into(), flags: flags.into(), regex })
    }

    /// From a BSON regular expression.
    pub(crate) fn of_value(field: &[u8], value: Value<'_>) -> Result<Self, QueryError> {
        let (source, flags) = value.regex();
        Self::new(field, source, flags)
    }

    /// A string that it is found in.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        std::str::from_utf8(text).is_ok() && self.regex.is_match(text).unwrap_or(false)
    }

    /// A stored regular expression of the same text and flags matches too.
    pub(crate) fn equals(&self, (source, flags): (&[u8], &[u8])) -> bool {
        *self.source == *source && *self.flags == *flags
    }
}

/// Writes for PCRE2 what PCRE 8 reads in another way. Since 10.43 `{,3}` and `{ 1, 3 }` are
/// quantifiers, and were plain text: their brace is escaped. A letter that is no escape stood for
/// itself, and is refused: its backslash goes.
fn as_pcre_8(pattern: &str) -> String {
    let bytes = pattern.as_bytes();
    let mut out = String::with_capacity(pattern.len());
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            // Quoted text, to its end or the pattern's.
            b'\\' if bytes.get(at + 1) == Some(&b'Q') => {
                at = pattern[at..].find("\\E").map_or(bytes.len(), |length| at + length + 1);
            }
            b'\\' if bytes.get(at + 1).is_some_and(|byte| b"ijmqyFIJMOTY".contains(byte)) => {
                out.push_str(&pattern[copied..at]);
                copied = at + 1;
                at += 1;
            }
            // A quoted byte, and what an escape such as \x{41} takes in braces.
            b'\\' => {
                let takes_braces = bytes.get(at + 1).is_some_and(|byte| b"gkNopPx".contains(byte));
                at += 1 + usize::from(takes_braces && bytes.get(at + 2) == Some(&b'{'));
            }
            b'{' if only_lately_a_quantifier(&bytes[at + 1..]) => {
                out.push_str(&pattern[copied..at]);
                out.push('\\');
                copied = at;
            }
            _ => {}
        }
        at += 1;
    }
    out.push_str(&pattern[copied..]);
    out
}

/// Whether that follows a brace which begins a quantifier for a late PCRE2 alone.
fn only_lately_a_quantifier(rest: &[u8]) -> bool {
    let digits = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let first = digits(0);
    let after = rest.get(first);
    let is_old = first > 0
        && match after {
            Some(b'}') => true,
            Some(b',') => rest.get(first + 1 + digits(first + 1)) == Some(&b'}'),
            _ => false,
        };
    // Only digits, blanks and a comma up to the closing brace can be a new form.
    let end = rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b' ' | b'\t' | b','));
    !is_old && end.is_some_and(|end| end > 0 && rest[end] == b'}')
}

#[cfg(test)]
mod tests;
