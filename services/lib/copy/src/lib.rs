//! Copies a base from a live member while applications write to it.
//!
//! # Why the result is exact from `E` on
//!
//! A copy has four positions, `capture_from ≤ S ≤ R ≤ E`:
//!
//! 1. **S** is the top of the oplog, read with read concern majority before anything else is read.
//! 2. The **oldest open transaction** is looked up *after* S, also with majority. A transaction
//!    that was open at S is either still open at the look-up and is found, or it ended at or before
//!    **R**, the member's operation time after the look-up. A secondary records a chain in
//!    `config.transactions` only once it has applied the chain's first entry, and a chain without a
//!    session is never recorded there. But the entries of a chain have adjacent timestamps. So when
//!    S cuts a chain, S itself is a part of that chain, and the copy walks the chain back to its
//!    first entry. `capture_from` is the least of all these positions.
//! 3. Every scan reads with majority and `afterClusterTime` R. So each document is in its state of
//!    some time ≥ R, and everything that ended at or before R is included.
//! 4. **E** is the member's majority point after all scans have ended. The copy waits until this
//!    point is not before any operation time that a reply carried. So nothing that was read is
//!    later than E, and nothing that was read can be rolled back.
//!
//! The copied documents are of many times in [R, E]. Applying to them every apply unit whose last
//! entry is after S, in order, produces the state at E. This is the server's own contract for
//! initial sync (docs/OPLOG.md, O15): inserts replace, updates carry results and not computations,
//! and deletes of missing documents do nothing.
//!
//! # The catalog
//!
//! `listCollections` and `listIndexes` take no read concern: they return the member's newest
//! catalog, of some time C. DDL in (S, C] is in the catalog *and* will be applied again. As long as
//! collections are identified by UUID, this does no harm, and the catalog converges by E: a create
//! finds its UUID already there, a drop finds nothing, a rename sets the name once more, and
//! `createIndexes` and `collMod` repeat themselves. Before E, names can collide (a name may already
//! belong to its next owner), so up to E only UUIDs identify collections. A finished index build is
//! listed. An index build in progress is left out, because its `commitIndexBuild` with all
//! specifications is still to come in the log.
//!
//! The catalog at C could be rolled back. So a listing counts only when two things hold. The
//! majority point has passed the optime that the member had last applied after the listing. And the
//! member's `topologyVersion` is the same as before the listing: a member cannot roll back without
//! changing state, and cannot restart and keep its process id. On 4.4 a rename during a listing can
//! hide a collection from that listing. So the copy lists twice and takes the union.
//!
//! # Collections that move while they are scanned
//!
//! A scan names its collection by UUID, so it never reads another collection that took over the
//! name. A rename or a drop kills the cursor. The scan then begins again, by UUID, and discards the
//! documents it read earlier. When the UUID is gone, the collection is entered as dropped once a
//! second confirmed listing agrees, because the drop might be rolled back. A collection created
//! after the listing is entirely in the log. Nothing is ever read by name.

use std::num::NonZeroU64;
use std::time::Duration;

use hindsight_base::WriterSettings;

mod board;
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

pub use board::{CopyBoard, CopyState};
pub use error::{CopyError, CopyErrorKind};
pub use look::{CatalogListing, list_catalog, list_these};
pub use progress::{CopyProgress, CopyStage};
pub use start::{Started, begin};

/// Settings for copying a base.
#[derive(Debug, Clone)]
pub struct CopySettings {
    /// The replica set that the log belongs to. A member of any other set is refused. None accepts
    /// any set.
    pub expected_replica_set: Option<[u8; 12]>,
    /// The number of collections scanned at the same time. Two scans keep a member's disk and the
    /// local processor busy without crowding out the member's own work. Each scan holds up to two
    /// batches of 16 MiB.
    pub parallel_scans: usize,
    /// The limit on document bytes read per second, over all scans. It must be above the rate at
    /// which documents are inserted: a scan in natural order also reads what is inserted after its
    /// position, so a slower scan never ends. None sets no limit.
    pub bytes_per_second: Option<NonZeroU64>,
    /// How many times one request, or the scan of one collection, is tried before the copy fails.
    pub attempts: u32,
    /// How long to wait for the majority point to pass what was read.
    pub majority_timeout: Duration,
    /// How the files of the base are written.
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
