//! Measures the documents per second of `hindsight restore`, compared with a bare bulk insert of
//! the same documents by the same driver, and with `mongorestore` if it and `mongodump` are on
//! PATH.
//!
//! Each side writes into a new standalone server, and the sides take turns:
//! - restore: the command from its start to its end, answered by an `up` that runs on the data. The
//!   restore checks the target, creates collections, loads documents over 4 connections, builds
//!   indexes, reads every document back and compares it, compares the catalog, restores users and
//!   roles, and waits once for the journal. The report says how long reading back took; the rates
//!   without reading back subtract that time.
//! - bare: inserts documents from memory, in batches of as many bytes as those of a restore, with 4
//!   `insert_many` at a time into collections without indexes, and then builds the same indexes. It
//!   checks nothing, reads nothing back, and does not wait for the journal.
//! - mongorestore: the command from its start to its end, from the files of a `mongodump`, 4
//!   collections at a time. It does not read anything back, either.
//!
//! `HINDSIGHT_BENCH_DOCUMENTS` (300,000) and `HINDSIGHT_BENCH_ROUNDS` (3) change the numbers.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::{RawDocumentBuf, doc};
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use hindsight_benches::measure::{load, median, verdict, wanted};
use hindsight_benches::peer::Peer;
use hindsight_benches::writes::{COLLECTIONS, DATABASE, collection_name, writers};
use hindsight_tests::hindsight::run_json;
use hindsight_tests::{HindsightProcess, Mongod, MongodOptions, ReplicaSet, SetOptions};
use mongodb::Client;

/// The same as the default settings of a restore.
const CONNECTIONS: usize = 4;
const BATCH_BYTES: usize = 2 << 20;
/// The number of documents in one command that fills the source.
const INSERTED_AT_ONCE: usize = 1_000;
/// Copying a base of many documents takes a while.
const READY_PATIENCE: Duration = Duration::from_secs(600);
const GOAL: f64 = 0.8;

#[tokio::main]
async fn main() -> Result<()> {
    let wanted_documents = wanted("HINDSIGHT_BENCH_DOCUMENTS", 300_000);
    let rounds = wanted("HINDSIGHT_BENCH_ROUNDS", 3);
    let set = ReplicaSet::start(SetOptions::members(1).mongod(|it| it.oplog_mb(990))).await?;
    let client = set.client().await?;
    fill(&client, wanted_documents).await?;
    let bare = Bare::read(&client).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::spawn_up(&set.uri(), &data, &[])?;
    up.wait_ready(READY_PATIENCE).await?;
    run_json(&data, &["wait", "--timeout", "280s"]).await?.expect_success()?;
    let peer = Peer::find(&set.uri(), DATABASE, directory.path()).await?;
    println!(
        "restore of {} documents, {} bytes each; load before {}",
        bare.documents,
        bare.bytes / bare.documents,
        load()
    );

    let (mut against_bare, mut against_peer) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        // The side that comes first in one round comes second in the next.
        let (inserted, restored);
        if round % 2 == 1 {
            inserted = bare.insert().await?;
            restored = restore(&data, &bare).await?;
        } else {
            restored = restore(&data, &bare).await?;
            inserted = bare.insert().await?;
        }
        let rate = |took: Duration| bare.documents as f64 / took.as_secs_f64();
        println!(
            "round {round}, documents/s: bare {:.0} (load alone {:.0}); restore {:.0}, without reading back {:.0} \
             (load alone {:.0})",
            rate(inserted.whole),
            rate(inserted.load),
            rate(restored.whole),
            rate(restored.unverified()),
            rate(restored.load)
        );
        against_bare.push(restored.against(inserted));
        if let Some(peer) = &peer {
            let mut target = new_target().await?;
            let took = peer.restore(&target.uri()).await?;
            target.stop().await?;
            println!("round {round}, documents/s: mongorestore {:.0}", rate(took));
            against_peer.push(restored.against(Took { load: took, whole: took }));
        }
    }
    say("bare insert_many, load alone", &against_bare, |it| it.load);
    let others = [("bare insert_many and indexes", &against_bare), ("mongorestore", &against_peer)];
    for (other, ratios) in others.into_iter().filter(|(_, ratios)| !ratios.is_empty()) {
        say(&format!("{other}, without reading back"), ratios, |it| it.unverified);
        say(&format!("{other}, with reading back"), ratios, |it| it.whole);
    }
    println!("load after {}", load());
    let status = up.stop().await?;
    ensure!(status.success(), "up ended with {status}");
    Ok(())
}

async fn fill(client: &Client, documents: usize) -> Result<()> {
    let share = documents.div_ceil(COLLECTIONS as usize);
    for mut writer in writers(client) {
        let mut made = 0;
        while made < share {
            let count = INSERTED_AT_ONCE.min(share - made);
            writer.insert(count).await?;
            made += count;
        }
    }
    create_indexes(client).await
}

/// Creates one index on each collection, on all collections at once, as a restore does.
async fn create_indexes(client: &Client) -> Result<()> {
    let creating = (0..COLLECTIONS).map(|number| async move {
        let command = doc! {
            "createIndexes": collection_name(number),
            "indexes": [{"key": {"customer": 1}, "name": "customer_1"}],
        };
        client.database(DATABASE).run_command(command).await
    });
    try_join_all(creating).await?;
    Ok(())
}

/// How long a side that verifies nothing took.
#[derive(Clone, Copy)]
struct Took {
    load: Duration,
    whole: Duration,
}

/// How long a restore took.
struct Restored {
    load: Duration,
    verification: Duration,
    whole: Duration,
}

/// The rates of a restore as shares of another side's rates, in one round.
struct Ratios {
    load: f64,
    unverified: f64,
    whole: f64,
}

impl Restored {
    fn unverified(&self) -> Duration {
        self.whole.saturating_sub(self.verification)
    }

    fn against(&self, other: Took) -> Ratios {
        let ratio = |other: Duration, own: Duration| other.as_secs_f64() / own.as_secs_f64();
        Ratios {
            load: ratio(other.load, self.load),
            unverified: ratio(other.whole, self.unverified()),
            whole: ratio(other.whole, self.whole),
        }
    }
}

fn say(against: &str, ratios: &[Ratios], which: fn(&Ratios) -> f64) {
    let ratio = median(&ratios.iter().map(which).collect::<Vec<_>>());
    println!("median ratio to {against}: {ratio:.2}, goal {GOAL} {}", verdict(ratio >= GOAL));
}

async fn new_target() -> Result<Mongod> {
    Mongod::standalone(&MongodOptions::default()).await
}

/// Runs `hindsight restore` for everything.
async fn restore(data: &Path, expected: &Bare) -> Result<Restored> {
    let mut target = new_target().await?;
    let args = ["restore", "--until", "latest", "--to", &target.uri()];
    let output = run_json(data, &args).await?.expect_success()?;
    let report = output.json()?;
    ensure!(report["verified"] == true, "the restore is not verified: {report}");
    ensure!(report["documents"] == expected.documents, "not all was restored: {report}");
    let seconds = |part: &str| {
        let seconds = report["seconds"][part].as_f64();
        seconds.map(Duration::from_secs_f64).with_context(|| format!("no seconds of {part}"))
    };
    let (load, verification) = (seconds("documents")?, seconds("verification")?);
    target.stop().await?;
    Ok(Restored { load, verification, whole: output.elapsed })
}

/// As many documents of one collection as go into one insert.
struct Batch {
    collection: String,
    documents: Vec<RawDocumentBuf>,
}

/// The source's documents in memory.
struct Bare {
    batches: Vec<Arc<Batch>>,
    documents: u64,
    bytes: u64,
}

impl Bare {
    async fn read(client: &Client) -> Result<Self> {
        let (mut batches, mut documents, mut bytes) = (Vec::new(), 0, 0);
        for number in 0..COLLECTIONS {
            let collection = collection_name(number);
            let new = || Batch { collection: collection.clone(), documents: Vec::new() };
            let source = client.database(DATABASE).collection::<RawDocumentBuf>(&collection);
            let mut cursor = source.find(doc! {}).await?;
            let (mut place, mut batch, mut filled) = (0, new(), 0);
            while let Some(document) = cursor.try_next().await? {
                let length = document.as_bytes().len();
                if filled + length > BATCH_BYTES {
                    batches.push((place, Arc::new(std::mem::replace(&mut batch, new()))));
                    (place, filled) = (place + 1, 0);
                }
                filled += length;
                documents += 1;
                bytes += length as u64;
                batch.documents.push(document);
            }
            batches.push((place, Arc::new(batch)));
        }
        // The collections take turns, so that no two connections need to write to the end of the
        // same collection.
        batches.sort_by_key(|(place, _)| *place);
        let batches = batches.into_iter().map(|(_, batch)| batch).collect();
        ensure!(documents > 0, "the source is empty");
        Ok(Self { batches, documents, bytes })
    }

    async fn insert(&self) -> Result<Took> {
        let mut target = new_target().await?;
        let client = target.client().await?;
        let started = Instant::now();
        for number in 0..COLLECTIONS {
            client.database(DATABASE).create_collection(collection_name(number)).await?;
        }
        let inserts = stream::iter(&self.batches)
            .map(|batch| tokio::spawn(insert(client.clone(), Arc::clone(batch))));
        let mut inserts = inserts.buffer_unordered(CONNECTIONS);
        while let Some(inserted) = inserts.next().await {
            inserted??;
        }
        let load = started.elapsed();
        create_indexes(&client).await?;
        let whole = started.elapsed();
        target.stop().await?;
        Ok(Took { load, whole })
    }
}

async fn insert(client: Client, batch: Arc<Batch>) -> Result<()> {
    let collection = client.database(DATABASE).collection::<RawDocumentBuf>(&batch.collection);
    collection.insert_many(&batch.documents).ordered(false).await?;
    Ok(())
}
