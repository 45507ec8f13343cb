//! Copying a base from a live member, while it is being written to.
//!
//! # Why the result is exact from `E` on
//!
//! Four positions, `capture_from ≤ S ≤ R ≤ E`:
//!
//! 1. **S** is the top of the oplog, read with read concern majority, before anything else is
//!    looked at.
//! 2. The **oldest open transaction** is looked up *after* S, also with majority. One that was open
//!    at S is either still open then, and found, or it ended at or before **R**, the member's
//!    operation time after the look-up. `config.transactions` tells of a chain only once a
//!    secondary has applied its first entry, and of one without a session never; but the entries of
//!    a chain have adjacent timestamps, so a chain that S cuts is known by S itself being a part of
//!    it, and is walked back to its first entry. `capture_from` is the least of all these.
//! 3. Every scan reads with majority and `afterClusterTime` R. So each document is as it was at
//!    some time ≥ R, and whatever ended at or before R is in it.
//! 4. **E** is the member's majority point after all scans have ended, waited for until it is not
//!    before any operation time a reply has carried. So nothing that was read is later than E, and
//!    none of it can be rolled back.
//!
//! Starting from documents of many times in [R, E], applying every apply unit whose last entry is
//! after S, in order, gives the state at E (the server's own contract for initial sync;
//! docs/OPLOG.md, O15): inserts replace, updates carry results and not computations, deletes
//! of nothing are nothing.
//!
//! # The catalog
//!
//! `listCollections` and `listIndexes` know no read concern: they tell the member's newest catalog,
//! of some time C. DDL in (S, C] is in the catalog *and* will be applied again. By UUID that does
//! no harm and converges by E: a create finds its UUID there, a drop finds nothing, a rename sets
//! the name once more, `createIndexes` and `collMod` repeat themselves. In between names can
//! collide (a name may already belong to its next owner), so up to E only UUIDs identify. A
//! finished index build is listed; one in progress is left out, since its `commitIndexBuild` with
//! all specifications is still to come in the log.
//!
//! What C told could be rolled back. So a listing counts only once the majority point has passed
//! the member's last applied optime after the listing, with the member's `topologyVersion`
//! unchanged since before it: a member cannot roll back without changing state, nor restart and
//! keep its process id. On 4.4 a rename during a listing can hide a collection from it: it is
//! listed twice, and the union counts.
//!
//! # Collections that move while they are scanned
//!
//! Scans name the collection by UUID, so they never read another one that took over its name. A
//! rename or drop kills the cursor; the scan begins again, by UUID, its earlier documents
//! discarded. If the UUID is gone, the collection is entered as dropped, once a second confirmed
//! listing agrees (the drop might be rolled back). A collection created after the listing is
//! entirely in the log. Nothing is ever read by name.

use std::num::NonZeroU64;
use std::time::Duration;

use hindsight_base::WriterSettings;

mod catalog;
mod error;
mod finish;
mod look;
mod member;
mod progress;
mod reply;
mod scan;
mod start;
mod throttle;
mod time_series;

pub use error::{CopyError, CopyErrorKind};
pub use look::{CatalogListing, list_catalog, list_these};
pub use progress::{CopyProgress, CopyStage};
pub use start::{Started, begin};

/// How a base is copied.
#[derive(Debug, Clone)]
pub struct CopySettings {
    /// The replica set the log belongs to; another one is refused. Nothing: whatever is found.
    pub expected_replica_set: Option<[u8; 12]>,
    /// Collections scanned at the same time. Two keep a member's disk and our processor busy
    /// without crowding out its own work; each holds up to two batches of 16 MiB.
    pub parallel_scans: usize,
    /// Limit on document bytes read per second, over all scans. It must be above the rate at which
    /// documents are inserted: a scan in natural order meets what is added behind it, and slower
    /// than that it never ends.
    pub bytes_per_second: Option<NonZeroU64>,
    /// How often one request or one collection's scan is tried before the copy fails.
    pub attempts: u32,
    /// How long to wait for the majority point to pass what was read.
    pub majority_timeout: Duration,
    pub writer: WriterSettings,
}

impl Default for CopySettings {
    fn default() -> Self {
        CopySettings {
            expected_replica_set: None,
            parallel_scans: 2,
            bytes_per_second: None,
            attempts: 6,
            majority_timeout: Duration::from_secs(120),
            writer: WriterSettings::default(),
        }
    }
}

#[cfg(test)]
mod tests;
