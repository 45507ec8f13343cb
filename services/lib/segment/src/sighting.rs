//! What a member of the source listed of its catalog. Sightings are kept in the seal of a segment.
//!
//! Indexes can come into being without an entry: a rolling build makes them on each member alone. A
//! sighting says what existed, so that every reader that derives a catalog from the log learns of
//! it at the same place (I5). A sighting makes no claim: its reader judges whether it differs from
//! what the entries made.

use hindsight_oplog::Timestamp;
use hindsight_oplog::raw::{Doc, DocWriter, Element, kind};

use crate::error::{Error, Place};
use crate::limits::{MAX_SIGHTINGS_BYTES, MAX_SIGHTINGS_RAW_BYTES};

/// Higher levels of zstd save only a few percent of what is small already.
const ZSTD_LEVEL: i32 = 3;

/// One collection as members listed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogSighting {
    /// The collection's UUID, which identifies it.
    pub uuid: [u8; 16],
    /// `db.collection`, for people. The collection is identified by its UUID.
    pub ns: String,
    /// The listing reflects every entry up to this time.
    pub seen_from: Timestamp,
    /// The listing reflects no entry after this time.
    pub seen_to: Timestamp,
    /// The members that listed the collection like this, for people.
    pub members: Vec<String>,
    /// The collection's options as `listCollections` returns them, in BSON.
    pub options: Vec<u8>,
    /// The index specifications as `listIndexes` returns them, each in BSON. Only finished indexes
    /// are included, `_id_` among them.
    pub indexes: Vec<Vec<u8>>,
}

/// Sightings as a seal holds them: BSON documents one after another, compressed with zstd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sightings {
    pub(crate) raw_len: u32,
    pub(crate) stored: Vec<u8>,
}

impl Sightings {
    /// Encodes as many of the sightings, from the first one on, as a seal may hold, and returns
    /// their number too. None when there are no sightings, when the first one alone is too large,
    /// or when they are too large compressed.
    pub fn of(sightings: &[CatalogSighting]) -> Option<(Self, usize)> {
        let (mut raw, mut count) = (Vec::new(), 0);
        for sighting in sightings {
            let document = sighting.encode();
            if raw.len() + document.len() > MAX_SIGHTINGS_RAW_BYTES {
                break;
            }
            raw.extend_from_slice(&document);
            count += 1;
        }
        let raw_len = u32::try_from(raw.len()).ok().filter(|_| count > 0)?;
        let stored = zstd::bulk::compress(&raw, ZSTD_LEVEL).ok()?;
        (stored.len() <= MAX_SIGHTINGS_BYTES).then_some((Self { raw_len, stored }, count))
    }

    /// Returns the sightings, in the order in which they were passed to [`Sightings::of`].
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`] when the bytes are not what [`Sightings::of`] wrote.
    pub fn decode(&self) -> Result<Vec<CatalogSighting>, Error> {
        let bad = || Error::corrupt(Place::Seal, "its sightings of the catalog cannot be read");
        let length = self.raw_len as usize;
        if length > MAX_SIGHTINGS_RAW_BYTES {
            return Err(bad());
        }
        let raw = zstd::bulk::decompress(&self.stored, length).map_err(|_| bad())?;
        if raw.len() != length {
            return Err(bad());
        }
        let mut sightings = Vec::new();
        let mut rest = &raw[..];
        while !rest.is_empty() {
            let (document, after) = Doc::split_first(rest).map_err(|_| bad())?;
            sightings.push(CatalogSighting::decode(document).ok_or_else(bad)?);
            rest = after;
        }
        Ok(sightings)
    }
}

impl CatalogSighting {
    fn encode(&self) -> Vec<u8> {
        let mut record = DocWriter::with_capacity(256);
        let mut uuid = vec![16, 0, 0, 0, 4];
        uuid.extend_from_slice(&self.uuid);
        record.value(kind::BINARY, b"uuid", &uuid).string(b"ns", &self.ns);
        for (name, ts) in [(b"from".as_slice(), self.seen_from), (b"to", self.seen_to)] {
            record.value(kind::TIMESTAMP, name, &ts.as_u64().to_le_bytes());
        }
        record.open(kind::ARRAY, b"members");
        for (at, member) in self.members.iter().enumerate() {
            record.string(at.to_string().as_bytes(), member);
        }
        record.close().value(kind::DOCUMENT, b"options", &self.options);
        record.open(kind::ARRAY, b"indexes");
        for (at, spec) in self.indexes.iter().enumerate() {
            record.value(kind::DOCUMENT, at.to_string().as_bytes(), spec);
        }
        record.close();
        record.finish()
    }

    fn decode(record: Doc<'_>) -> Option<Self> {
        record.validate().ok()?;
        let field = |name: &[u8]| record.get(name).ok().flatten();
        let documents = field(b"indexes")?.as_array()?.elements();
        let members = field(b"members")?.as_array()?.elements();
        Some(Self {
            uuid: field(b"uuid")?.as_uuid()?,
            ns: field(b"ns")?.as_str().filter(|ns| ns.contains('.'))?.to_owned(),
            seen_from: field(b"from").and_then(Element::as_timestamp)?,
            seen_to: field(b"to").and_then(Element::as_timestamp)?,
            members: members
                .map(|it| Some(it.ok()?.as_str()?.to_owned()))
                .collect::<Option<_>>()?,
            options: field(b"options")?.as_doc()?.as_bytes().to_vec(),
            indexes: documents
                .map(|it| Some(it.ok()?.as_doc()?.as_bytes().to_vec()))
                .collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sighting(number: u8, filler: usize) -> CatalogSighting {
        let mut spec = DocWriter::new();
        spec.int32(b"v", 2).open(kind::DOCUMENT, b"key").int32(b"x", 1).close();
        spec.string(b"name", &"x".repeat(filler));
        CatalogSighting {
            uuid: [number; 16],
            ns: format!("shop.c{number}"),
            seen_from: Timestamp::new(5, 1),
            seen_to: Timestamp::new(6, 2),
            members: vec!["a:1".to_owned(), "b:2".to_owned()],
            options: Doc::EMPTY.as_bytes().to_vec(),
            indexes: vec![spec.finish()],
        }
    }

    #[test]
    fn sightings_come_back_as_they_went_in() {
        let all: Vec<_> = (0..20).map(|number| sighting(number, 10)).collect();
        let (stored, count) = Sightings::of(&all).unwrap();
        assert_eq!(count, 20);
        assert!(stored.stored.len() < stored.raw_len as usize / 2);
        assert_eq!(stored.decode().unwrap(), all);
        assert!(Sightings::of(&[]).is_none());
    }

    #[test]
    fn what_does_not_fit_is_left_for_the_next_segment() {
        let large = MAX_SIGHTINGS_RAW_BYTES / 2 - 1000;
        let all = [sighting(1, large), sighting(2, large), sighting(3, large)];
        let (stored, count) = Sightings::of(&all).unwrap();
        assert_eq!(count, 2);
        assert_eq!(stored.decode().unwrap(), all[..2]);
        assert!(Sightings::of(&[sighting(1, MAX_SIGHTINGS_RAW_BYTES)]).is_none());
    }

    #[test]
    fn hostile_bytes_are_damage_and_take_no_memory() {
        let (stored, _) = Sightings::of(&[sighting(1, 10)]).unwrap();
        for wrong in [
            Sightings { raw_len: u32::MAX, ..stored.clone() },
            Sightings { raw_len: stored.raw_len + 1, ..stored.clone() },
            Sightings { raw_len: stored.raw_len - 1, ..stored.clone() },
            Sightings { stored: stored.stored[1..].to_vec(), ..stored.clone() },
            Sightings { raw_len: 7, stored: zstd::bulk::compress(b"no BSON", 1).unwrap() },
            Sightings { raw_len: 5, stored: zstd::bulk::compress(&[5, 0, 0, 0, 0], 1).unwrap() },
        ] {
            assert!(matches!(wrong.decode(), Err(Error::Corrupt { .. })), "{wrong:?}");
        }
    }
}
