//! Bytes as text.

use std::fmt;

/// Shows bytes as hexadecimal digits in lower case, two for each byte.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_two_digits() {
        assert_eq!(Hex(&[0, 9, 0xab, 0xff]).to_string(), "0009abff");
        assert_eq!(Hex(&[]).to_string(), "");
    }
}
