//! A link on which the largest reply takes longer than a member that hangs is waited for.

use std::time::Duration;

use anyhow::{Result, ensure};
use bson::{Document, doc};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::proxy::Proxy;
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions, dbhash};

use crate::capture_checks::restores_exactly;

/// A reply of 16 MiB takes 16 s.
const BYTES_PER_SECOND: u64 = 1_000_000;
const BACKLOG_DOCUMENTS: i32 = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_caught_up_with_over_a_slow_link() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    let admin = client.database("admin");
    let proxy = Proxy::start(set.server(0).port()).await?;
    let address = format!("127.0.0.1:{}", proxy.port());
    // Members are read under the names that the configuration gives them.
    let config = admin.run_command(doc! {"replSetGetConfig": 1}).await?;
    let mut config = config.get_document("config")?.clone();
    config.insert("version", config.get_i32("version")? + 1);
    let mut member = config.get_array("members")?[0].as_document().cloned().unwrap_or_default();
    member.insert("host", &address);
    config.insert("members", [member].to_vec());
    admin.run_command(doc! {"replSetReconfig": config}).await?;

    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let uri = format!("mongodb://{address}/?replicaSet={}", set.name());
    let mut up = HindsightProcess::up(&uri, &data, &[]).await?;
    run_json(&data, &["wait", "--timeout", "60s"]).await?.expect_success()?;
    ensure!(up.stop().await?.success(), "up failed:\n{}", up.stderr());

    // 20 MB in one piece: a server fills replies of 16 MiB from it.
    let padding = "x".repeat(900);
    for first in (0..BACKLOG_DOCUMENTS).step_by(1000) {
        let documents = (first..first + 1000).map(|id| doc! {"_id": id, "p": &padding});
        client.database("slow").collection::<Document>("x").insert_many(documents).await?;
    }
    let (at, wanted) = (last_timestamp(&client).await?, dbhash::snapshot(&client).await?);
    proxy.limit(Some(BYTES_PER_SECOND));
    let mut up = HindsightProcess::up(&uri, &data, &[]).await?;
    run_json(&data, &["wait", "--timeout", "150s"]).await?.expect_success()?;
    ensure!(up.stderr().contains("no answer within"), "the link was not slow:\n{}", up.stderr());
    proxy.limit(None);
    restores_exactly(&data, at, &wanted).await?;
    ensure!(up.stop().await?.success(), "up failed:\n{}", up.stderr());
    Ok(())
}
