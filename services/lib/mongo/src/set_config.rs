//! The configuration of a replica set.

use bson::{RawDocumentBuf, rawdoc};
use hindsight_oplog::raw::{Doc, Element, Malformed, kind};

/// The answer to `replSetGetConfig`. A field of another type than the server's counts as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetConfig {
    /// The name of the set. Empty when the answer has none.
    pub set_name: String,
    /// The id that the set received when it was initiated.
    pub replica_set_id: Option<[u8; 12]>,
    /// The members, in the order of the configuration. A member without a host is left out.
    pub members: Vec<SetMember>,
}

/// A member, as the set's configuration describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetMember {
    /// The address, as `host:port`.
    pub host: String,
    pub is_hidden: bool,
    /// How far the member applies entries behind the others, in seconds (`secondaryDelaySecs`, or
    /// `slaveDelay` before 5.0).
    pub delay_seconds: i64,
    pub is_arbiter: bool,
    /// False when the member lists no index except the one on `_id`.
    pub builds_indexes: bool,
    /// Names and values.
    pub tags: Vec<(String, String)>,
}

impl SetConfig {
    /// Returns the command that asks for the configuration. It runs on `admin`.
    pub fn command() -> RawDocumentBuf {
        rawdoc! { "replSetGetConfig": 1 }
    }

    /// Reads the answer. Without a configuration in it, everything is absent.
    ///
    /// # Errors
    /// Returns [`Malformed`] when the answer is not BSON.
    pub fn read(reply: Doc<'_>) -> Result<Self, Malformed> {
        let config = part(reply, b"config")?;
        let id = part(config, b"settings")?.get(b"replicaSetId")?;
        let id = id.filter(|id| id.kind == kind::OBJECT_ID);
        let listed = config.get(b"members")?.and_then(Element::as_array).unwrap_or(Doc::EMPTY);
        let mut members = Vec::new();
        for member in listed.elements() {
            let Some(member) = member?.as_doc() else { continue };
            members.extend(SetMember::read(member)?);
        }
        Ok(Self {
            set_name: text(config, b"_id")?.unwrap_or_default(),
            replica_set_id: id.and_then(|id| id.value.try_into().ok()),
            members,
        })
    }
}

impl SetMember {
    fn read(member: Doc<'_>) -> Result<Option<Self>, Malformed> {
        let flag = |name: &[u8], otherwise: bool| -> Result<bool, Malformed> {
            Ok(member.get(name)?.and_then(Element::as_bool).unwrap_or(otherwise))
        };
        let integer = |name: &[u8]| -> Result<Option<i64>, Malformed> {
            Ok(member.get(name)?.and_then(Element::as_integer))
        };
        let Some(host) = text(member, b"host")? else { return Ok(None) };
        let delay = integer(b"secondaryDelaySecs")?.or(integer(b"slaveDelay")?);
        let mut tags = Vec::new();
        for tag in part(member, b"tags")?.elements() {
            let tag = tag?;
            if let (Ok(name), Some(value)) = (std::str::from_utf8(tag.name), tag.as_str()) {
                tags.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(Some(Self {
            host,
            is_hidden: flag(b"hidden", false)?,
            delay_seconds: delay.unwrap_or(0),
            is_arbiter: flag(b"arbiterOnly", false)?,
            builds_indexes: flag(b"buildIndexes", true)?,
            tags,
        }))
    }
}

fn part<'a>(doc: Doc<'a>, name: &[u8]) -> Result<Doc<'a>, Malformed> {
    Ok(doc.get(name)?.and_then(Element::as_doc).unwrap_or(Doc::EMPTY))
}

fn text(doc: Doc<'_>, name: &[u8]) -> Result<Option<String>, Malformed> {
    Ok(doc.get(name)?.and_then(Element::as_str).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use bson::oid::ObjectId;
    use bson::{Bson, Document, doc};

    use super::*;

    fn read(reply: &Document) -> SetConfig {
        let bytes = bson::serialize_to_vec(reply).expect("serializes");
        Doc::new(&bytes).and_then(SetConfig::read).expect("well formed")
    }

    fn member(host: &str) -> SetMember {
        SetMember {
            host: host.to_owned(),
            is_hidden: false,
            delay_seconds: 0,
            is_arbiter: false,
            builds_indexes: true,
            tags: Vec::new(),
        }
    }

    #[test]
    fn set_and_members_are_read_with_the_defaults_of_the_server() {
        let config = doc! {
            "_id": "rs0",
            "members": [
                {"host": "a:1", "hidden": true, "tags": {"dc": "east", "rack": "7", "odd": 1}},
                {"host": "b:1", "secondaryDelaySecs": 5_i64, "buildIndexes": false},
                {"host": "c:1", "slaveDelay": 6.0, "arbiterOnly": true},
                {"_id": 4},
                {"host": "d:1"},
            ],
            "settings": {"replicaSetId": ObjectId::from_bytes([7; 12])},
        };
        let found = read(&doc! {"config": config, "ok": 1});
        assert_eq!((found.set_name.as_str(), found.replica_set_id), ("rs0", Some([7; 12])));
        let tags = [("dc", "east"), ("rack", "7")];
        let tags = tags.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(
            found.members,
            [
                SetMember { is_hidden: true, tags, ..member("a:1") },
                SetMember { delay_seconds: 5, builds_indexes: false, ..member("b:1") },
                SetMember { delay_seconds: 6, is_arbiter: true, ..member("c:1") },
                member("d:1"),
            ]
        );
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_absent() {
        for reply in [doc! {"ok": 1}, doc! {"config": 1}, doc! {"config": {"members": 1}}] {
            assert_eq!(read(&reply), SetConfig::default(), "{reply}");
        }
        // A string of seven letters takes twelve bytes, as an ObjectId does.
        for id in [Bson::from("letters"), Bson::from(1), Bson::Null] {
            let config = doc! {"settings": {"replicaSetId": id}};
            assert_eq!(read(&doc! {"config": config}).replica_set_id, None);
        }
    }
}
