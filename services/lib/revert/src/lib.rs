//! Puts documents of a live deployment back to what they were, and leaves alone what somebody wrote
//! since.
//!
//! ```text
//! differences ───▶ RevertFile ───▶ batches ───▶ transactions on the deployment
//! (history, T      both states of  of one       read, compare, write, read back, commit
//!  and now)        each document   collection
//! ```
//!
//! A [`Reversion`] says what one document is now, as far as the history knows, and what it shall
//! be. A document is written only if the deployment still holds, byte for byte, what the history
//! knows; the comparison and the write are one transaction. Every other document is a
//! [`Conflict`]. So nothing that was written since is lost, and a revert may be repeated.
//!
//! Everything that a revert may write is in a [`RevertFile`] first. The same file undoes the
//! revert: each document is then put back to its other state, if it still has the state that the
//! revert gave it.

mod batch;
mod checks;
mod commands;
mod error;
mod file;
mod report;
mod reversion;
mod run;
mod write;

pub use checks::{Held, check, collections_of};
pub use error::RevertError;
pub use file::{Header, RevertFile, RevertFileWriter};
pub use report::{Conflict, Report, Totals};
pub use reversion::{Direction, Reversion};
pub use run::{Settings, run};
