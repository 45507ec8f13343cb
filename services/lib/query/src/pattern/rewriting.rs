//! Rewrites a pattern so that our PCRE2 gives it the meaning that the server's library gives it.
//!
//! - Since PCRE2 10.43 `{,3}` and `{ 1, 3 }` are quantifiers; before that they were plain text.
//!   Their opening brace is escaped.
//! - Since PCRE2 10.46 `\k` in a class is the letter; before that it was refused.
//! - For PCRE 8 a letter that is not an escape stands for itself, so its backslash is removed. More
//!   letters are affected in a class (`[\R]`) than outside of one. `\8` and `\9` also stand for
//!   themselves when the pattern has fewer groups than that, and so does the hyphen after a type
//!   (`[\d-z]`).
//!
//! Each of these was seen on 4.4.2 and 6.0.5, and refused by 7.0.28.

/// Letters for which PCRE 8 has no escape.
const NO_ESCAPES: &[u8] = b"ijmqyFIJMOTY";
/// Escapes that have no meaning in a class.
const NO_ESCAPES_IN_CLASS: &[u8] = b"kzABCGKRXZ";
/// Escapes that stand for many characters.
const TYPES: &[u8] = b"dDhHsSvVwW";

pub(super) fn rewritten(pattern: &str, is_pcre_8: bool) -> String {
    let groups = pattern.bytes().filter(|&byte| byte == b'(').count();
    let mut walk = Walk {
        pattern,
        is_pcre_8,
        groups,
        out: String::with_capacity(pattern.len()),
        copied: 0,
        in_class: false,
    };
    let (mut at, mut after_type) = (0, false);
    while at < pattern.len() {
        (at, after_type) = walk.step(at, after_type);
    }
    walk.out.push_str(&pattern[walk.copied..]);
    walk.out
}

/// Splits a pattern behind its verbs, such as `(*UCP)`, which stand before everything else.
pub(super) fn after_verbs(pattern: &str) -> (&str, &str) {
    let mut end = 0;
    while pattern[end..].starts_with("(*")
        && let Some(length) = pattern[end..].find(')')
    {
        end += length + 1;
    }
    pattern.split_at(end)
}

struct Walk<'a> {
    pattern: &'a str,
    is_pcre_8: bool,
    /// At least as many groups as the pattern has.
    groups: usize,
    out: String,
    /// The pattern up to this offset is in `out`.
    copied: usize,
    in_class: bool,
}

impl Walk<'_> {
    /// Takes the item that begins at `at`. Returns where the next item begins, and whether this
    /// item was a type in a class.
    fn step(&mut self, at: usize, after_type: bool) -> (usize, bool) {
        let bytes = self.pattern.as_bytes();
        match bytes[at] {
            b'\\' => return self.escape(at),
            b'[' if self.in_class => {
                let is_named = bytes.get(at + 1) == Some(&b':');
                let end = self.pattern[at..].find(":]").filter(|_| is_named);
                return end.map_or((at + 1, false), |length| (at + length + 2, true));
            }
            b'[' => {
                self.in_class = true;
                let first = at + 1 + usize::from(bytes.get(at + 1) == Some(&b'^'));
                // At the beginning of a class a closing bracket stands for itself.
                return (first + usize::from(bytes.get(first) == Some(&b']')), false);
            }
            b']' => self.in_class = false,
            b'-' if after_type && self.is_pcre_8 => self.insert_backslash(at),
            b'{' if !self.in_class && only_lately_a_quantifier(&bytes[at + 1..]) => {
                self.insert_backslash(at);
            }
            b'(' if !self.in_class && self.pattern[at..].starts_with("(?#") => {
                let end = self.pattern[at..].find(')');
                return (end.map_or(self.pattern.len(), |length| at + length + 1), false);
            }
            _ => {}
        }
        (at + 1, false)
    }

    fn escape(&mut self, at: usize) -> (usize, bool) {
        let bytes = self.pattern.as_bytes();
        let Some(&escaped) = bytes.get(at + 1) else { return (at + 1, false) };
        if escaped == b'Q' {
            // Quoted text reaches to its end, or to the end of the pattern.
            let end = self.pattern[at..].find("\\E");
            return (end.map_or(bytes.len(), |length| at + length + 2), false);
        }
        if self.is_pcre_8 && self.is_literal(escaped, &bytes[at + 1..]) {
            self.out.push_str(&self.pattern[self.copied..at]);
            self.copied = at + 1;
        }
        if !self.is_pcre_8 && self.in_class && escaped == b'k' {
            // Every PCRE2 refuses this escape there.
            self.out.push_str(&self.pattern[self.copied..at]);
            self.out.push_str("\\R");
            self.copied = at + 2;
        }
        let is_property = matches!(escaped, b'p' | b'P');
        let end = match bytes.get(at + 2) {
            // The braces of an escape such as \x{41} and their content.
            Some(b'{') if b"gkNopPx".contains(&escaped) => {
                let length = self.pattern[at..].find('}');
                length.map_or(at + 3, |length| at + length + 1)
            }
            Some(letter) if is_property && letter.is_ascii_alphabetic() => at + 3,
            _ => at + 2,
        };
        (end, self.in_class && (is_property || TYPES.contains(&escaped)))
    }

    /// Whether PCRE 8 treats the escaped character as itself; `rest` begins with this character.
    fn is_literal(&self, escaped: u8, rest: &[u8]) -> bool {
        match escaped {
            b'8' | b'9' if !self.in_class => {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
                let number = digits.fold(0_usize, |number, digit| {
                    number.saturating_mul(10).saturating_add(usize::from(digit - b'0'))
                });
                number > self.groups
            }
            _ => {
                NO_ESCAPES.contains(&escaped)
                    || self.in_class && NO_ESCAPES_IN_CLASS.contains(&escaped)
            }
        }
    }

    fn insert_backslash(&mut self, at: usize) {
        self.out.push_str(&self.pattern[self.copied..at]);
        self.out.push('\\');
        self.copied = at;
    }
}

/// Whether `rest` follows a brace that begins a quantifier only for a recent PCRE2.
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
    // Only digits, blanks and commas up to the closing brace can be one of the new forms.
    let end = rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b' ' | b'\t' | b','));
    !is_old && end.is_some_and(|end| end > 0 && rest[end] == b'}')
}
