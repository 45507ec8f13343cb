//! The steps of a restore besides loading and verifying: each says which part of the plan a
//! destination is asked to write, and counts what is done.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::destination::Destination;
use super::error::RestoreError;
use super::facts::TargetFacts;
use super::plan::{Change, Plan, PlannedCollection, Skipped, VIEWS};
use super::progress::Progress;

/// What every step needs.
#[derive(Clone, Copy)]
pub(super) struct Steps<'a> {
    pub(super) destination: &'a dyn Destination,
    pub(super) plan: &'a Plan,
    pub(super) facts: &'a TargetFacts,
    /// How many collections are worked on at a time.
    pub(super) at_once: usize,
    pub(super) progress: &'a Progress,
}

impl Steps<'_> {
    /// Creates the plan's collections. Returns warnings.
    pub(super) async fn create_collections(self) -> Result<Vec<String>, RestoreError> {
        let created = stream::iter(&self.plan.collections).map(|collection| async move {
            let warning = self.destination.create_collection(collection).await?;
            self.progress.add(1, 0);
            Ok::<_, RestoreError>(warning)
        });
        let warnings: Vec<_> = created.buffer_unordered(self.at_once).try_collect().await?;
        Ok(warnings.into_iter().flatten().collect())
    }

    /// Builds indexes, those of one collection in one call.
    pub(super) async fn build_indexes(
        self,
        which: fn(&PlannedCollection) -> &[Vec<u8>],
    ) -> Result<(), RestoreError> {
        let with_indexes = self.plan.collections.iter().filter(|it| !which(it).is_empty());
        stream::iter(with_indexes)
            .map(Ok)
            .try_for_each_concurrent(self.at_once, |collection| async move {
                let specs = which(collection);
                self.destination.build_indexes(collection, specs, self.facts).await?;
                self.progress.add(specs.len() as u64, 0);
                Ok(())
            })
            .await
    }

    /// Creates the views, and the `system.views` of databases that have one without views. Returns
    /// what the destination did not create.
    pub(super) async fn create_views(self) -> Result<Vec<Skipped>, RestoreError> {
        for view in &self.plan.views {
            if view.create.is_some() {
                self.destination.create_view(view).await?;
            }
            self.progress.add(1, 0);
        }
        let mut skipped = Vec::new();
        for db in &self.plan.view_databases {
            match self.destination.create_view_catalog(db).await {
                Ok(true) => {}
                _ if self.plan.views.iter().any(|view| view.db == *db) => {}
                Ok(false) => skipped.push(Skipped {
                    ns: format!("{db}.{VIEWS}"),
                    reason: "it holds no views, and the target does not let us make an empty one"
                        .into(),
                }),
                Err(error) => return Err(error),
            }
        }
        Ok(skipped)
    }

    /// Takes away the marks that were set only so that buckets could be written.
    pub(super) async fn take_marks_away(self) -> Result<(), RestoreError> {
        for collection in &self.plan.collections {
            if collection.needs(Change::TakeMarkAway) {
                self.destination.change(collection, Change::TakeMarkAway).await?;
            }
        }
        Ok(())
    }

    /// Creates last whatever deletes documents by itself: TTL indexes, the `expireAfterSeconds` of
    /// collections, and the bounds of capped collections. From here on, the target's TTL monitor
    /// may delete documents.
    pub(super) async fn set_expiry(self) -> Result<(), RestoreError> {
        self.build_indexes(|collection| &collection.expiring_indexes).await?;
        for collection in &self.plan.collections {
            for change in [Change::Expire, Change::Bound] {
                if collection.needs(change) {
                    self.destination.change(collection, change).await?;
                    self.progress.add(1, 0);
                }
            }
        }
        Ok(())
    }
}
