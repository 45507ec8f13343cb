//! Entries as text, for regular expressions.

use hindsight_extended_json::{Notation, Written};
use hindsight_oplog::Entry;
use regex::{Regex, RegexBuilder};

/// The memory that a compiled pattern may take, in bytes. A larger pattern is refused.
const PATTERN_BYTES: usize = 1 << 20;

/// A regular expression on entries, as relaxed Extended JSON without spaces.
///
/// In strings that are not UTF-8, U+FFFD stands for what is invalid. An entry that is not valid
/// BSON inside is matched as its bytes are, read in the same way. So everything that is stored can
/// be searched.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// Returns a message when the text is not a regular expression of the crate `regex`, or is too
    /// large.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut builder = RegexBuilder::new(text);
        builder.size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
        builder.build().map(Self).map_err(|error| error.to_string())
    }

    /// Returns whether the pattern matches the text of the entry.
    pub fn matches(&self, entry: &Entry<'_>) -> bool {
        self.0.is_match(&text_of(entry.doc.as_bytes()))
    }
}

fn text_of(bytes: &[u8]) -> String {
    let written = Written::of(bytes, Notation::Relaxed).ok();
    let text = written.and_then(|written| serde_json::to_string(&written).ok());
    text.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;
    use hindsight_oplog::raw::{DocWriter, kind};

    use super::*;

    #[test]
    fn entries_are_relaxed_json_without_spaces() {
        let at = bson::Timestamp { time: 5, increment: 1 };
        let entry =
            rawdoc! {"op": "i", "ns": "a.b", "o": {"_id": 1_i64, "x": [1.5, "y z"]}, "ts": at};
        let text = text_of(entry.as_bytes());
        let expected = r#"{"op":"i","ns":"a.b","o":{"_id":1,"x":[1.5,"y z"]},"#;
        assert!(text.starts_with(expected), "{text}");
        let entry = Entry::parse(entry.as_bytes()).expect("an entry");
        let matches = |text| Pattern::parse(text).expect("a pattern").matches(&entry);
        assert!(matches(r#""x":\[1\.5,"#) && matches("(?i)Y Z") && !matches("z y"));
    }

    #[test]
    fn what_is_no_json_is_matched_all_the_same() {
        let entry = |value: &[u8], kind: u8| {
            let mut doc = DocWriter::new();
            doc.string(b"op", "i").string(b"ns", "a.b");
            doc.value(kind::TIMESTAMP, b"ts", &5_u64.to_le_bytes());
            doc.open(kind::DOCUMENT, b"o").string(b"s", "seen").value(kind, b"bad", value).close();
            doc.finish()
        };
        let invalid_utf8 = entry(b"\x04\0\0\0\xffx\xff\0", kind::STRING);
        // A document inside that is not valid.
        let malformed = entry(b"\x09\0\0\0\x7e\0\0\0\0", kind::DOCUMENT);
        for bytes in [invalid_utf8, malformed] {
            let entry = Entry::parse(&bytes).expect("an entry");
            for (text, expected) in [("seen", true), ("bad", true), ("unseen", false)] {
                assert_eq!(
                    Pattern::parse(text).expect("a pattern").matches(&entry),
                    expected,
                    "{text}"
                );
            }
        }
    }

    /// Once only the last field of a name was searched.
    #[test]
    fn every_field_of_a_name_is_matched_and_far_dates_are_numbers() {
        let mut doc = DocWriter::new();
        doc.string(b"op", "i").string(b"ns", "a.b");
        doc.value(kind::TIMESTAMP, b"ts", &5_u64.to_le_bytes());
        doc.open(kind::DOCUMENT, b"o").string(b"s", "first").string(b"s", "second");
        doc.value(kind::DATE, b"never", &i64::MAX.to_le_bytes()).close();
        let bytes = doc.finish();
        let entry = Entry::parse(&bytes).expect("an entry");
        let never = r#""never":\{"\$date":\{"\$numberLong":"9223372036854775807"\}\}"#;
        for text in [r#""s":"first""#, r#""s":"second""#, never] {
            assert!(Pattern::parse(text).expect("a pattern").matches(&entry), "{text}");
        }
    }

    #[test]
    fn patterns_that_are_none_or_too_large_are_refused() {
        for text in ["(", "(?=x)", "[a-z]{1000}{1000}", r"\pL{1000}"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
