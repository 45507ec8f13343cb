//! Tests catalogs as servers really hold them: index specs and options that are listed in another
//! form than they were given in, that a server lists and does not take back, or that it can never
//! hold.
//!
//! Each state is made once before the base is copied and once after, so that it comes both from the
//! server's list and from the log. One restore must bring all of them back.
//! (`HINDSIGHT_TEST_MONGODB` sets the version.)

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bson::{Binary, Document, doc, spec::BinarySubtype};
use hindsight_tests::dbhash;
use hindsight_tests::hindsight::run_json;
use hindsight_tests::mongod::{client_of, server_version};
use hindsight_tests::replica_set::{ROOT_PASSWORD_ESCAPED, ROOT_USER, last_timestamp};
use hindsight_tests::{HindsightProcess, Mongod, MongodOptions, ReplicaSet, RunOutput, SetOptions};
use mongodb::Client;

use crate::capture_checks::restores_exactly;

mod states;

use states::{State, states};

/// Makes a state in this database.
async fn make(client: &Client, database: &str, state: &State) -> Result<()> {
    let database = client.database(database);
    let run = async |command: Document| {
        let shown = command.to_string();
        database.run_command(command).await.with_context(|| format!("{}: {shown}", state.name))
    };
    let mut create = doc! {"create": state.name};
    create.extend(state.options.clone());
    run(create).await?;
    // The collection is not empty, so that the index is built in two phases and its entry is a
    // commitIndexBuild.
    if state.filled {
        run(doc! {"insert": state.name, "documents": [{"_id": 1, "a": "x"}]}).await?;
    }
    for index in &state.indexes {
        run(doc! {"createIndexes": state.name, "indexes": [index]}).await?;
    }
    for change in &state.changes {
        let mut modify = doc! {"collMod": state.name};
        modify.extend(change.clone());
        run(modify).await?;
    }
    if !state.filled {
        run(doc! {"insert": state.name, "documents": [{"_id": 1, "a": "x"}]}).await?;
    }
    Ok(())
}

/// Makes documents as an applier of the oplog stores them: with `_id` last, and a zero timestamp
/// inside.
async fn make_late_ids(client: &Client, database: &str) -> Result<()> {
    for (name, options) in [("late", doc! {}), ("late_capped", doc! {"capped": true, "size": 4096})]
    {
        let mut create = doc! {"create": name};
        create.extend(options);
        client.database(database).run_command(create).await?;
        let zero = bson::Timestamp { time: 0, increment: 0 };
        let ops: Vec<_> = [1, 2, 3]
            .into_iter()
            .map(|id| {
                let o = match id {
                    2 => doc! {"a": 1, "t": zero, "_id": id},
                    _ => doc! {"_id": id, "a": 1},
                };
                doc! {"op": "i", "ns": format!("{database}.{name}"), "o": o}
            })
            .collect();
        let apply = doc! {"applyOps": ops, "allowAtomic": false};
        client.database("admin").run_command(apply).await?;
    }
    Ok(())
}

async fn source() -> Result<(ReplicaSet, Client)> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    Ok((set, client))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_catalog_comes_back_as_it_was_listed() -> Result<()> {
    let (set, client) = source().await?;
    let version = server_version(&client).await?;
    let states: Vec<_> = states().into_iter().filter(|state| state.fits(version)).collect();
    ensure!(states.len() > 40, "only {} states fit {version:?}", states.len());
    for state in &states {
        make(&client, "base", state).await?;
    }
    make_late_ids(&client, "base").await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    for state in &states {
        make(&client, "log", state).await?;
    }
    make_late_ids(&client, "log").await?;
    let held = dbhash::snapshot(&client).await?;
    let last = last_timestamp(&client).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    restores_exactly(&data, last, &held).await?;
    let status = up.stop().await?;
    ensure!(status.success(), "up ended with {status}");
    Ok(())
}

/// Makes what a 6.0 server can be made to hold and a standalone target of the same version cannot
/// hold.
async fn make_leftovers(client: &Client) -> Result<()> {
    let id_index = doc! {"v": 2, "key": {"_id": 1}, "name": "_id_"};
    for o in [
        doc! {"create": "unsized", "capped": true, "size": 0, "idIndex": &id_index},
        doc! {
            "create": "images", "recordPreImages": true,
            "changeStreamPreAndPostImages": {"enabled": true}, "idIndex": &id_index,
        },
    ] {
        let op = doc! {"op": "c", "ns": "shop.$cmd", "o": o};
        client.database("admin").run_command(doc! {"applyOps": [op]}).await?;
    }
    let key = Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] };
    let fields = [doc! {"path": "ssn", "bsonType": "string", "keyId": key}].to_vec();
    let create = doc! {"create": "secret", "encryptedFields": {"fields": fields}};
    client.database("shop").run_command(create).await?;

    // Servers keep roles from before that action was removed, and ignore the action.
    let privilege =
        doc! {"resource": {"db": "shop", "collection": ""}, "actions": ["find", "diagLogging"]};
    let role = doc! {
        "_id": "shop.ops", "role": "ops", "db": "shop", "privileges": [privilege], "roles": [],
    };
    client.database("admin").collection::<Document>("system.roles").insert_one(role).await?;
    Ok(())
}

/// Tests what a server keeps from older servers, or holds although the target cannot: all of it is
/// reported at once, and nothing is written.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_target_can_never_hold_is_refused_at_once_or_left_out() -> Result<()> {
    let (set, client) = source().await?;
    let version = server_version(&client).await?;
    if version.0 != 6 {
        // The states below are leftovers that an applyOps command can make on 6.0.
        println!("not on {version:?}: what 6.0 alone can be made to hold");
        return Ok(());
    }
    make_leftovers(&client).await?;

    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    let target = Mongod::standalone(&MongodOptions::default()).await?;
    let restore = async |flags: &[&str]| -> Result<RunOutput> {
        let uri = target.uri();
        let args = ["restore", "--until", "latest", "--to", &uri];
        run_json(&data, &[&args, flags].concat()).await
    };
    let output = restore(&[]).await?;
    ensure!(output.code != Some(0), "it was restored: {}", output.stdout);
    for words in [
        "shop.unsized, option size",
        "shop.images, option recordPreImages",
        "shop.secret, option encryptedFields",
        "restore into a replica set",
        "admin.system.roles, action diagLogging of shop.ops",
        "--leave-out-unrestorable",
    ] {
        ensure!(output.stderr.contains(words), "{words:?} is missing in: {}", output.stderr);
    }
    ensure!(target.client().await?.list_database_names().await?.len() <= 3, "it was written to");

    // A single option can be left out, but not what makes a collection what it is.
    let output = restore(&["--leave-out-unrestorable"]).await?;
    ensure!(output.code != Some(0) && !output.stderr.contains("shop.images"), "{}", output.stderr);
    client.database("shop").run_command(doc! {"drop": "unsized"}).await?;
    client.database("shop").run_command(doc! {"drop": "secret"}).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    let report = restore(&["--leave-out-unrestorable"]).await?.expect_success()?.json()?;
    ensure!(report["verified"] == true, "{report}");
    let skipped = report["skipped"].to_string();
    ensure!(skipped.contains("shop.images (option recordPreImages)"), "{skipped}");
    ensure!(skipped.contains("action diagLogging of shop.ops"), "{skipped}");
    let roles = target.client().await?.database("admin").collection::<Document>("system.roles");
    let role = roles.find_one(doc! {"_id": "shop.ops"}).await?.context("the role is missing")?;
    let actions = role.get_array("privileges")?[0].as_document().map(|it| it.get_array("actions"));
    ensure!(actions.transpose()? == Some(&vec!["find".into()]), "{role}");

    // Another restore into this target meets a role that exists there with other contents.
    let change = doc! {"$set": {"privileges": []}};
    roles.update_one(doc! {"_id": "shop.ops"}, change).await?;
    target.client().await?.database("shop").drop().await?;
    let output = restore(&["--leave-out-unrestorable"]).await?.expect_code(1)?;
    ensure!(
        output.stderr.contains("each of these roles with another definition: shop.ops"),
        "{}",
        output.stderr
    );
    up.stop().await?;
    Ok(())
}

/// Tests that the roles that our message asks for are enough, although they may not read
/// `admin.system.roles`.
#[tokio::test(flavor = "multi_thread")]
async fn roles_are_verified_with_the_rights_that_we_ask_for() -> Result<()> {
    let (set, client) = source().await?;
    let shop = client.database("shop");
    shop.run_command(doc! {"insert": "orders", "documents": [{"_id": 1}]}).await?;
    let privilege = doc! {
        "resource": {"db": "shop", "collection": "orders"}, "actions": ["insert", "find"],
    };
    let role = doc! {"createRole": "clerk", "privileges": [privilege], "roles": ["read"]};
    shop.run_command(role).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;

    let with_auth = SetOptions::members(1).mongod(MongodOptions::with_auth);
    let mut target = ReplicaSet::start(with_auth).await?;
    target.wait_for_primary(Duration::from_secs(60)).await?;
    let address = target.server(0).address();
    let uri = |user: &str, password: &str| {
        format!("mongodb://{user}:{password}@{address}/?authSource=admin&directConnection=true")
    };
    let root = client_of(&uri(ROOT_USER, ROOT_PASSWORD_ESCAPED)).await?;
    let create =
        doc! {"createUser": "restorer", "pwd": "pw", "roles": ["restore", "readAnyDatabase"]};
    root.database("admin").run_command(create).await?;
    let report = run_json(&data, &["restore", "--until", "latest", "--to", &uri("restorer", "pw")])
        .await?
        .expect_success()?
        .json()?;
    ensure!(report["verified"] == true && report["roles"] == 1, "{report}");
    let roles = root.database("admin").collection::<Document>("system.roles");
    ensure!(roles.find_one(doc! {"_id": "shop.clerk"}).await?.is_some(), "the role is missing");
    up.stop().await?;
    Ok(())
}
