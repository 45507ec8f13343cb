//! Users and roles of the state, and which of them are merged into those of the target.

use std::collections::BTreeSet;

use hindsight_oplog::raw::{Doc, Element};

use super::error::RestoreError;
use super::plan::{ROLES, Skipped, USERS};

pub(super) mod actions;

/// Users or roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountKind {
    /// The documents of `admin.system.users`.
    Users,
    /// The documents of `admin.system.roles`.
    Roles,
}

impl AccountKind {
    /// Returns the collection of the database `admin` that holds them.
    pub fn collection(self) -> &'static str {
        match self {
            Self::Users => USERS,
            Self::Roles => ROLES,
        }
    }

    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Users => "user",
            Self::Roles => "role",
        }
    }
}

/// The documents of `admin.system.users` and `admin.system.roles` as the state has them.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    pub(super) users: Vec<Vec<u8>>,
    pub(super) roles: Vec<Vec<u8>>,
}

/// The documents of `admin.system.users` and `admin.system.roles` as they will be merged.
#[derive(Debug, Default)]
pub struct Authorization {
    /// The documents of users.
    pub users: Vec<Vec<u8>>,
    /// The documents of roles.
    pub roles: Vec<Vec<u8>>,
    pub(super) skipped: Vec<Skipped>,
}

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

/// Returns the `_id` of a user or role.
pub fn id_of(document: &[u8]) -> Option<&str> {
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
