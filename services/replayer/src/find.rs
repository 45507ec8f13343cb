//! Searches entries in the log. The index, seals and key filters first narrow down what must be
//! read.
//!
//! - [`EntryFilter`]: says which entries are wanted
//! - [`Search`]: finds them in the order of the log, one frame at a time
//! - [`find_all`]: runs a whole search in one call

use std::ops::ControlFlow;
use std::sync::Arc;

use hindsight_index::Index;
use hindsight_log::SegmentLog;
use hindsight_runtime::Budget;

use crate::engine::QUERY_MEMORY_BYTES;
use crate::error::QueryError;

mod candidates;
mod context;
mod filter;
mod frames;
mod search;
mod session;
mod text;

#[cfg(test)]
mod tests;

pub use filter::EntryFilter;
pub use frames::Searched;
pub use hindsight_oplog::NamespacePattern;
pub use search::{Found, MOST_CONTEXT, MOST_LIMIT, Search, SearchOptions};
pub use session::{SessionError, SessionId, TransactionId};
pub use text::Pattern;

/// Calls `visit` with every matching entry, oldest first, until `visit` breaks. Returns what the
/// search had to read.
///
/// # Errors
/// Returns an error when the log or the index cannot be read.
pub async fn find_all(
    log: &Arc<dyn SegmentLog>,
    index: &Arc<Index>,
    filter: EntryFilter,
    visit: &mut (dyn FnMut(&[u8]) -> ControlFlow<()> + Send),
) -> Result<Searched, QueryError> {
    let options = SearchOptions::default();
    let memory = Budget::new(QUERY_MEMORY_BYTES);
    let mut search = Search::new(Arc::clone(log), Arc::clone(index), filter, options, memory)?;
    while let Some(found) = search.next().await? {
        if found.iter().any(|found| visit(&found.entry).is_break()) {
            break;
        }
    }
    Ok(search.searched())
}
