//! Users and roles of the state: which are merged into those of the target, and whether they are
//! there afterwards.

use std::collections::BTreeSet;

use hindsight_oplog::raw::{Doc, Element};

use super::destination::{AccountKind, HeldRole, ReadBack, Shown};
use super::error::RestoreError;
use super::plan::{ROLES, Skipped, USERS};
use super::snapshot::{CollectionState, Snapshot};

pub(super) mod accounts;
pub(super) mod actions;

/// The documents of `admin.system.users` and `admin.system.roles` as the state has them.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    pub(super) users: Vec<Vec<u8>>,
    pub(super) roles: Vec<Vec<u8>>,
}

/// The documents of `admin.system.users` and `admin.system.roles` as they will be merged.
#[derive(Debug, Default)]
pub struct Authorization {
    pub(super) users: Vec<Vec<u8>>,
    pub(super) roles: Vec<Vec<u8>>,
    pub(super) skipped: Vec<Skipped>,
}

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

    pub(super) fn of_kind(&self, kind: AccountKind) -> &[Vec<u8>] {
        match kind {
            AccountKind::Users => &self.users,
            AccountKind::Roles => &self.roles,
        }
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

/// The result of reading users and roles back.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// Users and roles that the target does not hold exactly as they were written.
    pub(super) mismatches: Vec<String>,
    /// What the target does not show us, and why.
    pub(super) unread: Vec<String>,
}

/// Compares the merged users and roles with those that the target holds.
pub(super) async fn compare(held: &dyn ReadBack, merged: &Authorization) -> Compared {
    let mut result = Compared::default();
    for kind in [AccountKind::Users, AccountKind::Roles] {
        let expected = merged.of_kind(kind);
        if expected.is_empty() {
            continue;
        }
        match held.accounts(kind).await {
            Ok(Shown::Documents(held)) => {
                let missing = expected.iter().filter(|document| !held.contains(document));
                result.mismatches.extend(missing.map(|document| not_as_it_was(kind, document)));
            }
            Ok(Shown::Hidden(_)) if kind == AccountKind::Roles => {
                compare_each_role(held, expected, &mut result).await;
            }
            Ok(Shown::Hidden(reason)) => result.unread.push(reason),
            Err(error) => result.unread.push(error.to_string()),
        }
    }
    result
}

async fn compare_each_role(held: &dyn ReadBack, expected: &[Vec<u8>], result: &mut Compared) {
    for document in expected {
        match held.compare_role(document).await {
            Ok(HeldRole::Same) => {}
            Ok(HeldRole::SameButRestrictions) => result.unread.push(format!(
                "the authenticationRestrictions of role {} can be compared only by a user who may read \
                 admin.{ROLES} (role backup)",
                id_of(document).unwrap_or("(unreadable)")
            )),
            Ok(HeldRole::Differs) => {
                result.mismatches.push(not_as_it_was(AccountKind::Roles, document));
            }
            Err(error) => result.unread.push(error.to_string()),
        }
    }
}

fn not_as_it_was(kind: AccountKind, document: &[u8]) -> String {
    let id = id_of(document).unwrap_or("(unreadable)");
    format!("admin.{}: {id} is not as it was", kind.collection())
}

pub(super) fn id_of(document: &[u8]) -> Option<&str> {
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
