//! Writes documents as JSON text for an answer, and collects what JSON cannot carry exactly.

use anyhow::{Context, Result};
use bytes::Bytes;
use hindsight_extended_json::{Notation as Form, Written};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use crate::extended_json::written;

/// The notation of documents. Both notations are Extended JSON v2 with fields in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Notation {
    /// Every type is kept: `{"$numberInt":"42"}`.
    #[default]
    Canonical,
    /// Easier to read: `42`; numbers lose their types.
    Relaxed,
}

impl From<Notation> for Form {
    fn from(notation: Notation) -> Self {
        match notation {
            Notation::Canonical => Form::Canonical,
            Notation::Relaxed => Form::Relaxed,
        }
    }
}

/// A document as JSON text, which takes as much memory as the text is long.
pub(crate) type Text = Box<RawValue>;

/// Writes the documents of one object as text, and collects what JSON cannot carry exactly.
pub(crate) struct Texts {
    notation: Form,
    /// Paths within the object that holds the texts, each with its reason.
    pub(crate) inexact: Vec<String>,
    /// The total length of the texts.
    pub(crate) bytes: usize,
}

impl Texts {
    pub(crate) fn new(notation: Notation) -> Self {
        Self { notation: notation.into(), inexact: Vec::new(), bytes: 0 }
    }

    /// Writes a document as text. `at` is the name of the field that holds the text.
    ///
    /// # Errors
    /// Returns an error when the bytes are not BSON.
    pub(crate) fn document(&mut self, at: &str, bytes: &[u8]) -> Result<Text> {
        let written = written(bytes, self.notation)?;
        self.note(at, &written);
        self.taken(to_raw_value(&written)?)
    }

    /// Writes the elements of the array in the field `at`, which already holds `before` elements.
    pub(crate) fn each(&mut self, at: &str, before: usize, all: &[Bytes]) -> Result<Vec<Text>> {
        let numbered = all.iter().zip(before..);
        numbered.map(|(bytes, number)| self.document(&format!("{at}.{number}"), bytes)).collect()
    }

    pub(crate) fn some(&mut self, at: &str, bytes: Option<&Bytes>) -> Result<Option<Text>> {
        let given = bytes.filter(|bytes| !bytes.is_empty());
        given.map(|bytes| self.document(at, bytes)).transpose()
    }

    /// Writes the value of `_id` in `{_id: …}`, for the field `id`.
    pub(crate) fn id(&mut self, bytes: &[u8]) -> Result<Text> {
        let written = written(bytes, self.notation)?;
        self.note("id", &written);
        self.taken(to_raw_value(&written.value(b"_id").context("no _id")?)?)
    }

    fn note(&mut self, at: &str, written: &Written<'_>) {
        let texts = written.inexact().iter().map(|inexact| format!("{at}.{inexact}"));
        self.inexact.extend(texts);
    }

    fn taken(&mut self, text: Text) -> Result<Text> {
        self.bytes += text.get().len();
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn an_id_is_the_text_of_its_value() {
        let mut texts = Texts::new(Notation::Canonical);
        for (id, text) in [
            (rawdoc! {"_id": 7}, r#"{"$numberInt":"7"}"#),
            (rawdoc! {"_id": {"b": "x", "a": [true]}}, r#"{"b":"x","a":[true]}"#),
        ] {
            assert_eq!(texts.id(id.as_bytes()).expect("an id").get(), text);
        }
        assert!(texts.id(rawdoc! {"other": 1}.as_bytes()).is_err());
        assert!(texts.inexact.is_empty());
    }

    #[test]
    fn what_is_not_exact_is_told_by_its_place_in_the_answer() {
        let fine = Bytes::from(rawdoc! {"a": 1}.into_bytes());
        // {"b": "\xff"}
        let odd = Bytes::from_static(b"\x0e\0\0\0\x02b\0\x02\0\0\0\xff\0\0");
        let mut texts = Texts::new(Notation::Relaxed);
        let all = texts.each("documents", 5, &[fine, odd]).expect("documents");
        assert_eq!((all[0].get(), all[1].get()), ("{\"a\":1}", "{\"b\":\"\u{fffd}\"}"));
        assert_eq!(texts.bytes, all[0].get().len() + all[1].get().len());
        let reason = "bytes that are not UTF-8 are shown as U+FFFD";
        assert_eq!(texts.inexact, [format!("documents.6.b: {reason}")]);
    }
}
