//! Runs a restore from its first write to its report.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::authorization;
use super::destination::ReadBack;
use super::digest::Digest;
use super::error::RestoreError;
use super::load::Loader;
use super::plan::{Change, PlannedCollection};
use super::prepare::Prepared;
use super::progress::{Phase, Progress};
use super::report::{CollectionReport, Durations, Outcome, RestoreFailure, RestoreReport};
use super::steps::Steps;
use super::verbatim::Verbatim;
use super::verify::{Mismatches, compare_catalog, compare_documents};

impl Prepared {
    /// Writes the state, and verifies it if the settings say so. Cancelling stops the restore
    /// within a second; index builds that the target has begun may continue there.
    ///
    /// # Errors
    /// Returns the error together with the report of what was done before it.
    pub async fn run(
        self,
        progress: Arc<Progress>,
        cancel: CancellationToken,
    ) -> Result<RestoreReport, RestoreFailure> {
        let started = Instant::now();
        let mut report = self.empty_report();
        let ended = Box::pin(self.steps(&progress, &cancel, &mut report)).await;
        report.durations.total = started.elapsed();
        report.set_rates();
        match ended {
            Ok(()) => {
                report.outcome = Outcome::Complete;
                report.advice = None;
                progress.begin(Phase::Done, None, None);
                Ok(report)
            }
            Err(error) => Err(RestoreFailure { error, report: Box::new(report) }),
        }
    }

    async fn steps(
        &self,
        progress: &Arc<Progress>,
        cancel: &CancellationToken,
        report: &mut RestoreReport,
    ) -> Result<(), RestoreError> {
        unless(cancel, self.make_collections(progress, report)).await?;
        // Loading starts tasks, which must have ended when this returns, so it watches `cancel`
        // itself.
        let written = self.load_documents(progress, cancel, report).await?;
        unless(cancel, self.finish(&written, progress, report)).await
    }

    /// Does everything that follows the documents.
    async fn finish(
        &self,
        written: &[Digest],
        progress: &Progress,
        report: &mut RestoreReport,
    ) -> Result<(), RestoreError> {
        let (destination, steps) = (self.destination.as_ref(), self.steps_of(progress));
        let held = destination.read_back().filter(|_| self.settings.verify);
        self.make_indexes_and_views(progress, report).await?;
        destination.barrier(&self.plan, &self.facts).await?;
        match held {
            Some(held) => fail_on(&self.verify_documents(held, written, progress, report).await?)?,
            None => destination.check_continuity(&self.facts).await?,
        }
        steps.take_marks_away().await?;
        self.let_documents_expire(progress).await?;
        if let Some(held) = held {
            self.verify_catalog(held, report).await?;
        }
        self.restore_authorization(held, progress, report).await?;
        destination.barrier(&self.plan, &self.facts).await
    }

    fn steps_of<'a>(&'a self, progress: &'a Progress) -> Steps<'a> {
        Steps {
            destination: self.destination.as_ref(),
            plan: &self.plan,
            facts: &self.facts,
            at_once: self.settings.connections,
            progress,
        }
    }

    async fn verify_catalog(
        &self,
        held: &dyn ReadBack,
        report: &mut RestoreReport,
    ) -> Result<(), RestoreError> {
        let strangers_allowed = self.settings.allow_non_empty;
        let mismatches = compare_catalog(held, &self.plan, strangers_allowed).await?;
        for collection in &mut report.collections {
            collection.verified = !mismatches.contains_key(&collection.ns);
        }
        fail_on(&mismatches)?;
        report.verified = true;
        Ok(())
    }

    async fn make_collections(
        &self,
        progress: &Progress,
        report: &mut RestoreReport,
    ) -> Result<(), RestoreError> {
        let began = Instant::now();
        progress.begin(Phase::Collections, Some(self.plan.collections.len() as u64), None);
        let made = self.steps_of(progress).create_collections().await;
        report.durations.collections = began.elapsed();
        report.warnings.extend(made?);
        Ok(())
    }

    async fn load_documents(
        &self,
        progress: &Arc<Progress>,
        cancel: &CancellationToken,
        report: &mut RestoreReport,
    ) -> Result<Vec<Digest>, RestoreError> {
        let began = Instant::now();
        let (documents, bytes) = self.plan.totals();
        progress.begin(Phase::Documents, documents, bytes);
        let verbatim = Arc::new(Verbatim::of(&self.facts, &self.settings));
        let loader = Arc::new(Loader {
            snapshot: Arc::clone(&self.snapshot),
            destination: Arc::clone(&self.destination),
            plan: Arc::clone(&self.plan),
            settings: self.settings.clone(),
            progress: Arc::clone(progress),
            verbatim: Arc::clone(&verbatim),
        });
        let loaded = loader.load(cancel).await;
        report.skipped.extend(verbatim.left_out());
        report.durations.documents = began.elapsed();
        let seen = progress.snapshot();
        (report.documents, report.bytes) = (seen.done, seen.bytes_done);
        let written = loaded?;
        report.collections = self
            .plan
            .collections
            .iter()
            .zip(&written)
            .map(|(collection, digest)| CollectionReport {
                ns: collection.state.namespace(),
                documents: digest.documents,
                bytes: digest.bytes,
                digest: *digest,
                indexes: collection.state.indexes.len(),
                verified: false,
            })
            .collect();
        Ok(written)
    }

    async fn make_indexes_and_views(
        &self,
        progress: &Progress,
        report: &mut RestoreReport,
    ) -> Result<(), RestoreError> {
        let (began, steps) = (Instant::now(), self.steps_of(progress));
        let count = self.plan.collections.iter().map(|c| c.indexes.len() as u64).sum();
        progress.begin(Phase::Indexes, Some(count), None);
        let built = steps.build_indexes(|collection| &collection.indexes).await;
        report.durations.indexes = began.elapsed();
        built?;
        progress.begin(Phase::Views, Some(self.plan.views.len() as u64), None);
        report.skipped.extend(steps.create_views().await?);
        let names = self.plan.views.iter().map(|view| format!("{}.{}", view.db, view.name));
        report.views = names.collect();
        Ok(())
    }

    async fn verify_documents(
        &self,
        held: &dyn ReadBack,
        written: &[Digest],
        progress: &Progress,
        report: &mut RestoreReport,
    ) -> Result<Mismatches, RestoreError> {
        let began = Instant::now();
        progress.begin(Phase::Verification, Some(report.documents), Some(report.bytes));
        let at_once = self.settings.connections;
        let found = compare_documents(held, &self.plan, written, at_once, progress).await;
        report.durations.verification = began.elapsed();
        found
    }

    async fn let_documents_expire(&self, progress: &Progress) -> Result<(), RestoreError> {
        let each = |c: &PlannedCollection| {
            c.expiring_indexes.len() as u64
                + u64::from(c.needs(Change::Expire))
                + u64::from(c.needs(Change::Bound))
        };
        let count = self.plan.collections.iter().map(each).sum();
        progress.begin(Phase::Expiry, Some(count), None);
        self.steps_of(progress).set_expiry().await
    }

    /// Merges users and roles, and compares them with those that are held, if they can be read.
    async fn restore_authorization(
        &self,
        held: Option<&dyn ReadBack>,
        progress: &Progress,
        report: &mut RestoreReport,
    ) -> Result<(), RestoreError> {
        progress.begin(Phase::Users, None, None);
        let merged = &self.authorization;
        self.destination.merge_accounts(merged).await?;
        (report.users, report.roles) = (merged.users.len() as u64, merged.roles.len() as u64);
        report.skipped.extend(merged.skipped.iter().cloned());
        let Some(held) = held else { return Ok(()) };
        let compared = authorization::compare(held, merged).await;
        report.verified &= compared.mismatches.is_empty() && compared.unread.is_empty();
        let tell = |reason| format!("users and roles were not wholly verified: {reason}");
        report.warnings.extend(compared.unread.into_iter().map(tell));
        if compared.mismatches.is_empty() {
            return Ok(());
        }
        Err(RestoreError::VerificationFailed { mismatches: compared.mismatches })
    }

    fn empty_report(&self) -> RestoreReport {
        RestoreReport {
            outcome: Outcome::Incomplete,
            advice: Some(format!(
                "the target {} is incomplete and must not be used; drop what was restored there (or start \
                 with an empty deployment) and run the restore again",
                self.destination.name()
            )),
            timestamp: self.plan.timestamp,
            verified: false,
            documents: 0,
            bytes: 0,
            collections: Vec::new(),
            views: Vec::new(),
            users: 0,
            roles: 0,
            skipped: self.plan.skipped.clone(),
            warnings: self.warnings.clone(),
            documents_per_second: 0.0,
            bytes_per_second: 0.0,
            durations: Durations::default(),
        }
    }
}

/// Runs a step, and drops it when cancelled. What the step has asked the target to do may still
/// happen there.
async fn unless<T>(
    cancel: &CancellationToken,
    step: impl Future<Output = Result<T, RestoreError>>,
) -> Result<T, RestoreError> {
    cancel.run_until_cancelled(step).await.unwrap_or(Err(RestoreError::Cancelled))
}

fn fail_on(mismatches: &Mismatches) -> Result<(), RestoreError> {
    if mismatches.is_empty() {
        return Ok(());
    }
    let mismatches = mismatches.iter().map(|(ns, differs)| format!("{ns}: {differs}")).collect();
    Err(RestoreError::VerificationFailed { mismatches })
}

#[cfg(test)]
mod tests;
