//! Searching entries in the log: what is read is narrowed by the index, by seals and by key filters first.
//!
//! - [`EntryFilter`]: which entries are wanted
//! - [`Search`]: finds them, in the order of the log, a frame at a time
//! - [`find_newest`], [`find_all`]: a whole search in one call

use std::ops::ControlFlow;
use std::sync::Arc;

use hindsight_index::Index;
use hindsight_log::SegmentLog;

use crate::error::QueryError;

mod candidates;
mod context;
mod filter;
mod frames;
mod namespace;
mod prune;
mod search;
mod session;
mod text;

#[cfg(test)]
mod tests;

pub use filter::EntryFilter;
pub use frames::Searched;
pub use namespace::NamespacePattern;
pub use search::{Found, MOST_CONTEXT, MOST_LIMIT, Search, SearchOptions};
pub use session::{SessionError, SessionId, TransactionId};
pub use text::Pattern;

/// What [`find_newest`] answers at most, in bytes.
const ANSWER_BYTES: usize = 64 << 20;

/// The newest `limit` matching entries, oldest first.
///
/// # Errors
/// As [`Search::next`], and [`QueryError::TooLarge`] for more than 64 MiB of them: a [`Search`] gives them out as it
/// goes.
pub async fn find_newest(
    log: &Arc<dyn SegmentLog>,
    index: &Arc<Index>,
    filter: EntryFilter,
    limit: usize,
) -> Result<Vec<Vec<u8>>, QueryError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let options = SearchOptions { limit, before_context: 0 };
    let mut search = Search::new(Arc::clone(log), Arc::clone(index), filter, options)?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while let Some(found) = search.next().await? {
        bytes += found.iter().map(|found| found.entry.len()).sum::<usize>();
        if bytes > ANSWER_BYTES {
            return Err(QueryError::TooLarge(format!(
                "the entries found take more than {} MiB: ask for fewer, or with limit 0, which streams them",
                ANSWER_BYTES >> 20
            )));
        }
        entries.extend(found.into_iter().map(|found| found.entry.to_vec()));
    }
    Ok(entries)
}

/// Calls `visit` with every matching entry, oldest first, until it breaks.
pub async fn find_all(
    log: &Arc<dyn SegmentLog>,
    index: &Arc<Index>,
    filter: EntryFilter,
    visit: &mut (dyn FnMut(&[u8]) -> ControlFlow<()> + Send),
) -> Result<Searched, QueryError> {
    let options = SearchOptions::default();
    let mut search = Search::new(Arc::clone(log), Arc::clone(index), filter, options)?;
    while let Some(found) = search.next().await? {
        if found.iter().any(|found| visit(&found.entry).is_break()) {
            break;
        }
    }
    Ok(search.searched())
}
