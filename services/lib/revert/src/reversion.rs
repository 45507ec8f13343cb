//! One document that is put back. Pure.

use hindsight_oplog::id_key;
use hindsight_oplog::raw::{Doc, Malformed};

/// A document that differs between the wanted time and now. At least one state is present, and the
/// two differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reversion {
    /// The namespace, `db.collection`.
    pub ns: String,
    /// A BSON document `{_id: …}`.
    pub id: Vec<u8>,
    /// What the deployment must hold for the document to be written; `None` when it must hold none.
    pub now: Option<Vec<u8>>,
    /// What the document becomes; `None` when it is deleted.
    pub then: Option<Vec<u8>>,
}

/// Whether a revert is done or undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Documents become what they were.
    Revert,
    /// Documents become what they were before a revert.
    Undo,
}

/// What is to be done about a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The deployment holds what is expected.
    Write,
    /// The deployment holds what is wanted.
    Already,
    /// Somebody wrote the document since.
    Changed,
}

impl Reversion {
    /// Returns the reversion that a direction asks for.
    pub fn towards(self, direction: Direction) -> Self {
        match direction {
            Direction::Revert => self,
            Direction::Undo => Self { now: self.then, then: self.now, ..self },
        }
    }

    /// Returns the bytes that the reversion takes in memory, roughly.
    pub(crate) fn byte_count(&self) -> usize {
        let states = [&self.now, &self.then].into_iter().flatten().map(Vec::len);
        self.id.len() + states.sum::<usize>()
    }

    /// Returns the database and the name of the collection.
    pub(crate) fn names(&self) -> (&str, &str) {
        self.ns.split_once('.').unwrap_or((&self.ns, ""))
    }

    pub(crate) fn judge(&self, found: Option<&[u8]>) -> Verdict {
        if found == self.then.as_deref() {
            Verdict::Already
        } else if found == self.now.as_deref() {
            Verdict::Write
        } else {
            Verdict::Changed
        }
    }
}

/// Returns the key of the `_id` of a document. Ids that a server takes for one have one key, except
/// for strings under a collation.
pub(crate) fn key_of(document: &[u8]) -> Result<Vec<u8>, Malformed> {
    let id = Doc::new(document)?.get(b"_id")?.ok_or(Malformed("a document without _id"))?;
    let mut key = Vec::new();
    id_key::encode(id, &mut key);
    Ok(key)
}

#[cfg(test)]
pub(crate) mod tests {
    use bson::{Document, doc};

    use super::*;

    pub(crate) fn bytes(document: Document) -> Vec<u8> {
        document.to_vec().expect("BSON")
    }

    pub(crate) fn reversion(id: i32, now: Option<Document>, then: Option<Document>) -> Reversion {
        let (now, then) = (now.map(bytes), then.map(bytes));
        Reversion { ns: "shop.orders".to_owned(), id: bytes(doc! {"_id": id}), now, then }
    }

    #[test]
    fn only_what_the_history_knows_is_overwritten() {
        let (old, new) = (doc! {"_id": 1, "n": 1}, doc! {"_id": 1, "n": 2});
        let change = reversion(1, Some(new.clone()), Some(old.clone()));
        let other = bytes(doc! {"_id": 1, "n": 2.0});
        assert_eq!(change.judge(Some(&bytes(new.clone()))), Verdict::Write);
        assert_eq!(change.judge(Some(&bytes(old.clone()))), Verdict::Already);
        assert_eq!(change.judge(Some(&other)), Verdict::Changed, "an equal number of another type");
        assert_eq!(change.judge(None), Verdict::Changed, "deleted since");
        let removed = reversion(1, None, Some(old.clone()));
        assert_eq!(removed.judge(None), Verdict::Write);
        assert_eq!(removed.judge(Some(&other)), Verdict::Changed);
        let undone = removed.towards(Direction::Undo);
        assert_eq!(undone.judge(Some(&bytes(old))), Verdict::Write);
        assert_eq!(undone.judge(None), Verdict::Already);
    }
}
