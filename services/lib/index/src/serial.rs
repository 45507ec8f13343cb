//! How positions and digests look inside stored JSON: `{"t":…,"i":…}`, with `"term"` for an optime,
//! and hexadecimal for digests. The modules here are for `#[serde(with = "…")]`.

use hindsight_oplog::{OpTime, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
struct TimestampForm {
    t: u32,
    i: u32,
}

#[derive(Serialize, Deserialize)]
struct OpTimeForm {
    t: u32,
    i: u32,
    term: i64,
}

impl From<Timestamp> for TimestampForm {
    fn from(ts: Timestamp) -> Self {
        TimestampForm { t: ts.seconds(), i: ts.increment() }
    }
}

impl From<TimestampForm> for Timestamp {
    fn from(form: TimestampForm) -> Self {
        Timestamp::new(form.t, form.i)
    }
}

impl From<OpTime> for OpTimeForm {
    fn from(optime: OpTime) -> Self {
        let TimestampForm { t, i } = optime.ts.into();
        OpTimeForm { t, i, term: optime.term }
    }
}

impl From<OpTimeForm> for OpTime {
    fn from(form: OpTimeForm) -> Self {
        OpTime::new(form.t, form.i, form.term)
    }
}

pub(crate) mod timestamp {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(ts: &Timestamp, out: S) -> Result<S::Ok, S::Error> {
        TimestampForm::from(*ts).serialize(out)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Timestamp, D::Error> {
        TimestampForm::deserialize(input).map(Into::into)
    }
}

pub(crate) mod timestamp_or_none {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        ts: &Option<Timestamp>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        ts.map(TimestampForm::from).serialize(out)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<TimestampForm>::deserialize(input)?.map(Into::into))
    }
}

pub(crate) mod optime {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(optime: &OpTime, out: S) -> Result<S::Ok, S::Error> {
        OpTimeForm::from(*optime).serialize(out)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<OpTime, D::Error> {
        OpTimeForm::deserialize(input).map(Into::into)
    }
}

pub(crate) mod optime_or_none {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        optime: &Option<OpTime>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        optime.map(OpTimeForm::from).serialize(out)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<Option<OpTime>, D::Error> {
        Ok(Option::<OpTimeForm>::deserialize(input)?.map(Into::into))
    }
}

pub(crate) mod digest {
    use super::*;
    use serde::de::Error;

    pub(crate) fn serialize<S: Serializer>(digest: &[u8; 32], out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(blake3::Hash::from_bytes(*digest).to_hex().as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(input)?;
        let hash = blake3::Hash::from_hex(&text).map_err(D::Error::custom)?;
        Ok(*hash.as_bytes())
    }
}
