//! What a user may do on a target.

use std::collections::BTreeMap;

/// Actions by the resource that they are granted on: a database, one collection (`db.collection`,
/// or `.collection` in any database), or one of the names below, which no database can have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights(pub(super) BTreeMap<String, Vec<String>>);

/// Every database, but not its system collections.
const ANY_DATABASE: &str = "";
/// Every resource.
const ANY_RESOURCE: &str = "$any";
/// The deployment as a whole.
const CLUSTER: &str = "$cluster";

impl Rights {
    /// Reads the privileges that `connectionStatus` shows.
    pub fn read(privileges: &[bson::Bson]) -> Self {
        let mut rights = Self::default();
        for privilege in privileges.iter().filter_map(bson::Bson::as_document) {
            let Ok(resource) = privilege.get_document("resource") else { continue };
            let is = |name| resource.get_bool(name).unwrap_or(false);
            let on = match (resource.get_str("db"), resource.get_str("collection")) {
                (Ok(db), Ok("")) => db.to_owned(),
                (Ok(db), Ok(collection)) => format!("{db}.{collection}"),
                _ if is("anyResource") => ANY_RESOURCE.to_owned(),
                _ if is("cluster") => CLUSTER.to_owned(),
                _ => continue,
            };
            let actions = privilege.get_array("actions").into_iter().flatten();
            let actions = actions.filter_map(|action| action.as_str().map(str::to_owned));
            rights.0.entry(on).or_default().extend(actions);
        }
        rights
    }

    /// Returns true if `action` is allowed on the ordinary collections of a database.
    pub(super) fn allow(&self, db: &str, action: &str) -> bool {
        self.grant(&[ANY_RESOURCE, ANY_DATABASE, db], action)
    }

    /// Returns true if `action` is allowed on a system collection.
    pub(super) fn allow_on(&self, db: &str, collection: &str, action: &str) -> bool {
        let named = [format!("{db}.{collection}"), format!(".{collection}")];
        self.grant(&[ANY_RESOURCE, &named[0], &named[1]], action)
    }

    /// Returns true if `action` is allowed on the deployment as a whole.
    pub(super) fn allow_on_cluster(&self, action: &str) -> bool {
        self.grant(&[ANY_RESOURCE, CLUSTER], action)
    }

    fn grant(&self, on: &[&str], action: &str) -> bool {
        let granted = on.iter().filter_map(|on| self.0.get(*on)).flatten();
        granted.into_iter().any(|granted| granted == action || granted == "anyAction")
    }
}

#[cfg(test)]
mod tests {
    use bson::bson;

    use super::*;

    #[test]
    fn rights_are_read_by_database() {
        let privileges = [
            bson!({ "resource": { "db": "", "collection": "" }, "actions": ["insert"] }),
            bson!({ "resource": { "db": "shop", "collection": "" }, "actions": ["find"] }),
            bson!({ "resource": { "db": "shop", "collection": "a" }, "actions": ["collMod"] }),
            bson!({ "resource": { "cluster": true }, "actions": ["listDatabases"] }),
        ];
        let rights = Rights::read(&privileges);
        assert!(rights.allow("any", "insert") && rights.allow("shop", "find"));
        assert!(!rights.allow("any", "find") && !rights.allow("shop", "collMod"));
        assert!(rights.allow_on("shop", "a", "collMod") && !rights.allow_on("any", "a", "collMod"));
        assert!(rights.allow_on_cluster("listDatabases") && !rights.allow_on_cluster("applyOps"));
        let anywhere = bson!({
            "resource": { "db": "", "collection": "system.users" }, "actions": ["find"],
        });
        let rights = Rights::read(&[anywhere]);
        assert!(rights.allow_on("admin", "system.users", "find") && !rights.allow("admin", "find"));
        let all = [bson!({ "resource": { "anyResource": true }, "actions": ["anyAction"] })];
        assert!(Rights::read(&all).allow("any", "createIndex"));
    }
}
