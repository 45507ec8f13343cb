//! A history that follows a server's oplog, without a process around it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use bson::spec::BinarySubtype;
use bson::{Bson, RawDocument, RawDocumentBuf, Timestamp, doc};
use futures_util::TryStreamExt;
use hindsight_history::{BaseInfo, CollectionState, History, Progress, Settings};
use hindsight_oplog::raw::Doc;
use hindsight_oplog::{Assembler, Entry, OpTime, Operation, Step, id_key};
use hindsight_tests::replay;
use hindsight_tests::replica_set::last_timestamp;
use mongodb::Client;
use tempfile::TempDir;

pub(super) const COLLECTIONS: [&str; 1] = ["c"];
/// The most documents that are shown when they differ.
const SHOWN: usize = 5;

pub(super) struct Mirror {
    _directory: TempDir,
    history: History,
}

/// Documents by the key of their `_id`.
type Documents = BTreeMap<Vec<u8>, RawDocumentBuf>;

fn oplog_time(ts: Timestamp) -> hindsight_oplog::Timestamp {
    hindsight_oplog::Timestamp::new(ts.time, ts.increment)
}

impl Mirror {
    /// Makes a history whose base is what the server holds now. Nothing may be written meanwhile.
    pub(super) async fn of(client: &Client) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let history = History::open(directory.path(), Settings::default())?;
        let start = oplog_time(last_timestamp(client).await?);
        let base =
            BaseInfo { name: "b".to_owned(), start, exact_from: start, server_version: None };
        let mut load = history.begin_generation(base)?;
        let all = COLLECTIONS.map(|name| ("a", name));
        for (database, name) in all.into_iter().chain([("admin", "system.version")]) {
            let uuid = uuid(client, database, name).await?;
            let state = CollectionState::new(uuid, format!("{database}.{name}"));
            let number = load.collection(state)?;
            for document in held(client, database, name).await?.values() {
                load.put(number, document.as_bytes())?;
            }
        }
        load.finish()?;
        Ok(Self { _directory: directory, history })
    }

    pub(super) async fn held(&self, client: &Client, name: &str) -> Result<Documents> {
        held(client, "a", name).await
    }

    /// Applies the entries after `since`.
    pub(super) async fn follow(&self, client: &Client, since: Timestamp) -> Result<()> {
        let entries = replay::entries(client, since, last_timestamp(client).await?).await?;
        let mut writer = self.history.writer()?;
        let mut assembler: Assembler<()> = Assembler::default();
        let mut last = None;
        for entry in &entries {
            let entry = Entry::parse(entry.as_bytes())?;
            let Step::Single = assembler.push(&entry, || ())? else { bail!("a transaction") };
            let mut operations: Vec<Operation<'_>> = Vec::new();
            entry.for_each_operation::<anyhow::Error>(&mut |operation| {
                if operation.ns.starts_with("a.") {
                    operations.push(operation);
                }
                Ok(())
            })?;
            writer
                .apply(entry.ts(), entry.optime, operations)
                .with_context(|| format!("{:?}", RawDocument::from_bytes(entry.doc.as_bytes())))?;
            last = Some(entry.optime);
        }
        writer.commit(Progress::at(last.unwrap_or(OpTime::NONE)))?;
        Ok(())
    }

    /// Checks that the history and the server hold the same documents now.
    pub(super) async fn compare(&self, client: &Client) -> Result<()> {
        let now = oplog_time(last_timestamp(client).await?);
        let view = self.history.reader_at(now)?;
        for name in COLLECTIONS {
            let held = self.held(client, name).await?;
            let mut differences = Vec::new();
            let mut seen = 0;
            let mut scan = view.scan(&format!("a.{name}"))?;
            while let Some(scanned) = scan.next_document()? {
                seen += 1;
                let ours = scanned.document;
                let key = key(ours)?;
                if held.get(&key).is_none_or(|theirs| theirs.as_bytes() != ours) {
                    let ours = RawDocumentBuf::from_bytes(ours.to_vec())?;
                    differences.push(format!("ours   {ours:?}\ntheirs {:?}", held.get(&key)));
                }
            }
            let shown = differences[..differences.len().min(SHOWN)].join("\n");
            ensure!(differences.is_empty(), "{} differ in {name}:\n{shown}", differences.len());
            ensure!(seen == held.len(), "{seen} documents in {name}, not {}", held.len());
        }
        Ok(())
    }
}

fn key(document: &[u8]) -> Result<Vec<u8>> {
    let id = Doc::new(document)?.get(b"_id")?.context("no _id")?;
    let mut key = Vec::new();
    id_key::encode(id, &mut key);
    Ok(key)
}

async fn held(client: &Client, database: &str, name: &str) -> Result<Documents> {
    let collection = client.database(database).collection::<RawDocumentBuf>(name);
    let documents: Vec<RawDocumentBuf> = collection.find(doc! {}).await?.try_collect().await?;
    documents.into_iter().map(|document| Ok((key(document.as_bytes())?, document))).collect()
}

async fn uuid(client: &Client, database: &str, name: &str) -> Result<[u8; 16]> {
    let list = doc! {"listCollections": 1, "filter": {"name": name}};
    let reply = client.database(database).run_command(list).await?;
    let first = reply.get_document("cursor")?.get_array("firstBatch")?.first();
    let info = first.and_then(Bson::as_document).context("no such collection")?;
    match info.get_document("info")?.get("uuid") {
        Some(Bson::Binary(uuid)) if uuid.subtype == BinarySubtype::Uuid => {
            uuid.bytes.as_slice().try_into().context("a UUID of another length")
        }
        other => bail!("no UUID but {other:?}"),
    }
}
