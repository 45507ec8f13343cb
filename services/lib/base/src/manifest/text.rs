//! How positions and bytes are written in the manifest: positions as `{"t", "i"}`, as in all JSON
//! of this program, and bytes in hexadecimal.

use hindsight_oplog::{OpTime, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::Uuid;

#[derive(Serialize, Deserialize)]
struct OpTimeText {
    t: u32,
    i: u32,
    term: i64,
}

impl From<OpTime> for OpTimeText {
    fn from(optime: OpTime) -> Self {
        OpTimeText { t: optime.ts.seconds(), i: optime.ts.increment(), term: optime.term }
    }
}

impl From<OpTimeText> for OpTime {
    fn from(text: OpTimeText) -> Self {
        OpTime::new(text.t, text.i, text.term)
    }
}

pub(super) mod optime {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(optime: &OpTime, to: S) -> Result<S::Ok, S::Error> {
        OpTimeText::from(*optime).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<OpTime, D::Error> {
        OpTimeText::deserialize(from).map(OpTime::from)
    }
}

pub(super) mod optional_optime {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        optime: &Option<OpTime>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        optime.map(OpTimeText::from).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<OpTime>, D::Error> {
        Ok(Option::<OpTimeText>::deserialize(from)?.map(OpTime::from))
    }
}

pub(super) mod timestamp {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct TimestampText {
        t: u32,
        i: u32,
    }

    pub(crate) fn serialize<S: Serializer>(ts: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        TimestampText { t: ts.seconds(), i: ts.increment() }.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = TimestampText::deserialize(from)?;
        Ok(Timestamp::new(text.t, text.i))
    }
}

/// Formats a UUID as `8-4-4-4-12` digits in lower case, as the shell prints it.
pub fn uuid_text(uuid: &Uuid) -> String {
    let digits = to_hex(uuid);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

pub(super) mod uuid {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(uuid: &Uuid, to: S) -> Result<S::Ok, S::Error> {
        uuid_text(uuid).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Uuid, D::Error> {
        let text = String::deserialize(from)?;
        array(&text.replace('-', "")).map_err(D::Error::custom)
    }
}

pub(super) mod object_id {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        id: &Option<[u8; 12]>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        id.as_ref().map(|id| to_hex(id)).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<[u8; 12]>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| array(&text)).transpose().map_err(D::Error::custom)
    }
}

pub(super) mod digest {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(digest: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to_hex(digest).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        array(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

pub(super) mod hex {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to_hex(bytes).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        from_hex(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

pub(super) mod optional_hex {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_deref().map(to_hex).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| from_hex(&text)).transpose().map_err(D::Error::custom)
    }
}

pub(super) mod hex_list {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(list: &[Vec<u8>], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(list.iter().map(|bytes| to_hex(bytes)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Vec<u8>>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts.iter().map(|text| from_hex(text)).collect::<Result<_, _>>().map_err(D::Error::custom)
    }
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

fn from_hex(text: &str) -> Result<Vec<u8>, &'static str> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err("not hexadecimal"),
    };
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    if !odd.is_empty() {
        return Err("an odd number of hexadecimal digits");
    }
    pairs.iter().map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?)).collect()
}

fn array<const N: usize>(text: &str) -> Result<[u8; N], &'static str> {
    from_hex(text)?.try_into().map_err(|_| "hexadecimal of another length than expected")
}
