//! Fixed-width little-endian fields: writing them, and strictly reading them back.

use hindsight_oplog::{OpTime, Timestamp};

use crate::error::{Error, Place};

pub(crate) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_optime(out: &mut Vec<u8>, optime: OpTime) {
    put_u64(out, optime.ts.as_u64());
    put_i64(out, optime.term);
}

/// Writes a text's length in 32 bits, then the text.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_u32(out, length_u32(text.len()));
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("the limits keep every length within 32 bits")
}

/// Reads fields from the front of bytes that come from outside.
pub(crate) struct FieldReader<'a> {
    rest: &'a [u8],
    place: Place,
}

impl<'a> FieldReader<'a> {
    pub(crate) fn new(bytes: &'a [u8], place: Place) -> Self {
        Self { rest: bytes, place }
    }

    pub(crate) fn corrupt(&self, what: &'static str) -> Error {
        Error::corrupt(self.place, what)
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.corrupt("it ends inside a field"));
        };
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = self.bytes(N)?;
        Ok(bytes.try_into().expect("as many bytes as were asked for"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Error> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(crate) fn optime(&mut self) -> Result<OpTime, Error> {
        Ok(OpTime { ts: Timestamp::from_u64(self.u64()?), term: self.i64()? })
    }

    /// Reads 0 or 1. Other values would be a second way of writing the same segment.
    pub(crate) fn flag(&mut self) -> Result<bool, Error> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.corrupt("a flag is neither 0 nor 1")),
        }
    }

    pub(crate) fn expect(&mut self, expected: &[u8], what: &'static str) -> Result<(), Error> {
        if self.bytes(expected.len())? != expected {
            return Err(self.corrupt(what));
        }
        Ok(())
    }

    pub(crate) fn text(&mut self, length: usize) -> Result<&'a str, Error> {
        let bytes = self.bytes(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.corrupt("a name is not UTF-8"))
    }

    /// Reads what [`put_text`] wrote.
    pub(crate) fn sized_text(&mut self) -> Result<&'a str, Error> {
        let length = self.u32()? as usize;
        self.text(length)
    }

    /// Checks a count of items that take at least `least` bytes each. So a count cannot ask for
    /// more memory than the bytes at hand justify.
    pub(crate) fn check_count(&self, count: u32, least: usize) -> Result<usize, Error> {
        let count = count as usize;
        if count > self.remaining() / least {
            return Err(self.corrupt("a count is larger than its bytes allow"));
        }
        Ok(count)
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.corrupt("it has bytes left over")) }
    }
}
