//! Restores users and roles.
//!
//! Seen on 6.0.5: a user with the role `restore` or `root` may not write to `admin.system.roles`
//! directly. Such a user may fill two temporary collections and have the server merge them
//! (`_mergeAuthzCollections`), as mongorestore does. Documents arrive unchanged. Users and roles
//! that the target holds besides those of the state stay.

use std::collections::BTreeSet;

use hindsight_mongo::{Client, codes};
use hindsight_oplog::raw::{Doc, DocWriter, Element, kind};

use super::batch::BatchBuilder;
use super::command;
use super::error::RestoreError;
use super::insert::look_at;
use super::plan::{ROLES, Skipped, USERS};
use super::snapshot::{CollectionState, Snapshot};
use roles::Held;

pub(super) mod accounts;
pub(super) mod actions;
mod roles;

/// The documents of `admin.system.users` and `admin.system.roles` as the state has them.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    pub(super) users: Vec<Vec<u8>>,
    pub(super) roles: Vec<Vec<u8>>,
}

/// The documents of `admin.system.users` and `admin.system.roles` as they will be merged.
#[derive(Debug, Default)]
pub(super) struct Authorization {
    pub(super) users: Vec<Vec<u8>>,
    pub(super) roles: Vec<Vec<u8>>,
    pub(super) skipped: Vec<Skipped>,
}

const NEW_USERS: &str = "hindsight_restore_users";
const NEW_ROLES: &str = "hindsight_restore_roles";

/// The most bytes of one system collection that are read into memory. Users and roles are few; this
/// limit is far beyond what a server can authorise with.
const MAX_BYTES: usize = 256 << 20;

impl Authorization {
    /// Decides which users and roles are merged. Roles lose the actions that the target does not
    /// know. The user that this restore is logged in as is left out: merging that user would change
    /// the password and could end our own session half-way through.
    pub(super) fn of(
        Accounts { mut users, mut roles }: Accounts,
        own_user: Option<&str>,
        unknown_actions: &BTreeSet<String>,
    ) -> Result<Self, RestoreError> {
        if !unknown_actions.is_empty() {
            for role in &mut roles {
                *role = actions::without(role, unknown_actions).map_err(|error| {
                    let namespace = format!("admin.{ROLES}");
                    RestoreError::Source { namespace, source: error.into() }
                })?;
            }
        }
        let mut skipped = Vec::new();
        let is_own = |user: &Vec<u8>| own_user.is_some_and(|own| id_of(user) == Some(own));
        if let Some(own) = own_user
            && users.iter().any(is_own)
        {
            users.retain(|user| !is_own(user));
            let reason =
                format!("user {own} is the one this restore is logged in as; the target's stays");
            skipped.push(Skipped { ns: format!("admin.{USERS}"), reason });
        }
        Ok(Self { users, roles, skipped })
    }
}

/// Reads all documents of a small collection into memory.
pub(super) fn read_all(
    snapshot: &dyn Snapshot,
    state: &CollectionState,
) -> Result<Vec<Vec<u8>>, RestoreError> {
    let failed = |source| RestoreError::Source { namespace: state.namespace(), source };
    let (mut documents, mut bytes) = (Vec::new(), 0);
    for document in snapshot.documents(state).map_err(failed)? {
        let document = document.map_err(failed)?;
        bytes += document.len();
        if bytes > MAX_BYTES {
            return Err(failed(
                format!("more than {MAX_BYTES} bytes in a system collection").into(),
            ));
        }
        documents.push(document);
    }
    Ok(documents)
}

/// Merges users and roles into those of the target.
pub(super) async fn merge(client: &Client, found: &Authorization) -> Result<(), RestoreError> {
    if found.users.is_empty() && found.roles.is_empty() {
        return Ok(());
    }
    let merged = async {
        fill(client, NEW_USERS, &found.users).await?;
        fill(client, NEW_ROLES, &found.roles).await?;
        let mut command = DocWriter::new();
        command.int32(b"_mergeAuthzCollections", 1);
        if !found.users.is_empty() {
            command.string(b"tempUsersCollection", &format!("admin.{NEW_USERS}"));
        }
        if !found.roles.is_empty() {
            command.string(b"tempRolesCollection", &format!("admin.{NEW_ROLES}"));
        }
        command.string(b"db", "").value(kind::BOOL, b"drop", &[0]);
        let result = command::run(client, "admin", command.finish()).await;
        result
            .map(drop)
            .map_err(|failure| RestoreError::writing(&failure, "admin", "users and roles"))
    }
    .await;
    let dropped = drop_temporary(client).await;
    merged.and(dropped)
}

async fn fill(client: &Client, name: &str, documents: &[Vec<u8>]) -> Result<(), RestoreError> {
    let namespace = format!("admin.{name}");
    let mut builder = BatchBuilder::new(name, true, 4 << 20, 1000);
    let mut batches = Vec::new();
    for document in documents {
        let full = builder.add(document).map_err(|unfit| RestoreError::WriteRefused {
            namespace: namespace.clone(),
            what: "a user or role".into(),
            reason: format!("{unfit:?}"),
        })?;
        batches.extend(full);
    }
    batches.extend(builder.take());
    for batch in batches {
        let reply = client.run("admin", batch.insert).await;
        let reply = reply
            .map_err(|failure| RestoreError::writing(&failure, &namespace, "users and roles"))?;
        look_at(&reply, &namespace, false, |_| None)?;
    }
    Ok(())
}

/// Drops the two temporary collections, even when the merge failed, because they hold credentials.
async fn drop_temporary(client: &Client) -> Result<(), RestoreError> {
    for name in [NEW_USERS, NEW_ROLES] {
        match command::run(client, "admin", command::named("drop", name)).await {
            Ok(_) => {}
            Err(failure) if failure.is(codes::NAMESPACE_NOT_FOUND) => {}
            Err(failure) => {
                return Err(RestoreError::writing(&failure, &format!("admin.{name}"), "the drop"));
            }
        }
    }
    Ok(())
}

/// The result of reading users and roles back.
#[derive(Debug, Default)]
pub(super) struct ReadBack {
    /// Users and roles that the target does not hold exactly as they were written.
    pub(super) mismatches: Vec<String>,
    /// What the target does not show us, and why.
    pub(super) unread: Vec<String>,
}

/// Reads the merged users and roles back.
pub(super) async fn read_back(client: &Client, found: &Authorization) -> ReadBack {
    let mut result = ReadBack::default();
    for (name, expected) in [(USERS, &found.users), (ROLES, &found.roles)] {
        if expected.is_empty() {
            continue;
        }
        let changed = |document: &[u8]| {
            let id = id_of(document).unwrap_or("(unreadable)");
            format!("admin.{name}: {id} is not as it was")
        };
        match command::collect(client, "admin", command::named("find", name)).await {
            Ok(held) => {
                let missing = expected.iter().filter(|document| !held.contains(document));
                result.mismatches.extend(missing.map(|document| changed(document)));
            }
            Err(failure) if failure.is(codes::UNAUTHORIZED) && name == ROLES => {
                look_up_roles(client, expected, &mut result).await;
            }
            Err(failure) => {
                let error = RestoreError::reading(&failure, &format!("admin.{name} back"));
                result.unread.push(error.to_string());
            }
        }
    }
    result
}

async fn look_up_roles(client: &Client, expected: &[Vec<u8>], result: &mut ReadBack) {
    for document in expected {
        let id = id_of(document).unwrap_or("(unreadable)");
        match roles::look_up(client, document).await {
            Ok(Held::Same) => {}
            Ok(Held::SameButRestrictions) => result.unread.push(format!(
                "the authenticationRestrictions of role {id} can be compared only by a user who may read \
                 admin.{ROLES} (role backup)"
            )),
            Ok(Held::Differs) => {
                result.mismatches.push(format!("admin.{ROLES}: {id} is not as it was"));
            }
            Err(failure) => {
                let error = RestoreError::reading(&failure, &format!("role {id} back"));
                result.unread.push(error.to_string());
            }
        }
    }
}

fn id_of(document: &[u8]) -> Option<&str> {
    Doc::new(document).ok()?.get(b"_id").ok().flatten().and_then(Element::as_str)
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn the_own_user_stays_and_unknown_actions_go() {
        let user = |id: &str| rawdoc! { "_id": id }.into_bytes();
        let role = |actions: &[&str]| {
            let actions: bson::RawArrayBuf = actions.iter().copied().collect();
            let privilege = rawdoc! { "resource": { "db": "shop" }, "actions": actions };
            let privileges: bson::RawArrayBuf = [privilege].into_iter().collect();
            rawdoc! { "_id": "admin.ops", "privileges": privileges }.into_bytes()
        };
        let accounts = Accounts {
            users: vec![user("admin.me"), user("shop.you")],
            roles: vec![role(&["diagLogging", "find"])],
        };
        let unknown = BTreeSet::from(["diagLogging".to_owned()]);
        let merged = Authorization::of(accounts, Some("admin.me"), &unknown).expect("well formed");
        assert_eq!(merged.users, [user("shop.you")]);
        assert_eq!(merged.roles, [role(&["find"])]);
        assert!(merged.skipped[0].reason.contains("user admin.me is the one"), "{merged:?}");
    }
}
