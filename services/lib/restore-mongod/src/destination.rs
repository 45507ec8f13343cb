//! The replica set or standalone server that a restore writes into.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use hindsight_mongo::{Client, Deployment, UriError};
use hindsight_restore::{
    AccountKind, Authorization, Batch, Change, Definition, Destination, Digest, HeldRole, Plan,
    PlannedCollection, PlannedView, Progress, ReadBack, RestoreError, Shown, TargetFacts, Verdict,
};

use super::{accounts, barrier, blame, create, insert, judge, read_back, roles};

/// A connected deployment. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct MongodDestination {
    pub(super) client: Client,
    /// The hosts as given, without credentials; for messages.
    pub(super) name: String,
}

/// How long to look for a server that can be written to, unless the URI says otherwise.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(10);

impl MongodDestination {
    /// Makes a client for the target. It connects lazily: an unreachable target shows in
    /// [`prepare`](hindsight_restore::prepare()).
    ///
    /// # Errors
    /// Returns [`RestoreError::Settings`] for an invalid URI; the message does not repeat the URI,
    /// which may hold a password. Returns [`RestoreError::Unavailable`] when the SRV record of the
    /// URI cannot be looked up.
    pub async fn connect(uri: &str) -> Result<Self, RestoreError> {
        let parsed = Deployment::parse(uri).await.map_err(|error| match error {
            UriError::Unusable(problem) => RestoreError::Settings(format!("target URI: {problem}")),
            UriError::Unresolved(reason) => {
                RestoreError::Unavailable { doing: "resolving the target's URI".into(), reason }
            }
        })?;
        let deployment = parsed.app_name("hindsight restore").patience(SELECTION_TIMEOUT);
        let client = deployment
            .client()
            .map_err(|failure| RestoreError::Settings(format!("target URI: {failure}")))?;
        Ok(Self { client, name: deployment.hosts().join(",") })
    }

    /// Makes a target from an existing client; `name` is what messages call the target.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }
}

#[async_trait]
impl Destination for MongodDestination {
    fn name(&self) -> &str {
        &self.name
    }

    async fn probe(&self) -> Result<TargetFacts, RestoreError> {
        self.ask_facts().await
    }

    async fn judge(&self, db: &str, definition: Definition<'_>) -> Result<Verdict, RestoreError> {
        judge::judge(&self.client, db, definition).await
    }

    async fn knows_mixed_schema(&self, db: &str) -> Result<bool, RestoreError> {
        self.ask_for_mixed_schema(db).await
    }

    async fn unknown_actions(&self, actions: &[&str]) -> Result<BTreeSet<String>, RestoreError> {
        let unknown = roles::unknown_actions(&self.client, actions).await;
        unknown.map_err(|failure| blame::reading(&failure, "which actions it knows"))
    }

    async fn create_collection(
        &self,
        collection: &PlannedCollection,
    ) -> Result<Option<String>, RestoreError> {
        create::create_collection(&self.client, collection).await
    }

    async fn write(
        &self,
        collection: &PlannedCollection,
        batch: &Batch,
    ) -> Result<(), RestoreError> {
        insert::insert(&self.client, collection, batch).await
    }

    async fn build_indexes(
        &self,
        collection: &PlannedCollection,
        specs: &[Vec<u8>],
        facts: &TargetFacts,
    ) -> Result<(), RestoreError> {
        create::build_indexes(&self.client, collection, specs, facts).await
    }

    async fn create_view(&self, view: &PlannedView) -> Result<(), RestoreError> {
        create::create_view(&self.client, view).await
    }

    async fn create_view_catalog(&self, db: &str) -> Result<bool, RestoreError> {
        create::create_view_catalog(&self.client, db).await
    }

    async fn change(
        &self,
        collection: &PlannedCollection,
        change: Change,
    ) -> Result<(), RestoreError> {
        create::change(&self.client, collection, change).await
    }

    async fn merge_accounts(&self, accounts: &Authorization) -> Result<(), RestoreError> {
        accounts::merge(&self.client, accounts).await
    }

    async fn barrier(&self, plan: &Plan, facts: &TargetFacts) -> Result<(), RestoreError> {
        barrier::wait(&self.client, plan, facts.guards_buckets()).await
    }

    /// After an election or a crash, what the primary took before may be gone; only a verification
    /// could find out.
    async fn check_continuity(&self, since: &TargetFacts) -> Result<(), RestoreError> {
        if self.ask_primacy().await? == since.primacy {
            return Ok(());
        }
        Err(RestoreError::Unavailable {
            doing: "loading documents".into(),
            reason:
                "the target elected another primary meanwhile, and what the old one took may be \
                     rolled back; restore again, or with verification"
                    .into(),
        })
    }

    fn read_back(&self) -> Option<&dyn ReadBack> {
        Some(self)
    }
}

#[async_trait]
impl ReadBack for MongodDestination {
    async fn digest(
        &self,
        collection: &PlannedCollection,
        progress: &Progress,
    ) -> Result<Digest, RestoreError> {
        read_back::digest(&self.client, collection, progress).await
    }

    async fn catalog(&self, db: &str) -> Result<Vec<Vec<u8>>, RestoreError> {
        read_back::catalog(&self.client, db).await
    }

    async fn indexes(&self, collection: &PlannedCollection) -> Result<Vec<Vec<u8>>, RestoreError> {
        read_back::indexes(&self.client, collection).await
    }

    async fn views(&self, db: &str) -> Result<Option<Vec<Vec<u8>>>, RestoreError> {
        read_back::views(&self.client, db).await
    }

    async fn accounts(&self, kind: AccountKind) -> Result<Shown, RestoreError> {
        accounts::shown(&self.client, kind).await
    }

    async fn compare_role(&self, role: &[u8]) -> Result<HeldRole, RestoreError> {
        roles::compare_role(&self.client, role).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hindsight_oplog::Timestamp;
    use hindsight_restore::{
        CollectionState, DocumentIterator, RestoreSettings, Selection, Snapshot, SourceError,
        prepare,
    };

    use super::*;

    /// A state without collections.
    struct Nothing;

    impl Snapshot for Nothing {
        fn timestamp(&self) -> Timestamp {
            Timestamp::new(100, 1)
        }

        fn collections(&self) -> Result<Vec<CollectionState>, SourceError> {
            Ok(Vec::new())
        }

        fn documents<'a>(
            &'a self,
            _: &'a CollectionState,
        ) -> Result<DocumentIterator<'a>, SourceError> {
            Err("no such collection".into())
        }
    }

    #[tokio::test]
    async fn an_unreachable_target_and_a_bad_uri_are_told_apart() {
        let uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100";
        let target = MongodDestination::connect(uri).await.expect("connects later");
        let settings = RestoreSettings::default();
        let result =
            prepare(Arc::new(Nothing), Arc::new(target), Selection::Everything, settings).await;
        let error = result.map(drop).expect_err("nobody listens");
        assert!(matches!(&error, RestoreError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
        let error = MongodDestination::connect("http://example").await.map(drop);
        let error = error.expect_err("no such scheme");
        assert!(matches!(&error, RestoreError::Settings(_)), "{error}");
    }

    #[tokio::test]
    async fn a_bad_uri_is_refused_without_repeating_it() {
        for (uri, word) in [
            ("admin:s3cret@db1", "mongodb://"),
            ("mongodb://admin:s3cret?t@db1/", "percent-encoded"),
        ] {
            let error = MongodDestination::connect(uri).await.map(drop).expect_err(uri);
            assert!(matches!(&error, RestoreError::Settings(_)), "{uri}: {error}");
            let text = format!("{error} {error:?}");
            assert!(text.contains(word) && !text.contains("s3cret"), "{uri}: {text}");
        }
    }
}
