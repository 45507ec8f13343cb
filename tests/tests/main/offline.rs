//! A command answers from the files what the process answers, with the same exit code.

use std::time::Duration;

use anyhow::{Result, ensure};
use bson::{Document, doc};
use hindsight_tests::hindsight::{RunOutput, run_json};
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{HindsightProcess, ReplicaSet, SetOptions};

use crate::capture_checks::spelled;

/// The longest text that fits into a document of the largest size with an `_id` beside it.
const LONGEST: usize = (16 << 20) - 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_answers_from_the_files_as_the_process_does() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    let wait: [&str; 3] = ["wait", "--timeout", "120s"];
    run_json(&data, &wait).await?.expect_success()?;
    let begun = spelled(last_timestamp(&client).await?);
    let orders = client.database("shop").collection::<Document>("orders");
    orders.insert_many((0..2000).map(|id| doc! {"_id": id, "total": id % 7})).await?;
    orders.update_many(doc! {"total": 3}, doc! {"$inc": {"total": 100}}).await?;
    orders.delete_one(doc! {"_id": 41}).await?;
    let large = client.database("shop").collection::<Document>("large");
    large.insert_one(doc! {"_id": 1, "text": "x".repeat(LONGEST)}).await?;
    run_json(&data, &wait).await?.expect_success()?;
    // An idle source writes no-ops, and what is newest would not stay the same.
    set.kill_member(0)?;

    let commands: [(&[&str], i32); 16] = [
        (&["windows"], 0),
        (&["base", "list"], 0),
        (&["collections"], 0),
        (&["resolve", "latest"], 0),
        (&["get", "shop.large", "1"], 0),
        (&["scan", "shop.large"], 0),
        (&["scan", "shop.orders", "--filter", r#"{"total":{"$gt":5}}"#], 0),
        (&["history", "shop.orders", "3"], 0),
        (&["find", "--ns", "shop.orders", "--limit", "0"], 0),
        (&["timeline", "--ns", "shop.*"], 0),
        (&["diff", "shop.orders", "--from", &begun], 0),
        (&["restores", "list"], 0),
        (&["get", "shop.orders", "41"], 3),
        (&["get", "shop.orders", "41", "--at", "1,1"], 3),
        (&["scan", "shop.orders", "--filter", r#"{"a":{"$nope":1}}"#], 2),
        (&["restores", "watch", "nothing"], 3),
    ];
    let mut served: Vec<RunOutput> = Vec::new();
    for (command, code) in commands {
        served.push(run_json(&data, command).await?.expect_code(code)?);
    }
    ensure!(served[4].stdout.len() > LONGEST, "{} bytes", served[4].stdout.len());
    ensure!(up.stop().await?.success(), "{}", up.stderr());
    for ((command, code), served) in commands.into_iter().zip(served) {
        let offline = run_json(&data, command).await?.expect_code(code)?;
        ensure!(offline.stdout == served.stdout, "another answer: {}", offline.command);
        ensure!(offline.stderr == served.stderr, "{}\n{}", offline.stderr, served.stderr);
    }
    Ok(())
}
