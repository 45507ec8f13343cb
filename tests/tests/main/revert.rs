//! Tests of `revert`: documents of the live source are put back, and what somebody wrote since
//! stays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::{Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use hindsight_tests::hindsight::{RunOutput, run_json};
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{HindsightProcess, MongodOptions, ReplicaSet, SetOptions};
use mongodb::{Client, Collection, IndexModel};
use tempfile::TempDir;

use crate::capture_checks::spelled;

/// A source that is captured.
struct Source {
    set: ReplicaSet,
    client: Client,
    _up: HindsightProcess,
    data: PathBuf,
    directory: TempDir,
}

impl Source {
    async fn start() -> Result<Self> {
        Self::start_with(SetOptions::members(1)).await
    }

    async fn start_with(options: SetOptions) -> Result<Self> {
        let mut set = ReplicaSet::start(options).await?;
        set.wait_for_primary(Duration::from_secs(60)).await?;
        let client = set.client().await?;
        client.database("shop").collection("other").insert_one(doc! {"_id": 1}).await?;
        let directory = tempfile::tempdir()?;
        let data = directory.path().join("data");
        let up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
        Ok(Self { set, client, _up: up, data, directory })
    }

    fn orders(&self) -> Collection<Document> {
        self.client.database("shop").collection("orders")
    }

    /// Returns every document of the orders, byte for byte, by its `_id`.
    async fn held(&self) -> Result<BTreeMap<i32, Vec<u8>>> {
        let orders = self.client.database("shop").collection::<RawDocumentBuf>("orders");
        let documents: Vec<RawDocumentBuf> = orders.find(doc! {}).await?.try_collect().await?;
        let keyed = documents.into_iter().map(|it| Ok((it.get_i32("_id")?, it.into_bytes())));
        keyed.collect()
    }

    /// Returns the time of the newest entry, once everything up to it is in the history.
    async fn now(&self) -> Result<String> {
        let now = spelled(last_timestamp(&self.client).await?);
        run_json(&self.data, &["wait", "--for", &now, "--timeout", "60s"])
            .await?
            .expect_success()?;
        Ok(now)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn revert(&self, args: &[&str]) -> Result<RunOutput> {
        let uri = self.set.uri();
        run_json(&self.data, &[&["revert", "--to", &uri], args].concat()).await
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accident_is_reverted_and_what_was_written_since_stays() -> Result<()> {
    let source = Source::start().await?;
    let orders = source.orders();
    let order = |id: i32| doc! {"_id": id, "n": 1, "note": "as agreed"};
    orders.insert_many((0..3000).map(order)).await?;
    let before = source.held().await?;
    let time = source.now().await?;

    orders.delete_many(doc! {"_id": {"$lt": 1000}}).await?;
    orders.update_many(doc! {"_id": {"$lt": 2000}}, doc! {"$set": {"n": 2}}).await?;
    orders.insert_many((3000..3010).map(order)).await?;
    source.now().await?;
    let broken = source.held().await?;

    let file = source.file("revert.bson");
    let args = ["shop.orders", "--until", &time, "--file", text(&file)?];
    let planned = source.revert(&args).await?.expect_success()?.json()?;
    ensure!(planned["documents"] == 2010 && planned["dry_run"] == true, "{planned}");
    let expected = serde_json::json!({"inserted": 1000, "replaced": 1000, "deleted": 10});
    ensure!(planned["collections"]["shop.orders"] == expected, "{planned}");
    ensure!(source.held().await? == broken, "a dry run wrote");

    // Written after the plan, and before the revert: by the plan's file, these are conflicts.
    orders.insert_one(doc! {"_id": 5, "n": 7}).await?;
    orders.update_one(doc! {"_id": 1500}, doc! {"$set": {"n": 2.0}}).await?;
    let mut wanted = before.clone();
    let since = source.held().await?;
    [5, 1500].iter().for_each(|id| drop(wanted.insert(*id, since[id].clone())));

    // The history knows what was written since as well, so the second plan must not contain it.
    let filter = r#"{"_id": {"$nin": [5, 1500]}}"#;
    let second = source.file("second.bson");
    let all =
        ["shop.orders", "--until", &time, "--filter", filter, "--yes", "--file", text(&second)?];
    let report = source.revert(&all).await?.expect_success()?.json()?;
    ensure!(report["documents"] == 2008 && report["conflict_count"] == 0, "{report}");
    ensure!(source.held().await? == wanted, "not as it was");

    // Undone by the first file: what was written since is left alone, in both directions.
    let undo = ["--undo", text(&file)?, "--yes"];
    let undone = source.revert(&undo).await?.expect_code(1)?.json()?;
    ensure!(undone["documents"] == 2008 && undone["conflict_count"] == 2, "{undone}");
    ensure!(undone["conflicts"][0]["reason"] == "somebody wrote it since", "{undone}");
    let held = source.held().await?;
    for (id, document) in &held {
        let wanted = if [5, 1500].contains(id) { &since[id] } else { &broken[id] };
        ensure!(document == wanted, "{id} is not as it was before the revert");
    }
    ensure!(held.len() == broken.len() + 1, "{} and {}", held.len(), broken.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_exchanged_unique_values_are_reverted() -> Result<()> {
    let source = Source::start().await?;
    let orders = source.orders();
    let unique = mongodb::options::IndexOptions::builder().unique(true).build();
    orders
        .create_index(IndexModel::builder().keys(doc! {"email": 1}).options(unique).build())
        .await?;
    orders.insert_many((0..100).map(|id| doc! {"_id": id, "email": id})).await?;
    let before = source.held().await?;
    let time = source.now().await?;
    for shift in [1000, 1] {
        // Each document gets the value that its neighbour had.
        let mut session = source.client.start_session().await?;
        session.start_transaction().await?;
        for id in 0..100 {
            let email = if shift == 1 { (id + 1) % 100 } else { id + shift };
            let set = doc! {"$set": {"email": email}};
            orders.update_one(doc! {"_id": id}, set).session(&mut session).await?;
        }
        session.commit_transaction().await?;
    }
    // One value is taken by a document that the revert does not touch.
    orders.update_one(doc! {"_id": 7}, doc! {"$set": {"email": 5000}}).await?;
    source.now().await?;
    let file = source.file("revert.bson");
    let args = ["shop.orders", "--until", &time, "--yes", "--file", text(&file)?];
    let report = source.revert(&args).await?.expect_success()?.json()?;
    ensure!(report["documents"] == 100 && report["conflict_count"] == 0, "{report}");
    ensure!(source.held().await? == before, "not as it was");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reverted_is_told_before_anything_is_written() -> Result<()> {
    let source = Source::start().await?;
    let shop = source.client.database("shop");
    source.orders().insert_one(doc! {"_id": 1}).await?;
    shop.create_collection("log").capped(true).size(4096).await?;
    shop.collection("log").insert_one(doc! {"_id": 1}).await?;
    let time = source.now().await?;
    source.orders().drop().await?;
    shop.collection("log").insert_one(doc! {"_id": 2}).await?;
    shop.collection::<Document>("other").update_one(doc! {}, doc! {"$set": {"n": 1}}).await?;
    source.now().await?;
    let file = source.file("revert.bson");
    let args = ["shop.*", "--until", &time, "--yes", "--file", text(&file)?];
    let refused = source.revert(&args).await?.expect_code(1)?;
    for part in ["shop.orders: there is no such collection", "shop.log: the collection is capped"] {
        ensure!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    let other = shop.collection::<Document>("other").find_one(doc! {}).await?.context("there")?;
    ensure!(other == doc! {"_id": 1, "n": 1}, "{other}");

    let again = source.revert(&args).await?.expect_code(1)?;
    ensure!(again.stderr.contains("revert.bson"), "{}", again.stderr);
    let other = source.file("other.bson");
    let fine = ["shop.other", "--until", &time, "--yes", "--file", text(&other)?];
    source.revert(&fine).await?.expect_success()?;
    let nothing = ["shop.other", "--until", "latest", "--yes"];
    let nothing = source.revert(&nothing).await?.expect_success()?.json()?;
    ensure!(nothing["documents"] == 0 && nothing["file"].is_null(), "{nothing}");
    let usage = source.revert(&["shop.other", "--yes"]).await?.expect_code(2)?;
    ensure!(usage.stderr.contains("--until T"), "{}", usage.stderr);
    Ok(())
}

/// A hundred thousand documents come back within seconds, and the source takes writes meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn many_deleted_documents_come_back_while_the_source_is_written_to() -> Result<()> {
    let source = Source::start().await?;
    let orders = source.orders();
    let order = |id: i32| doc! {"_id": id, "n": id, "note": "as agreed ".repeat(10)};
    for chunk in 0..30 {
        orders.insert_many((chunk * 1000..(chunk + 1) * 1000).map(order)).await?;
    }
    let before = source.held().await?;
    let time = source.now().await?;
    orders.delete_many(doc! {"_id": {"$lt": 20_000}}).await?;
    source.now().await?;
    let writing = tokio::spawn({
        let orders = orders.clone();
        async move {
            let (begun, mut writes) = (Instant::now(), 0);
            while begun.elapsed() < Duration::from_secs(3) {
                let id = 25_000 + writes % 1000;
                orders.update_one(doc! {"_id": id}, doc! {"$inc": {"n": 0}}).await?;
                writes += 1;
            }
            anyhow::Ok(writes)
        }
    });
    let file = source.file("revert.bson");
    let args = ["shop.orders", "--until", &time, "--yes", "--file", text(&file)?];
    let report = source.revert(&args).await?.expect_success()?.json()?;
    ensure!(report["documents"] == 20_000, "{report}");
    ensure!(writing.await?? > 100, "the source was held up");
    ensure!(source.held().await? == before, "not as it was");
    Ok(())
}

/// A revert is killed at several moments. Repeating it goes on, and one file undoes all of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_revert_that_was_killed_is_repeated_and_undone() -> Result<()> {
    // What a killed client began, the server ends after this time. Its own limit is a minute.
    let limit = |it: MongodOptions| it.parameter("transactionLifetimeLimitSeconds", "5");
    let source = Source::start_with(SetOptions::members(1).mongod(limit)).await?;
    let orders = source.orders();
    orders.insert_many((0..20_000).map(|id| doc! {"_id": id, "n": 1})).await?;
    let before = source.held().await?;
    let time = source.now().await?;
    orders.update_many(doc! {}, doc! {"$set": {"n": 2}}).await?;
    orders.delete_many(doc! {"_id": {"$gte": 15_000}}).await?;
    source.now().await?;
    let broken = source.held().await?;
    let (first, uri) = (source.file("first.bson"), source.set.uri());
    // A dry run makes the whole file. The file of a revert that is killed early is not whole.
    source
        .revert(&["shop.orders", "--until", &time, "--file", text(&first)?])
        .await?
        .expect_success()?;
    let mut killed = 0;
    for attempt in 0..5_u64 {
        let file = source.file(&format!("{attempt}.bson"));
        let args = ["revert", "--to", &uri, "shop.orders", "--until", &time, "--yes"];
        let mut child = std::process::Command::new(hindsight_tests::tools::hindsight()?)
            .arg("--data")
            .arg(&source.data)
            .args(args)
            .arg("--file")
            .arg(&file)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()?;
        while !file.exists() && child.try_wait()?.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(attempt * 60)).await;
        killed += u32::from(child.try_wait()?.is_none());
        child.kill()?;
        child.wait()?;
        source.now().await?;
    }
    ensure!(killed > 0, "every revert was over before it was killed");
    let last = source.file("last.bson");
    let args = ["shop.orders", "--until", &time, "--yes", "--file", text(&last)?];
    source.revert(&args).await?.expect_success()?;
    ensure!(source.held().await? == before, "not as it was");
    source.revert(&["--undo", text(&first)?, "--yes"]).await?.expect_success()?;
    ensure!(source.held().await? == broken, "not as it was before the revert");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_read_write_is_enough_and_the_role_read_is_not() -> Result<()> {
    let options = SetOptions::members(1).mongod(MongodOptions::with_auth);
    let source = Source::start_with(options).await?;
    let shop = source.client.database("shop");
    source.orders().insert_one(doc! {"_id": 1, "n": 1}).await?;
    let before = source.held().await?;
    let time = source.now().await?;
    source.orders().update_one(doc! {}, doc! {"$set": {"n": 2}}).await?;
    source.now().await?;
    for (user, role) in [("looks", "read"), ("writes", "readWrite")] {
        shop.run_command(doc! {"createUser": user, "pwd": "s3cret", "roles": [role]}).await?;
    }
    let address = source.set.server(0).address();
    let revert = async |user: &str| {
        let uri = format!(
            "mongodb://{user}:s3cret@{address}/?authSource=shop&replicaSet={}",
            source.set.name()
        );
        let file = source.file(user);
        let args = ["revert", "--to", &uri, "shop.orders", "--until", &time, "--yes", "--file"];
        run_json(&source.data, &[&args[..], &[text(&file)?]].concat()).await
    };
    let refused = revert("looks").await?.expect_code(1)?;
    for part in ["put documents of shop.orders back", "not authorized"] {
        ensure!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    ensure!(!refused.stderr.contains("s3cret"), "{}", refused.stderr);
    let report = revert("writes").await?.expect_success()?.json()?;
    ensure!(report["documents"] == 1 && source.held().await? == before, "{report}");
    Ok(())
}
