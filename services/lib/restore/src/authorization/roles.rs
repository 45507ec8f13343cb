//! Reads roles back through `rolesInfo`, for users who may not read `admin.system.roles` itself.
//!
//! Seen on 4.4.2 to 6.0.27: a user with the role `restore` may merge roles and ask for them
//! (`viewRole`), but may not read the collection that holds them. `rolesInfo` shows the parts of a
//! role in another order, so they are compared as sets.

use std::collections::BTreeSet;

use bson::{Bson, Document, RawDocumentBuf};
use hindsight_mongo::{Client, Failure};
use hindsight_oplog::raw::{DocWriter, kind};

use super::super::command;

/// How the target holds one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Same,
    /// Everything except `authenticationRestrictions` is the same. `rolesInfo` shows the
    /// restrictions in another form, so they are not compared.
    SameButRestrictions,
    Differs,
}

/// Asks the target how it holds the role that `document`, a document of `admin.system.roles`,
/// describes.
pub(super) async fn look_up(client: &Client, document: &[u8]) -> Result<Held, Failure> {
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
    Ok(shown.map_or(Held::Differs, |shown| compare(&expected, shown)))
}

fn compare(expected: &Document, shown: &Document) -> Held {
    if privileges(expected) != privileges(shown) || roles(expected) != roles(shown) {
        return Held::Differs;
    }
    match expected.get_array("authenticationRestrictions") {
        Ok(restrictions) if !restrictions.is_empty() => Held::SameButRestrictions,
        _ => Held::Same,
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
        assert_eq!(compare(&stored, &shown), Held::Same);
        let mut restricted = stored.clone();
        restricted.insert("authenticationRestrictions", vec![doc! { "clientSource": ["::1"] }]);
        assert_eq!(compare(&restricted, &shown), Held::SameButRestrictions);
        let mut less = shown.clone();
        less.insert("privileges", vec![privilege(["find", "find"])]);
        assert_eq!(compare(&stored, &less), Held::Differs);
        let mut fewer = shown;
        fewer.insert("roles", Vec::<Bson>::new());
        assert_eq!(compare(&stored, &fewer), Held::Differs);
    }
}
