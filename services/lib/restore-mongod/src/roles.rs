//! Asks about roles: which actions the target knows, and how it holds one role.
//!
//! Seen on 4.4.2 to 6.0.27: a user with the role `restore` may merge roles and ask for them
//! (`viewRole`), but may not read the collection that holds them. `rolesInfo` shows the parts of a
//! role in another order, so they are compared as sets.

use std::collections::BTreeSet;

use bson::{Bson, Document, RawDocumentBuf};
use hindsight_mongo::{Client, Failure};
use hindsight_oplog::raw::{DocWriter, kind};
use hindsight_restore::commands::id_of;
use hindsight_restore::{HeldRole, RestoreError};

use super::{blame, command};

/// A name that no role has.
const NO_ROLE: &str = "hindsight_no_such_role";
/// How servers begin the message about unknown actions:
/// `Unrecognized action privilege strings: a,b` (4.4.2), `Unrecognized action: a` and
/// `Unrecognized actions: a, b` (5.0.4 to 7.0.28).
const UNRECOGNIZED: &str = "Unrecognized action";

/// Returns the actions that the target does not know. The target is asked to grant the actions to a
/// role that does not exist. It always refuses, but it complains about unknown actions first. When
/// we may not grant privileges, the result is empty.
pub(super) async fn unknown_actions(
    client: &Client,
    actions: &[&str],
) -> Result<BTreeSet<String>, Failure> {
    if actions.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut ask = DocWriter::new();
    ask.string(b"grantPrivilegesToRole", NO_ROLE).open(kind::ARRAY, b"privileges");
    ask.open(kind::DOCUMENT, b"0").open(kind::DOCUMENT, b"resource");
    ask.string(b"db", "").string(b"collection", "").close().open(kind::ARRAY, b"actions");
    for (number, action) in actions.iter().enumerate() {
        ask.string(number.to_string().as_bytes(), action);
    }
    ask.close().close().close();
    match command::run(client, "admin", ask.finish()).await {
        Err(failure) if !failure.is_passing() => Ok(named_in(failure.message(), actions)),
        Err(unavailable) => Err(unavailable),
        Ok(_) => Ok(BTreeSet::new()),
    }
}

fn named_in(message: &str, actions: &[&str]) -> BTreeSet<String> {
    let list = message.split_once(UNRECOGNIZED).and_then(|(_, rest)| rest.split_once(": "));
    let named: BTreeSet<&str> =
        list.map(|(_, names)| names.split(',').map(str::trim).collect()).unwrap_or_default();
    actions.iter().filter(|action| named.contains(*action)).map(|it| (*it).to_owned()).collect()
}

/// Asks the target how it holds a role. This is for users who may not read `admin.system.roles`.
pub(super) async fn compare_role(client: &Client, role: &[u8]) -> Result<HeldRole, RestoreError> {
    look_up(client, role).await.map_err(|failure| {
        let id = id_of(role).unwrap_or("(unreadable)");
        blame::reading(&failure, &format!("role {id} back"))
    })
}

/// Asks the target how it holds the role that `document`, a document of `admin.system.roles`,
/// describes.
async fn look_up(client: &Client, document: &[u8]) -> Result<HeldRole, Failure> {
    let unreadable = |error: String| Failure::refused(error);
    let raw =
        RawDocumentBuf::from_bytes(document.to_vec()).map_err(|e| unreadable(e.to_string()))?;
    let expected = Document::try_from(raw.as_ref()).map_err(|e| unreadable(e.to_string()))?;
    let (Ok(role), Ok(db)) = (expected.get_str("role"), expected.get_str("db")) else {
        return Err(unreadable("a role without name or database".to_owned()));
    };
    let mut ask = DocWriter::new();
    ask.open(kind::DOCUMENT, b"rolesInfo").string(b"role", role).string(b"db", db).close();
    ask.value(kind::BOOL, b"showPrivileges", &[1]);
    let reply = command::run(client, "admin", ask.finish()).await?;
    let shown = reply.get_array("roles").ok().and_then(|roles| roles.first()?.as_document());
    Ok(shown.map_or(HeldRole::Differs, |shown| compare(&expected, shown)))
}

fn compare(expected: &Document, shown: &Document) -> HeldRole {
    if privileges(expected) != privileges(shown) || roles(expected) != roles(shown) {
        return HeldRole::Differs;
    }
    match expected.get_array("authenticationRestrictions") {
        Ok(restrictions) if !restrictions.is_empty() => HeldRole::SameButRestrictions,
        _ => HeldRole::Same,
    }
}

/// Returns each pair of resource and action, as text.
fn privileges(role: &Document) -> BTreeSet<(String, String)> {
    let mut pairs = BTreeSet::new();
    for privilege in documents(role, "privileges") {
        let resource = privilege.get_document("resource").map(sorted).unwrap_or_default();
        for action in privilege.get_array("actions").into_iter().flatten() {
            pairs.insert((resource.clone(), action.to_string()));
        }
    }
    pairs
}

fn roles(role: &Document) -> BTreeSet<String> {
    documents(role, "roles").map(sorted).collect()
}

fn documents<'a>(role: &'a Document, field: &str) -> impl Iterator<Item = &'a Document> {
    let array = role.get_array(field).map(Vec::as_slice).unwrap_or_default();
    array.iter().filter_map(Bson::as_document)
}

/// Renders a document of scalars as text, with the fields in the order of their names.
fn sorted(document: &Document) -> String {
    let fields: BTreeSet<_> =
        document.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    fields.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
        names.map(str::to_owned).into()
    }

    #[test]
    fn what_a_target_does_not_know_is_read_from_its_refusal() {
        let asked = ["find", "diagLogging", "noSuch"];
        for message in [
            "Unrecognized action privilege strings: diagLogging,noSuch",
            "Unrecognized actions: diagLogging, noSuch",
        ] {
            assert_eq!(named_in(message, &asked), set(["diagLogging", "noSuch"]), "{message}");
        }
        assert_eq!(named_in("Unrecognized action: noSuch", &asked), set(["noSuch"]));
        for message in
            ["Role hindsight_no_such_role@admin not found", "not authorized on admin: find"]
        {
            assert_eq!(named_in(message, &asked), set([]), "{message}");
        }
    }

    #[test]
    fn roles_are_compared_as_sets() {
        let privilege = |actions: [&str; 2]| {
            doc! { "resource": { "db": "shop", "collection": "" }, "actions": actions.to_vec() }
        };
        let inherited = doc! { "role": "read", "db": "shop" };
        let stored = doc! {
            "_id": "shop.clerk", "role": "clerk", "db": "shop",
            "privileges": [privilege(["find", "insert"])], "roles": [inherited],
        };
        let shown = doc! {
            "db": "shop", "role": "clerk", "isBuiltin": false,
            "roles": [{ "db": "shop", "role": "read" }],
            "privileges": [privilege(["insert", "find"])],
        };
        assert_eq!(compare(&stored, &shown), HeldRole::Same);
        let mut restricted = stored.clone();
        restricted.insert("authenticationRestrictions", vec![doc! { "clientSource": ["::1"] }]);
        assert_eq!(compare(&restricted, &shown), HeldRole::SameButRestrictions);
        let mut less = shown.clone();
        less.insert("privileges", vec![privilege(["find", "find"])]);
        assert_eq!(compare(&stored, &less), HeldRole::Differs);
        let mut fewer = shown;
        fewer.insert("roles", Vec::<Bson>::new());
        assert_eq!(compare(&stored, &fewer), HeldRole::Differs);
    }
}
