//! Answers in pages: how much of a list fits into a page, and where the next page begins.
//!
//! A token is opaque to callers (AIP-158): base64url of
//!
//! ```text
//! version 1 byte │ digest of the request 8 bytes │ position to continue at
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hindsight_oplog::Timestamp;
use hindsight_refusal::Reason;
use tonic::Status;

const DEFAULT_ITEMS: u32 = 1_000;
const MAX_ITEMS: u32 = 10_000;
const MAX_BYTES: usize = 4 << 20;
/// Limit on the position in a token. An id may be as large as a document, but a token travels in a
/// URL. A page that would end at a longer id fails with an error.
const MAX_TOKEN: usize = 8 << 10;

/// The items of a page, up to one of the limits. The first item always fits.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// Whether the list has more items than fit into the page.
    pub(crate) is_cut: bool,
    bytes: usize,
    limit: usize,
}

impl<T> Page<T> {
    /// Returns an empty page. `size` is the page size that the request asks for; 0 means the
    /// default.
    pub(crate) fn of(size: u32) -> Self {
        let limit = if size == 0 { DEFAULT_ITEMS } else { size.min(MAX_ITEMS) };
        Self { items: Vec::new(), is_cut: false, bytes: 0, limit: limit as usize }
    }

    /// Adds an item. Returns false when the item belongs to the next page.
    pub(crate) fn take(&mut self, item: T, bytes: usize) -> bool {
        let fits = self.items.len() < self.limit && self.bytes + bytes <= MAX_BYTES;
        if !fits && !self.items.is_empty() {
            self.is_cut = true;
            return false;
        }
        self.bytes += bytes;
        self.items.push(item);
        true
    }
}

/// What a token belongs to: the kind of list, and every part of the request that decides what the
/// list holds.
pub(crate) struct PageKey([u8; 8]);

const VERSION: u8 = 1;

impl PageKey {
    pub(crate) fn new(kind: &str, request: &[&[u8]]) -> Self {
        let mut digest = blake3::Hasher::new();
        for part in [kind.as_bytes()].iter().chain(request) {
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let digest = digest.finalize();
        let first = digest.as_bytes().first_chunk().expect("a digest has 32 bytes");
        Self(*first)
    }

    pub(crate) fn token(&self, position: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode([&[VERSION][..], &self.0, position].concat())
    }

    /// Returns a token for the pages of one time. Fails when the position is too long for a token.
    pub(crate) fn token_at(&self, at: Timestamp, position: &[u8]) -> Result<String, Status> {
        if position.len() > MAX_TOKEN {
            let text = "the last _id of the page is too long for a page token: ask without a limit";
            return Err(Reason::TooLarge.status(text));
        }
        Ok(self.token(&[&at.as_u64().to_be_bytes()[..], position].concat()))
    }

    /// Returns what [`Self::token_at`] put into a token, or `None` for an empty token.
    pub(crate) fn position_and_time(
        &self,
        token: &str,
    ) -> Result<Option<(Timestamp, Vec<u8>)>, Status> {
        let Some(position) = self.position_in(token)? else { return Ok(None) };
        let (at, position) = position.split_first_chunk::<8>().ok_or_else(not_ours)?;
        Ok(Some((Timestamp::from_u64(u64::from_be_bytes(*at)), position.to_vec())))
    }

    /// Returns the position at which a token says to continue, or `None` for an empty token.
    pub(crate) fn position_in(&self, token: &str) -> Result<Option<Vec<u8>>, Status> {
        if token.is_empty() {
            return Ok(None);
        }
        let refused = |why: &str| {
            Err(Reason::InvalidPageToken.status(format!(
                "page_token: {why}. Give next_page_token of the page before, with the same other arguments"
            )))
        };
        if token.len() > 2 * MAX_TOKEN {
            return refused("it is too long");
        }
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else {
            return refused("it is not one of ours");
        };
        match bytes.split_first_chunk::<9>() {
            Some(([VERSION, digest @ ..], position)) if *digest == self.0 => {
                Ok(Some(position.to_vec()))
            }
            Some(([VERSION, ..], _)) => refused("it belongs to another request"),
            _ => refused("it is not one of ours"),
        }
    }
}

/// Returns the error for a token whose position this version did not write.
pub(crate) fn not_ours() -> Status {
    Reason::InvalidPageToken.status("page_token: it is not one of ours")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_at_its_limit_and_holds_at_least_one_item() {
        let mut page = Page::of(2);
        assert!(page.take(1, 10) && page.take(2, 10) && !page.is_cut);
        assert!(!page.take(3, 10) && page.is_cut);
        let mut page = Page::of(0);
        assert!(page.take(1, MAX_BYTES + 1) && !page.take(2, 1));
        assert_eq!(page.items, [1]);
    }

    #[test]
    fn a_token_is_good_for_its_own_request_only() {
        let key = PageKey::new("scan", &[b"shop.orders", b""]);
        let token = key.token(b"7");
        assert_eq!(key.position_in(&token).expect("ours").as_deref(), Some(&b"7"[..]));
        assert_eq!(key.position_in("").expect("none is the beginning"), None);
        let other = PageKey::new("scan", &[b"shop.order", b"s"]);
        for (key, token) in [(&other, token.as_str()), (&key, "!!"), (&key, "AQ"), (&key, "AAAA")] {
            let status = key.position_in(token).expect_err("not good");
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{token}");
        }
    }
}
