//! Sessions and transactions, as people write them and as entries name them.

use std::str::FromStr;

use hindsight_oplog::Entry;

/// Why a text does not name a session or a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The text is not the UUID of a session.
    #[error(
        "a session is the UUID in `lsid.id` of its entries, such as \
         0c5f1b1e-6f0a-4c0e-9d53-3a2f0c4c8b7e"
    )]
    NotASession,
    /// The text is not a session and a transaction number.
    #[error(
        "a transaction is SESSION:NUMBER, the UUID in `lsid.id` of its entries and their `txnNumber`, such as \
         0c5f1b1e-6f0a-4c0e-9d53-3a2f0c4c8b7e:7"
    )]
    NotATransaction,
}

/// The UUID in `lsid.id` of the entries that a session wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// Returns whether this session wrote the entry.
    pub fn matches(&self, entry: &Entry<'_>) -> bool {
        let id = entry.lsid.and_then(|lsid| lsid.get(b"id").ok().flatten());
        id.and_then(|id| id.as_uuid()) == Some(self.0)
    }
}

/// Parses a UUID with or without hyphens.
impl FromStr for SessionId {
    type Err = SessionError;

    fn from_str(text: &str) -> Result<Self, SessionError> {
        let uuid = bson::Uuid::parse_str(text).map_err(|_| SessionError::NotASession)?;
        Ok(Self(uuid.bytes()))
    }
}

/// A transaction or a retryable write, named by its session and its `txnNumber`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionId {
    /// The session.
    pub session: SessionId,
    /// The `txnNumber`.
    pub number: i64,
}

impl TransactionId {
    /// Returns whether the entry belongs to this transaction or retryable write.
    pub fn matches(&self, entry: &Entry<'_>) -> bool {
        entry.txn_number == Some(self.number) && self.session.matches(entry)
    }
}

/// Parses `SESSION:NUMBER`.
impl FromStr for TransactionId {
    type Err = SessionError;

    fn from_str(text: &str) -> Result<Self, SessionError> {
        let (session, number) = text.rsplit_once(':').ok_or(SessionError::NotATransaction)?;
        let session = session.parse().map_err(|_| SessionError::NotATransaction)?;
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SessionError::NotATransaction);
        }
        let number = number.parse().map_err(|_| SessionError::NotATransaction)?;
        Ok(Self { session, number })
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    const UUID: &str = "0c5f1b1e-6f0a-4c0e-9d53-3a2f0c4c8b7e";

    #[test]
    fn texts_are_read_strictly() {
        let session: SessionId = UUID.parse().expect("a session");
        assert_eq!(UUID.replace('-', "").parse(), Ok(session));
        assert_eq!(format!("{UUID}:7").parse(), Ok(TransactionId { session, number: 7 }));
        for text in ["", "x", "7", &UUID[1..], &format!("{UUID}:7")] {
            assert_eq!(text.parse::<SessionId>(), Err(SessionError::NotASession), "{text:?}");
        }
        for text in ["", ":", "7:7", UUID, "x:7", &format!("{UUID}:"), &format!("{UUID}:-7")] {
            assert_eq!(
                text.parse::<TransactionId>(),
                Err(SessionError::NotATransaction),
                "{text:?}"
            );
        }
        for number in ["+7", "7.0", " 7", "9223372036854775808"] {
            assert!(format!("{UUID}:{number}").parse::<TransactionId>().is_err(), "{number:?}");
        }
    }

    #[test]
    fn entries_are_told_by_session_and_number() {
        let uuid = bson::Uuid::parse_str(UUID).expect("a UUID");
        let entry = |id: bson::Binary, number: i64| {
            rawdoc! {
                "lsid": {"id": id, "uid": 1}, "txnNumber": number, "op": "c", "ns": "admin.$cmd",
                "o": {"commitTransaction": 1}, "ts": bson::Timestamp { time: 5, increment: 1 },
            }
        };
        let matches = |bytes: &bson::RawDocumentBuf, number: i64| {
            let entry = Entry::parse(bytes.as_bytes()).expect("an entry");
            let wanted: TransactionId = format!("{UUID}:{number}").parse().expect("a transaction");
            (wanted.session.matches(&entry), wanted.matches(&entry))
        };
        assert_eq!(matches(&entry(uuid.into(), 7), 7), (true, true));
        assert_eq!(matches(&entry(uuid.into(), 8), 7), (true, false));
        assert_eq!(matches(&entry(bson::Uuid::from_bytes([1; 16]).into(), 7), 7), (false, false));
        let other_subtype = bson::Binary {
            subtype: bson::spec::BinarySubtype::UuidOld,
            bytes: uuid.bytes().to_vec(),
        };
        assert_eq!(matches(&entry(other_subtype, 7), 7), (false, false));
    }
}
