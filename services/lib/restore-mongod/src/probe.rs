//! What can be learnt about a target without writing.

use bson::Document;
use hindsight_mongo::{Failure, codes};
use hindsight_oplog::Hex;
use hindsight_oplog::raw::{Doc, DocWriter, Element, kind};
use hindsight_restore::commands::set_mark;
use hindsight_restore::{RestoreError, Rights, TargetFacts};

use super::destination::MongodDestination;
use super::read_back::list_collections;
use super::{blame, command};

impl MongodDestination {
    /// Asks the target everything that the checks need. Writes nothing.
    pub(super) async fn ask_facts(&self) -> Result<TargetFacts, RestoreError> {
        let mut facts = TargetFacts::default();
        self.probe_role(&mut facts).await.map_err(|failure| self.unreachable(&failure))?;
        let info = self.admin("buildInfo").await.map_err(|failure| self.unreachable(&failure))?;
        facts.version = info.get_str("version").unwrap_or("unknown").to_owned();
        facts.feature_version = self.feature_version().await;
        if facts.set_name.is_some() {
            facts.replica_set_id = self.replica_set_id().await;
        }
        self.probe_rights(&mut facts).await;
        facts.namespaces = match self.namespaces().await {
            Ok(namespaces) => Some(namespaces),
            Err(failure) if failure.is(codes::UNAUTHORIZED) => None,
            Err(failure) => return Err(self.unreachable(&failure)),
        };
        Ok(facts)
    }

    async fn probe_role(&self, facts: &mut TargetFacts) -> Result<(), Failure> {
        let hello = self.client.hello().await?;
        facts.writable = hello.is_primary;
        facts.router = hello.is_mongos;
        facts.set_name = hello.set_name;
        facts.primacy = hello.primacy.to_string();
        facts.now = (hello.local_time_ms != 0).then_some(hello.local_time_ms / 1_000);
        Ok(())
    }

    /// Returns which primary answers now.
    pub(super) async fn ask_primacy(&self) -> Result<String, RestoreError> {
        let hello = self.client.hello().await;
        let hello = hello.map_err(|failure| blame::reading(&failure, "who is primary"))?;
        Ok(hello.primacy.to_string())
    }

    async fn feature_version(&self) -> Option<String> {
        let mut ask = DocWriter::new();
        ask.int32(b"getParameter", 1).int32(b"featureCompatibilityVersion", 1);
        let reply = command::run(&self.client, "admin", ask.finish()).await.ok()?;
        let parameter = reply.get_document("featureCompatibilityVersion").ok()?;
        parameter.get_str("version").ok().map(str::to_owned)
    }

    async fn replica_set_id(&self) -> Option<String> {
        let id = self.client.set_config().await.ok()?.replica_set_id?;
        Some(Hex(&id).to_string())
    }

    async fn probe_rights(&self, facts: &mut TargetFacts) {
        let mut ask = DocWriter::new();
        ask.int32(b"connectionStatus", 1).value(kind::BOOL, b"showPrivileges", &[1]);
        let Ok(reply) = command::run(&self.client, "admin", ask.finish()).await else { return };
        let Ok(info) = reply.get_document("authInfo") else { return };
        let users = info.get_array("authenticatedUsers").ok();
        let user = users.and_then(|users| users.first()).and_then(bson::Bson::as_document);
        let Some(user) = user else { return };
        let part = |name| user.get_str(name).unwrap_or_default();
        facts.user = Some(format!("{}.{}", part("db"), part("user")));
        facts.rights =
            info.get_array("authenticatedUserPrivileges").ok().map(|list| Rights::read(list));
    }

    /// Returns every collection and view that is not the server's own.
    async fn namespaces(&self) -> Result<Vec<String>, Failure> {
        let mut ask = DocWriter::new();
        ask.int32(b"listDatabases", 1).value(kind::BOOL, b"nameOnly", &[1]);
        let reply = command::run(&self.client, "admin", ask.finish()).await?;
        let mut namespaces = Vec::new();
        for database in reply.get_array("databases").into_iter().flatten() {
            let db = database.as_document().and_then(|entry| entry.get_str("name").ok());
            // All of what they hold is the server's own, and some users may not list it.
            let Some(db) = db.filter(|db| !SERVERS_OWN.contains(db)) else { continue };
            for entry in list_collections(&self.client, db).await? {
                let name =
                    Doc::new(&entry).ok().and_then(|entry| entry.get(b"name").ok().flatten());
                let name = name.and_then(Element::as_str).unwrap_or("(unreadable)");
                if !is_the_servers_own(db, name) {
                    namespaces.push(format!("{db}.{name}"));
                }
            }
        }
        Ok(namespaces)
    }

    /// Returns true if the target's `collMod` knows the mark of mixed types. The question names a
    /// collection that does not exist, so nothing is changed: a server that knows the mark reports
    /// the missing collection, and other servers report the unknown parameter.
    pub(super) async fn ask_for_mixed_schema(&self, db: &str) -> Result<bool, RestoreError> {
        const NO_COLLECTION: &str = "hindsight.asks.for.a.parameter";
        let ask = set_mark(NO_COLLECTION, true);
        match command::run(&self.client, db, ask).await {
            Err(failure) if failure.is(codes::UNKNOWN_FIELD) => Ok(false),
            Err(failure) if failure.is_passing() => Err(self.unreachable(&failure)),
            // Without the right to run collMod nothing is restored, as the checks report.
            _ => Ok(true),
        }
    }

    async fn admin(&self, name: &str) -> Result<Document, Failure> {
        command::run(&self.client, "admin", command::simple(name)).await
    }

    /// Makes the error of a question that failed. A target that answers and refuses (because of a
    /// wrong password, for example) will not answer otherwise next time.
    fn unreachable(&self, failure: &Failure) -> RestoreError {
        let target = &self.name;
        match failure.is_passing() {
            true => RestoreError::Unavailable {
                doing: format!("asking target {target}"),
                reason: failure.to_string(),
            },
            false => RestoreError::TargetUnsuitable {
                problems: vec![format!(
                    "{target} refused a question: {}",
                    blame::with_remedy(failure)
                )],
                remedies: Vec::new(),
            },
        }
    }
}

/// Databases of which everything is the server's own.
const SERVERS_OWN: [&str; 2] = ["local", "config"];

/// Returns true for a collection that a freshly made deployment may hold.
fn is_the_servers_own(db: &str, name: &str) -> bool {
    match db {
        _ if SERVERS_OWN.contains(&db) => true,
        "admin" => name.starts_with("system."),
        _ => name == "system.profile",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_deployment_counts_as_empty() {
        assert!(is_the_servers_own("admin", "system.version"));
        assert!(is_the_servers_own("admin", "system.users"));
        assert!(is_the_servers_own("config", "system.sessions"));
        assert!(!is_the_servers_own("admin", "inventory"));
        assert!(!is_the_servers_own("shop", "system.views"));
    }
}
