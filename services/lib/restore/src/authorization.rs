//! Compares users and roles with those that the target holds, before and after they are merged.

use super::accounts::{AccountKind, Authorization, id_of};
use super::destination::{HeldRole, ReadBack, Shown};
use super::plan::ROLES;

pub(super) mod present;

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
