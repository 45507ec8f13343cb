//! A token, which a caller presents. The server keeps only its digest.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Number of random bytes in a token, so that nobody can guess it.
const RANDOM_BYTES: usize = 24;

/// Limit on the length of a token. Hindsight's own tokens are shorter, and longer texts are
/// rejected unread.
const MAX_LENGTH: usize = 256;

/// Lets people, and programs that look for leaked secrets, recognize a token.
const PREFIX: &str = "hst_";

/// A token is a secret: it has no `Display`, and its `Debug` reveals nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Returns a new token from the system's source of randomness.
    pub fn random() -> Result<Self, NoRandomness> {
        let mut bytes = [0; RANDOM_BYTES];
        let provider = tokio_rustls::rustls::crypto::ring::default_provider();
        provider.secure_random.fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(format!("{PREFIX}{}", hex(&bytes))))
    }

    /// Parses what a caller presents as a token: visible ASCII, and not too long.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= MAX_LENGTH;
        (fits && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(text.to_owned()))
    }

    /// Returns the token itself, for the person who is to receive it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct NoRandomness;

/// The SHA-256 of a token.
///
/// The time that comparing and looking up digests takes need not be constant. A caller who measures
/// it learns where the digest of a guess differs from a stored digest, but cannot choose tokens by
/// their digests. Digests are not stretched: a token is random and long, unlike a password.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Parses 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: &[u8; 64] = text.as_bytes().try_into().ok()?;
        let mut digest = [0; 32];
        for (byte, digits) in digest.iter_mut().zip(bytes.chunks_exact(2)) {
            *byte = (digit(digits[0])? << 4) | digit(digits[1])?;
        }
        Some(Self(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_and_never_the_same() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.reveal().len(), PREFIX.len() + 2 * RANDOM_BYTES);
        assert_eq!(Token::parse(one.reveal()), Some(one.clone()));
        assert_eq!(format!("{one:?}"), "Token(hidden)");
    }

    /// `printf %s abc | sha256sum`
    #[test]
    fn a_digest_is_the_sha256_that_other_programs_compute() {
        let digest = Token::parse("abc").unwrap().digest();
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), known);
        assert_eq!(Digest::parse(known), Some(digest));
        assert_eq!(Digest::parse(&known.to_uppercase()), Some(digest));
    }

    #[test]
    fn what_is_no_digest_or_token_is_refused() {
        let long = "a".repeat(65);
        for text in ["", "abc", &long, &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(Digest::parse(text), None, "{text}");
        }
        for text in ["", "two words", "line\n", "tökn", &"a".repeat(MAX_LENGTH + 1)] {
            assert_eq!(Token::parse(text), None, "{text:?}");
        }
    }
}
