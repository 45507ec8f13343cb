//! `make demo`: an accident on a real replica set, and the way back. Every command is printed with
//! its output and its duration, so that a reader learns the tool from the output.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bson::{Document, doc};
use futures_util::TryStreamExt;
use hindsight_tests::{
    HindsightProcess, Mongod, MongodOptions, ReplicaSet, RunOutput, SetOptions, hindsight,
};
use mongodb::Client;

const ORDERS: i32 = 5_000;

#[tokio::main]
async fn main() -> Result<()> {
    let started = Instant::now();
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("hindsight-data");
    let source = Source::choose().await?;
    let orders = format!("{}.orders", source.shop);

    println!("== Capture it, from a secondary ==");
    println!("$ hindsight up --uri {} --data DATA", source.shown_uri);
    let mut up = HindsightProcess::up(&source.uri, &data, &[]).await?;
    println!("hindsight is ready\n");

    println!("== Business as usual: {ORDERS} orders are placed, some are paid ==");
    source.place_orders().await?;
    command(&data, &["wait"]).await?;
    command(&data, &["windows"]).await?;
    command(&data, &["status"]).await?;

    println!("== Three accidents ==");
    let accidents = source.have_accidents().await?;
    command(&data, &["wait"]).await?;

    println!("== Three commands: what happened, what is gone, get it back ==");
    let before = first_delete(&command(&data, &["timeline"]).await?)?;
    let at = just_before(&before)?;
    command(&data, &["diff", &orders, "--from", &at, "--limit", "5"]).await?;
    let target = Mongod::standalone(&MongodOptions::default()).await?;
    let uri = target.uri();
    command(&data, &["restore", "--before", &before, "--to", &uri]).await?;
    source.check_restored(&accidents, &target.client().await?).await?;
    println!("Every order, customer and invoice is back: counted in the restored MongoDB.\n");

    println!("== What else it can tell ==");
    command(&data, &["find", "--op", "drop,dropDatabase,renameCollection", "--limit", "5"]).await?;
    let id = accidents.lost_id.to_string();
    expect_code(3, hindsight(&data, &["get", &orders, &id, "--at", "latest"]).await?)?;
    command(&data, &["get", &orders, &id, "--at", &at]).await?;
    command(&data, &["history", &orders, &id]).await?;
    command(&data, &["resolve", &before, "--before"]).await?;
    command(&data, &["collections", "--at", &at]).await?;
    command(&data, &["restores", "list"]).await?;

    println!("== Is everything we hold sound? ==");
    command(&data, &["verify", "--deep"]).await?;
    up.stop().await?;
    source.clean_up().await?;
    println!("Done in {:.0} s.", started.elapsed().as_secs_f64());
    Ok(())
}

/// Runs a command, and prints it as a user would type it, with its output and its duration.
async fn hindsight(data: &Path, args: &[&str]) -> Result<RunOutput> {
    println!("$ hindsight {}", args.join(" "));
    let data = data.to_str().context("a UTF-8 path")?;
    let mut all = vec!["--data", data];
    all.extend_from_slice(args);
    let output = hindsight::run(&all).await?;
    for text in [&output.stderr, &output.stdout] {
        for line in shorten(text) {
            println!("{line}");
        }
    }
    println!("({} ms)\n", output.elapsed.as_millis());
    Ok(output)
}

async fn command(data: &Path, args: &[&str]) -> Result<RunOutput> {
    hindsight(data, args).await?.expect_success()
}

fn expect_code(code: i32, output: RunOutput) -> Result<RunOutput> {
    output.expect_code(code)
}

/// Returns the first lines, and how many more there are.
fn shorten(text: &str) -> Vec<String> {
    const SHOWN: usize = 14;
    let mut lines: Vec<String> =
        text.lines().map(|line| line.chars().take(220).collect()).collect();
    let total = lines.len();
    if total > SHOWN {
        lines.truncate(SHOWN);
        lines.push(format!("… {} more lines", total - SHOWN));
    }
    lines
}

/// Returns the position in brackets on the line that says where the deletes began.
fn first_delete(timeline: &RunOutput) -> Result<String> {
    let line = timeline.stdout.lines().find(|line| line.contains("the first of"));
    let line = line.context("the timeline tells where the deletes began")?;
    let (_, rest) = line.split_once('(').context("a position in brackets")?;
    let (position, _) = rest.split_once(')').context("a position in brackets")?;
    Ok(position.to_owned())
}

/// Returns a position just before another position.
fn just_before(position: &str) -> Result<String> {
    let (t, i) = position.split_once(',').context("a position")?;
    let i: u32 = i.parse()?;
    ensure!(i > 0, "an entry's increment is never 0");
    Ok(format!("{t},{}", i - 1))
}

struct Source {
    /// Kept because dropping it stops the servers. `None` for a set that belongs to the user.
    set: Option<ReplicaSet>,
    uri: String,
    /// The URI without a user's password, for the output.
    shown_uri: String,
    client: Client,
    shop: String,
    accounting: String,
}

/// What was there before the accidents, and one document that was lost.
struct Accidents {
    lost_id: i32,
    orders: u64,
    customers: u64,
    invoices: u64,
}

impl Source {
    /// Starts a replica set, unless `MONGODB_URI` and a database on it are named.
    async fn choose() -> Result<Self> {
        let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (named("MONGODB_URI"), named("HINDSIGHT_DEMO_DATABASE")) {
            (None, _) => Self::start().await,
            (Some(uri), Some(database)) => Self::of_the_user(uri, database).await,
            (Some(_), None) => bail!(
                "MONGODB_URI is set, and this demo writes and deletes data. Unset it, and the demo starts a replica set \
                 of its own; or name a database that does not exist in HINDSIGHT_DEMO_DATABASE, which the demo fills, \
                 damages and drops"
            ),
        }
    }

    async fn start() -> Result<Self> {
        println!("== A replica set of three members (a real MongoDB) ==");
        let mut set = ReplicaSet::start(SetOptions::members(3)).await?;
        set.wait_for_primary(Duration::from_secs(60)).await?;
        let (uri, client) = (set.uri(), set.client().await?);
        println!("{uri}\n");
        let (shop, accounting) = ("shop".to_owned(), "accounting".to_owned());
        Ok(Self { set: Some(set), shown_uri: uri.clone(), uri, client, shop, accounting })
    }

    async fn of_the_user(uri: String, shop: String) -> Result<Self> {
        println!("== The replica set that MONGODB_URI names ==");
        let client = Client::with_uri_str(&uri).await?;
        let accounting = format!("{shop}_accounting");
        let there = client.list_database_names().await.context("list the databases")?;
        for name in [&shop, &accounting] {
            ensure!(!there.contains(name), "the database {name} exists: name one that does not");
        }
        println!(
            "The databases {shop} and {accounting} are made, damaged and dropped; all others are only read.\n"
        );
        let shown_uri = "$MONGODB_URI".to_owned();
        Ok(Self { set: None, uri, shown_uri, client, shop, accounting })
    }

    async fn clean_up(&self) -> Result<()> {
        if self.set.is_none() {
            self.client.database(&self.shop).drop().await?;
            self.client.database(&self.accounting).drop().await?;
        }
        Ok(())
    }

    async fn place_orders(&self) -> Result<()> {
        let shop = self.client.database(&self.shop);
        let orders =
            (0..ORDERS).map(|n| doc! {"_id": n, "item": format!("book {n}"), "status": "open"});
        shop.collection::<Document>("orders").insert_many(orders.collect::<Vec<_>>()).await?;
        let customers = (0..500).map(|n| doc! {"_id": n, "name": format!("customer {n}")});
        shop.collection::<Document>("customers").insert_many(customers.collect::<Vec<_>>()).await?;
        let invoices = (0..300).map(|n| doc! {"_id": n, "total": n * 10});
        let accounting = self.client.database(&self.accounting).collection::<Document>("invoices");
        accounting.insert_many(invoices.collect::<Vec<_>>()).await?;
        for n in (0..ORDERS).step_by(7) {
            let paid = doc! {"$set": {"status": "paid"}, "$push": {"log": "paid"}};
            shop.collection::<Document>("orders").update_one(doc! {"_id": n}, paid).await?;
        }
        Ok(())
    }

    async fn have_accidents(&self) -> Result<Accidents> {
        let shop = self.client.database(&self.shop);
        let orders = shop.collection::<Document>("orders");
        let accidents = Accidents {
            lost_id: 42,
            orders: orders.count_documents(doc! {}).await?,
            customers: shop.collection::<Document>("customers").count_documents(doc! {}).await?,
            invoices: count(&self.client, &self.accounting, "invoices").await?,
        };
        println!("db.orders.deleteMany({{status: \"paid\"}})   // meant: status \"cancelled\"");
        let deleted = orders.delete_many(doc! {"status": "paid"}).await?.deleted_count;
        println!("db.customers.drop()");
        shop.collection::<Document>("customers").drop().await?;
        println!("use {}; db.dropDatabase()", self.accounting);
        self.client.database(&self.accounting).drop().await?;
        println!(
            "{deleted} orders, all customers and the database {} are gone.\n",
            self.accounting
        );
        Ok(accidents)
    }

    async fn check_restored(&self, accidents: &Accidents, target: &Client) -> Result<()> {
        let (shop, accounting) = (&self.shop, &self.accounting);
        ensure!(count(target, shop, "orders").await? == accidents.orders, "orders differ");
        ensure!(count(target, shop, "customers").await? == accidents.customers, "customers differ");
        ensure!(
            count(target, accounting, "invoices").await? == accidents.invoices,
            "invoices differ"
        );
        let orders = target.database(shop).collection::<Document>("orders");
        let paid: Vec<Document> = orders.find(doc! {"status": "paid"}).await?.try_collect().await?;
        ensure!(paid.len() == (0..ORDERS).step_by(7).count(), "paid orders differ");
        Ok(())
    }
}

async fn count(client: &Client, db: &str, collection: &str) -> Result<u64> {
    Ok(client.database(db).collection::<Document>(collection).count_documents(doc! {}).await?)
}
