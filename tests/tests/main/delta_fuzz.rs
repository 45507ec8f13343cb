//! Tests updates against the real server, with random documents and random updates. For every `u`
//! entry that the server wrote, the document that this project makes from it must equal the
//! server's document, byte for byte.
//!
//! Documents with a name that occurs twice are left out, because the server's own primary and
//! secondaries differ about them. The server under test does not write deltas with section `b`
//! (time-series columns of 8.0); unit tests cover those. 4.4 writes operators (`$v: 1`) in place of
//! deltas, and takes no names with dots and dollars.

pub(crate) mod documents;
mod forms;
pub(crate) mod operators;
mod pipelines;
mod statements;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bson::{Bson, Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use hindsight_oplog::id_key;
use hindsight_oplog::raw::{Doc, Element};
use hindsight_oplog::update::Update;
use hindsight_tests::mongod::server_version;
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{ReplicaSet, SetOptions};
use mongodb::Client;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::settings::setting;
use forms::Forms;

/// The number of entries that are applied and compared, unless `HINDSIGHT_TEST_UPDATES` says
/// otherwise.
const UPDATES: u64 = 100_000;
/// The number of streams of updates. Each has a separate database and seed.
const STREAMS: u64 = 2;
const SEED: u64 = 20_261_121;
const DOCUMENTS: usize = 1_000;
/// The number of updates of each document before new documents take over.
const ROUNDS: usize = 8;
/// The most documents that are shown when they differ.
const SHOWN: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn every_update_makes_the_document_that_the_server_holds() -> Result<()> {
    let wanted = setting("HINDSIGHT_TEST_UPDATES", UPDATES)?;
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    let version = server_version(&client).await?;
    let streams = (0..STREAMS).map(|number| {
        let stream = Stream::new(client.clone(), version, number);
        tokio::spawn(stream.run(wanted.div_ceil(STREAMS)))
    });
    let mut forms = Forms::default();
    for stream in streams.collect::<Vec<_>>() {
        forms.merge(&stream.await??);
    }
    println!("{forms}");
    ensure!(forms.entries() >= wanted, "{} entries only, not {wanted}", forms.entries());
    forms.ensure_all_were_seen(version)
}

/// Documents by the key of their `_id`, so that another spelling of an `_id` counts as the same
/// `_id`.
type Documents = BTreeMap<Vec<u8>, RawDocumentBuf>;

struct Stream {
    client: Client,
    version: (i32, i32),
    database: String,
    random: StdRng,
    forms: Forms,
}

impl Stream {
    fn new(client: Client, version: (i32, i32), number: u64) -> Self {
        let random = StdRng::seed_from_u64(SEED + number);
        let database = format!("fuzz{number}");
        Self { client, version, database, random, forms: Forms::default() }
    }

    async fn run(mut self, wanted: u64) -> Result<Forms> {
        for generation in 0.. {
            let collection = format!("g{generation}");
            let mut held = self.insert(&collection).await?;
            for round in 0..ROUNDS {
                held = self
                    .round(&collection, &held)
                    .await
                    .with_context(|| format!("{}.{collection}, round {round}", self.database))?;
                if self.forms.entries() >= wanted {
                    return Ok(self.forms);
                }
            }
            self.client.database(&self.database).collection::<Document>(&collection).drop().await?;
        }
        Ok(self.forms)
    }

    async fn insert(&mut self, collection: &str) -> Result<Documents> {
        let any_name = self.version >= (5, 0);
        let mut whole = |slot| {
            let document = documents::whole(&mut self.random, slot);
            if any_name { document } else { documents::plainly_named(document) }
        };
        let documents: Vec<Document> = (0..DOCUMENTS).map(&mut whole).collect();
        let target = self.client.database(&self.database).collection::<Document>(collection);
        target.insert_many(documents).await?;
        let held = self.held(collection).await?;
        ensure!(held.len() == DOCUMENTS, "{} documents after the insert", held.len());
        Ok(held)
    }

    /// Updates each document once, and returns what the server then holds.
    async fn round(&mut self, collection: &str, before: &Documents) -> Result<Documents> {
        let since = last_timestamp(&self.client).await?;
        let mut updates = Vec::with_capacity(before.len());
        for document in before.values() {
            let document = Document::try_from(document)?;
            updates.push(Bson::Document(statements::statement(&mut self.random, &document)));
        }
        let asked = updates.len();
        let command = doc! {"update": collection, "updates": updates, "ordered": false};
        let reply = self.client.database(&self.database).run_command(command).await?;
        let refused = reply.get_array("writeErrors").map_or(0, Vec::len);

        let mut ours = before.clone();
        let mut updated = BTreeMap::new();
        for entry in self.entries(collection, since).await? {
            let entry = Doc::new(entry.as_bytes())?;
            let o = field(entry, b"o")?.as_doc().context("o is not a document")?;
            let o2 = field(entry, b"o2")?.as_doc().context("o2 is not a document")?;
            let key = key(field(o2, b"_id")?);
            let state = ours.get_mut(&key).with_context(|| format!("no document for {o2:?}"))?;
            let pre = Doc::new(state.as_bytes())?;
            self.forms.count(pre, o)?;
            let post = Update::parse(o)
                .and_then(|update| update.apply(pre))
                .with_context(|| format!("{state:?} with {}", shown(o.as_bytes())))?;
            *state = RawDocumentBuf::from_bytes(post)?;
            ensure!(updated.insert(key, o.as_bytes().to_vec()).is_none(), "updated twice");
        }
        self.forms.refused(refused, asked - refused - updated.len());
        let held = self.held(collection).await?;
        compare(before, &updated, &ours, &held)?;
        Ok(held)
    }

    async fn entries(
        &self,
        collection: &str,
        since: bson::Timestamp,
    ) -> Result<Vec<RawDocumentBuf>> {
        let oplog = self.client.database("local").collection::<RawDocumentBuf>("oplog.rs");
        let namespace = format!("{}.{collection}", self.database);
        let filter = doc! {"ts": {"$gt": since}, "ns": namespace, "op": "u"};
        Ok(oplog.find(filter).sort(doc! {"$natural": 1}).await?.try_collect().await?)
    }

    async fn held(&self, collection: &str) -> Result<Documents> {
        let collection =
            self.client.database(&self.database).collection::<RawDocumentBuf>(collection);
        let mut cursor = collection.find(doc! {}).batch_size(DOCUMENTS as u32 + 1).await?;
        let mut held = Documents::new();
        while let Some(document) = cursor.try_next().await? {
            let key = key(field(Doc::new(document.as_bytes())?, b"_id")?);
            ensure!(held.insert(key, document).is_none(), "two documents have one key");
        }
        Ok(held)
    }
}

fn field<'a>(document: Doc<'a>, name: &[u8]) -> Result<Element<'a>> {
    document.get(name)?.with_context(|| format!("no {}", String::from_utf8_lossy(name)))
}

fn key(id: Element<'_>) -> Vec<u8> {
    let mut key = Vec::new();
    id_key::encode(id, &mut key);
    key
}

fn compare(
    before: &Documents,
    updated: &BTreeMap<Vec<u8>, Vec<u8>>,
    ours: &Documents,
    held: &Documents,
) -> Result<()> {
    ensure!(ours.keys().eq(held.keys()), "other documents than before");
    let mut report = String::new();
    let different = held.iter().filter(|(key, document)| ours.get(*key) != Some(*document));
    let different: Vec<_> = different.collect();
    for (key, document) in different.iter().take(SHOWN) {
        let of = |documents: &Documents| documents.get(*key).map(|d| shown(d.as_bytes()));
        let o = updated.get(*key).map(|o| shown(o));
        let (before, ours, held) = (of(before), of(ours), shown(document.as_bytes()));
        writeln!(report, "before {before:?}\n  o {o:?}\n  ours {ours:?}\n  server {held:?}")?;
    }
    ensure!(different.is_empty(), "{} documents differ:\n{report}", different.len());
    Ok(())
}

/// Shows a document in readable form if possible, with its exact bytes for documents that read the
/// same.
fn shown(document: &[u8]) -> String {
    let readable = RawDocumentBuf::from_bytes(document.to_vec())
        .map_or_else(|error| error.to_string(), |document| format!("{document:?}"));
    let hex = document.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("{readable} = {hex}")
}
