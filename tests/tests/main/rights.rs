//! Tests the rights that the README gives to the user that reads the source.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bson::{Document, doc};
use hindsight_mongo::privileges::{ACTIONS, CLUSTER_ACTIONS, ROLE};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::{HindsightProcess, Mongod, MongodOptions, ReplicaSet, SetOptions};

#[tokio::test(flavor = "multi_thread")]
async fn the_role_of_the_readme_is_enough_to_capture_and_to_copy_a_base() -> Result<()> {
    let options = SetOptions::members(1).mongod(MongodOptions::with_auth);
    let mut set = ReplicaSet::start(options).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    let admin = client.database("admin");
    let privileges = [
        doc! {"resource": {"anyResource": true}, "actions": ACTIONS.to_vec()},
        doc! {"resource": {"cluster": true}, "actions": CLUSTER_ACTIONS.to_vec()},
    ];
    let role = doc! {"createRole": "hindsight", "roles": [ROLE], "privileges": privileges.to_vec()};
    admin.run_command(role).await?;
    admin.run_command(doc! {"createUser": "reader", "pwd": "pw", "roles": ["hindsight"]}).await?;
    let shop = client.database("shop");
    shop.collection::<Document>("orders").insert_one(doc! {"_id": 1}).await?;
    shop.run_command(doc! {"create": "seen", "viewOn": "orders", "pipeline": []}).await?;

    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let uri = format!("mongodb://reader:pw@{}/?authSource=admin", set.server(0).address());
    let mut up = HindsightProcess::up(&uri, &data, &[]).await?;
    shop.collection::<Document>("orders").insert_one(doc! {"_id": 2}).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;

    let target = Mongod::standalone(&MongodOptions::default()).await?;
    let args = ["restore", "--until", "latest", "--to", &target.uri()];
    let report = run_json(&data, &args).await?.expect_success()?.json()?;
    ensure!(report["verified"] == true, "{report}");
    let seen = target.client().await?.database("shop").collection::<Document>("seen");
    let found = seen.count_documents(doc! {}).await.context("the view is there")?;
    ensure!(found == 2, "{found} documents");
    ensure!(up.stop().await?.success(), "up failed:\n{}", up.stderr());
    Ok(())
}
