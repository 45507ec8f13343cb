//! The interface through which a restore writes.
//!
//! The restore decides what is written and in which order: the plan, the checks and the comparison
//! know no destination. A destination does one step at a time and decides nothing.

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;
use hindsight_oplog::raw::{Doc, Element};

use super::accounts::{AccountKind, Authorization};
use super::batch::Batch;
use super::digest::Digest;
use super::error::RestoreError;
use super::facts::TargetFacts;
use super::plan::{Change, Plan, PlannedCollection, PlannedView};
use super::progress::Progress;

/// What a restore writes into. The methods that ask come first; they write nothing.
///
/// The restore calls the methods that write in the order in which they stand here, except
/// [`Destination::build_indexes`], which it calls once more for indexes that let documents expire,
/// when everything else is verified. It makes several calls at once, but only for different
/// collections; [`Destination::write`] says when also for one.
///
/// Every method fails with [`RestoreError::Unavailable`] when trying again may help. A method that
/// writes fails with [`RestoreError::WriteRefused`] when it does not.
#[async_trait]
pub trait Destination: fmt::Debug + Send + Sync {
    /// Returns what messages call the destination. Never holds credentials.
    fn name(&self) -> &str;

    /// Finds out everything that the checks need.
    ///
    /// # Errors
    /// Also returns [`RestoreError::TargetUnsuitable`] when a question is refused.
    async fn probe(&self) -> Result<TargetFacts, RestoreError>;

    /// Says whether the destination would take a definition in database `db`.
    ///
    /// # Errors
    /// Returns an error when the destination cannot be asked.
    async fn judge(&self, db: &str, definition: Definition<'_>) -> Result<Verdict, RestoreError>;

    /// Returns true if a time-series of database `db` can have the mark of mixed types.
    ///
    /// # Errors
    /// Returns an error when the destination cannot be asked.
    async fn knows_mixed_schema(&self, db: &str) -> Result<bool, RestoreError>;

    /// Returns those of the actions that no role may grant here, because the destination does not
    /// know them.
    ///
    /// # Errors
    /// Returns an error when the destination cannot be asked.
    async fn unknown_actions(&self, actions: &[&str]) -> Result<BTreeSet<String>, RestoreError>;

    /// Creates a collection with its options and its index on `_id`, but with nothing that deletes
    /// documents. The collection of a time-series includes its view. Returns a warning about a part
    /// that is missing and not worth a failure.
    ///
    /// # Errors
    /// Returns an error when the collection is not there afterwards.
    async fn create_collection(
        &self,
        collection: &PlannedCollection,
    ) -> Result<Option<String>, RestoreError>;

    /// Writes a batch of documents, byte for byte. Several batches of one collection may be under
    /// way at once, in any order, unless the collection is
    /// [ordered](PlannedCollection::ordered): its batches come one after another.
    ///
    /// # Errors
    /// Returns an error when the destination has not taken every document.
    async fn write(
        &self,
        collection: &PlannedCollection,
        batch: &Batch,
    ) -> Result<(), RestoreError>;

    /// Builds indexes of one collection.
    ///
    /// # Errors
    /// Returns an error when an index is not built.
    async fn build_indexes(
        &self,
        collection: &PlannedCollection,
        specs: &[Vec<u8>],
        facts: &TargetFacts,
    ) -> Result<(), RestoreError>;

    /// Creates a view that is not the view of a time-series.
    ///
    /// # Errors
    /// Returns an error when the view is not there afterwards.
    async fn create_view(&self, view: &PlannedView) -> Result<(), RestoreError>;

    /// Creates the `system.views` of a database, unless it is there. Returns false when the
    /// destination does not allow that.
    ///
    /// # Errors
    /// Returns an error when trying again may help.
    async fn create_view_catalog(&self, db: &str) -> Result<bool, RestoreError>;

    /// Makes a change that had to wait until the documents were written.
    ///
    /// # Errors
    /// Returns an error when the change is not made.
    async fn change(
        &self,
        collection: &PlannedCollection,
        change: Change,
    ) -> Result<(), RestoreError>;

    /// Merges users and roles into those of the destination. Those that the destination holds
    /// besides them stay.
    ///
    /// # Errors
    /// Returns an error when they are not merged.
    async fn merge_accounts(&self, accounts: &Authorization) -> Result<(), RestoreError>;

    /// Returns when everything written so far is safe from a crash.
    ///
    /// # Errors
    /// Returns an error when that is not certain.
    async fn barrier(&self, plan: &Plan, facts: &TargetFacts) -> Result<(), RestoreError>;

    /// Checks that what was written since the probe cannot have been lost. The restore asks this
    /// when nothing is read back.
    ///
    /// # Errors
    /// Returns [`RestoreError::Unavailable`] when it may be lost.
    async fn check_continuity(&self, since: &TargetFacts) -> Result<(), RestoreError>;

    /// Returns the interface that reads back, or `None` for a destination that cannot be read. What
    /// was written there is never called verified.
    fn read_back(&self) -> Option<&dyn ReadBack>;
}

/// Reads what a destination holds, so that the restore can compare it with the plan.
#[async_trait]
pub trait ReadBack: Send + Sync {
    /// Digests the documents of a collection, and adds them to `progress` as they are read.
    ///
    /// # Errors
    /// Returns an error when the collection cannot be read to its end.
    async fn digest(
        &self,
        collection: &PlannedCollection,
        progress: &Progress,
    ) -> Result<Digest, RestoreError>;

    /// Returns the collections and views of a database, each as an entry of `listCollections` with
    /// `name`, `type` and `options`.
    ///
    /// # Errors
    /// Returns an error when they cannot be listed.
    async fn catalog(&self, db: &str) -> Result<Vec<Vec<u8>>, RestoreError>;

    /// Returns the specs of a collection's indexes, as `listIndexes` has them.
    ///
    /// # Errors
    /// Returns an error when they cannot be listed.
    async fn indexes(&self, collection: &PlannedCollection) -> Result<Vec<Vec<u8>>, RestoreError>;

    /// Returns the documents of a database's `system.views`, or `None` when they are not shown.
    ///
    /// # Errors
    /// Returns an error when they cannot be read.
    async fn views(&self, db: &str) -> Result<Option<Vec<Vec<u8>>>, RestoreError>;

    /// Returns all users or roles.
    ///
    /// # Errors
    /// Returns an error when they cannot be read.
    async fn accounts(&self, kind: AccountKind) -> Result<Shown, RestoreError>;

    /// Compares one role, given as its document, where [`ReadBack::accounts`] does not show roles.
    ///
    /// # Errors
    /// Returns an error when the destination does not show the role.
    async fn compare_role(&self, role: &[u8]) -> Result<HeldRole, RestoreError>;
}

/// A definition that a destination parses again, and may refuse.
#[derive(Clone, Copy, Debug)]
pub enum Definition<'a> {
    /// The validator of a collection. It is not empty.
    Validator(Doc<'a>),
    /// A view that is not the view of a time-series.
    View {
        /// The array of stages.
        pipeline: Element<'a>,
        /// The collation, if the view has one.
        collation: Option<Doc<'a>>,
    },
}

/// What a destination says about a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The destination takes it, or does not say.
    Taken,
    /// The destination does not understand it, for this reason.
    NotUnderstood(String),
    /// The destination may refuse it, for this reason.
    Doubtful(String),
}

/// Users or roles, as far as a destination shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Their documents.
    Documents(Vec<Vec<u8>>),
    /// We may not read them, for this reason.
    Hidden(String),
}

/// How a destination holds one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldRole {
    /// As it was written.
    Same,
    /// Everything that the destination shows is the same. It does not show
    /// `authenticationRestrictions` in a form that can be compared.
    SameButRestrictions,
    /// Not as it was written, or not at all.
    Differs,
}
