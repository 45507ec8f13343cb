//! Users and roles of the target.
//!
//! Seen on 6.0.5: a user with the role `restore` or `root` may not write to `admin.system.roles`
//! directly. Such a user may fill two temporary collections and have the server merge them
//! (`_mergeAuthzCollections`), as mongorestore does. Documents arrive unchanged. Users and roles
//! that the target holds besides those of the state stay.

use hindsight_mongo::{Client, codes};
use hindsight_oplog::raw::{DocWriter, kind};
use hindsight_restore::commands::BatchBuilder;
use hindsight_restore::{AccountKind, Authorization, RestoreError, Shown};

use super::insert::look_at;
use super::{blame, command};

const NEW_USERS: &str = "hindsight_restore_users";
const NEW_ROLES: &str = "hindsight_restore_roles";

/// Reads all users or roles.
pub(super) async fn shown(client: &Client, kind: AccountKind) -> Result<Shown, RestoreError> {
    let name = kind.collection();
    match command::collect(client, "admin", command::named("find", name)).await {
        Ok(documents) => Ok(Shown::Documents(documents)),
        Err(failure) => {
            let error = blame::reading(&failure, &format!("admin.{name}"));
            match failure.is(codes::UNAUTHORIZED) {
                true => Ok(Shown::Hidden(error.to_string())),
                false => Err(error),
            }
        }
    }
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
        result.map(drop).map_err(|failure| blame::writing(&failure, "admin", "users and roles"))
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
        let reply =
            reply.map_err(|failure| blame::writing(&failure, &namespace, "users and roles"))?;
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
                return Err(blame::writing(&failure, &format!("admin.{name}"), "the drop"));
            }
        }
    }
    Ok(())
}
