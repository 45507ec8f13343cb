//! Operations and commands that this version does not know.
//!
//! An unknown operation ends the history, and the error names it: nobody can say what it does to
//! documents. An operator who knows that the operation carries no data can have it skipped by that
//! name. Every skip is counted.

use crate::unit::Unit;
use crate::{ApplyError, Writer};

/// Names in errors and metrics are cut at this length, because the writer of an entry chooses them.
const LONGEST_NAME: usize = 64;

impl Writer<'_> {
    /// Skips an operation or command of that name, or refuses it.
    pub(crate) fn unknown(&self, unit: &Unit, ns: &str, name: &[u8]) -> Result<(), ApplyError> {
        let name = String::from_utf8_lossy(&name[..name.len().min(LONGEST_NAME)]).into_owned();
        if let Some(count) = self.history.skips.count(&name) {
            crate::metrics::entry_skipped(&name);
            if count == 1 {
                tracing::warn!(
                    entry = %unit.at, ns, name,
                    "an unknown operation or command is skipped, as the settings say; further ones are counted"
                );
            }
            return Ok(());
        }
        crate::metrics::unknown_entry(&name);
        Err(ApplyError::Unknown { at: unit.at, ns: ns.to_owned(), name })
    }
}
