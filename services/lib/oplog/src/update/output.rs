//! The document under construction, which is never larger than a document may be.

use super::error::UpdateError;
use super::limit::MAX_DOCUMENT;
use crate::raw::{Element, kind};

pub(super) struct Output {
    bytes: Vec<u8>,
}

impl Output {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity.min(MAX_DOCUMENT)) }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Copies elements as they stand.
    pub(super) fn copy(&mut self, elements: &[u8]) -> Result<(), UpdateError> {
        self.reserve(elements.len())?;
        self.bytes.extend_from_slice(elements);
        Ok(())
    }

    /// Writes an element's value under the given name.
    pub(super) fn renamed(&mut self, name: &[u8], of: Element<'_>) -> Result<(), UpdateError> {
        self.value(name, of.kind, of.value)
    }

    /// Writes a value given by its type and bytes.
    pub(super) fn value(&mut self, name: &[u8], kind: u8, value: &[u8]) -> Result<(), UpdateError> {
        self.head(kind, name, value.len())?;
        self.bytes.extend_from_slice(value);
        Ok(())
    }

    pub(super) fn null(&mut self, name: &[u8]) -> Result<(), UpdateError> {
        self.head(kind::NULL, name, 0)
    }

    /// Writes binary data given in two parts.
    pub(super) fn binary(
        &mut self,
        name: &[u8],
        subtype: u8,
        parts: [&[u8]; 2],
    ) -> Result<(), UpdateError> {
        let length = parts[0].len() + parts[1].len();
        self.head(kind::BINARY, name, length + 5)?;
        let length = i32::try_from(length).expect("bounded by MAX_DOCUMENT");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.push(subtype);
        self.bytes.extend_from_slice(parts[0]);
        self.bytes.extend_from_slice(parts[1]);
        Ok(())
    }

    /// Writes the type and name of a nested document or array. [`Output::start`] has to follow.
    pub(super) fn head_of(&mut self, kind: u8, name: &[u8]) -> Result<(), UpdateError> {
        self.head(kind, name, 0)
    }

    /// Starts a document. Returns what [`Output::end`] needs.
    pub(super) fn start(&mut self) -> Result<usize, UpdateError> {
        self.reserve(5)?;
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        Ok(at)
    }

    pub(super) fn end(&mut self, at: usize) -> Result<(), UpdateError> {
        self.reserve(1)?;
        self.bytes.push(0);
        let length = i32::try_from(self.bytes.len() - at).expect("bounded by MAX_DOCUMENT");
        self.bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        Ok(())
    }

    fn head(&mut self, kind: u8, name: &[u8], value_length: usize) -> Result<(), UpdateError> {
        self.reserve(name.len() + 2 + value_length)?;
        self.bytes.push(kind);
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
        Ok(())
    }

    fn reserve(&self, more: usize) -> Result<(), UpdateError> {
        if self.bytes.len() + more > MAX_DOCUMENT { Err(UpdateError::TooLarge) } else { Ok(()) }
    }
}

/// The names of an array's elements, `0`, `1`, …, counted in decimal as they are needed.
pub(super) struct IndexName {
    index: u64,
    digits: [u8; 20],
    start: usize,
}

impl IndexName {
    pub(super) fn zero() -> Self {
        Self { index: 0, digits: [b'0'; 20], start: 19 }
    }

    pub(super) fn index(&self) -> u64 {
        self.index
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.digits[self.start..]
    }

    pub(super) fn advance(&mut self) {
        self.index += 1;
        let mut at = self.digits.len() - 1;
        while self.digits[at] == b'9' {
            self.digits[at] = b'0';
            at -= 1;
        }
        // The digits left of the name are zeros, so a carry past the first digit makes it 1.
        self.digits[at] += 1;
        self.start = self.start.min(at);
    }
}

/// Parses an array index as the server reads it from a path or a diff: decimal digits that fit in
/// 32 bits.
pub(super) fn parse_index(name: &[u8]) -> Option<u64> {
    if name.is_empty() || !name.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut index = 0_u64;
    for digit in name {
        index = index * 10 + u64::from(digit - b'0');
        if index > u64::from(u32::MAX) {
            return None;
        }
    }
    Some(index)
}
