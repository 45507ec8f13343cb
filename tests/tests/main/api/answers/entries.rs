//! Compares entries by the document that they write, and their counts, with the source's own oplog.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use bson::{RawBsonRef, RawDocument, RawDocumentBuf, Timestamp, doc};
use futures_util::TryStreamExt;
use hindsight_proto::v1 as api;
use hindsight_tests::Api;
use hindsight_tests::api::encoded;
use mongodb::Client;

use super::super::served::until;
use super::Asked;
use super::held::{as_argument, canonical, id, id_key, is_of_users};
use crate::capture_checks::spelled;

const IDS: usize = 60;
const OF_TRANSACTIONS: usize = 6;
/// More entries than any document has, but no more than one JSON object holds.
const LIMIT: usize = 1_000;

/// Returns the time of the log's first entry.
pub(super) async fn first_held(api: &Api) -> Result<Timestamp> {
    let everything = api::SearchEntriesRequest::default();
    let mut answers = api.hindsight.clone().search_entries(everything).await?.into_inner();
    let first = answers.message().await?.context("an entry")?;
    Ok(RawDocument::from_bytes(&first.entries[0])?.get_timestamp("ts")?)
}

/// Returns the source's entries from `from` through `through`.
pub(super) async fn oplog(
    client: &Client,
    from: Timestamp,
    through: Timestamp,
) -> Result<Vec<RawDocumentBuf>> {
    let oplog = client.database("local").collection::<RawDocumentBuf>("oplog.rs");
    let range = doc! {"ts": {"$gte": from, "$lte": through}};
    Ok(oplog.find(range).sort(doc! {"$natural": 1}).await?.try_collect().await?)
}

pub(super) async fn compare(asked: &mut Asked) -> Result<()> {
    by_id(asked).await?;
    timeline(asked).await
}

/// One operation of an entry: its code, its namespace, and what names the document.
struct Part<'a> {
    op: &'a str,
    ns: &'a str,
    o: &'a RawDocument,
    o2: Option<&'a RawDocument>,
}

impl Part<'_> {
    /// Returns the document that holds the `_id` of what is written.
    fn keyed(&self) -> Option<&RawDocument> {
        let keyed = match self.op {
            "i" | "d" => self.o,
            "u" => self.o2?,
            _ => return None,
        };
        keyed.get("_id").ok().flatten().map(|_| keyed)
    }

    fn id_key(&self) -> Option<Vec<u8>> {
        self.keyed().map(id_key)
    }
}

fn part(document: &RawDocument) -> Result<Part<'_>> {
    Ok(Part {
        op: document.get_str("op")?,
        ns: document.get_str("ns")?,
        o: document.get_document("o")?,
        o2: document.get_document("o2").ok(),
    })
}

/// Returns the operations that an entry stands for.
fn parts(entry: &RawDocument) -> Result<Vec<Part<'_>>> {
    let whole = part(entry)?;
    let Ok(inner) = whole.o.get_array("applyOps") else { return Ok(vec![whole]) };
    let mut parts = Vec::new();
    for operation in inner {
        let RawBsonRef::Document(operation) = operation? else { anyhow::bail!("{entry:?}") };
        parts.push(part(operation)?);
    }
    Ok(parts)
}

/// Returns some documents that transactions wrote, each as a namespace and `{_id: …}`. Documents
/// chosen at random may all have been written without one.
fn of_transactions(oplog: &[RawDocumentBuf]) -> Result<Vec<(String, RawDocumentBuf)>> {
    let mut found = BTreeMap::new();
    for entry in oplog.iter().filter(|entry| entry.get_str("op").is_ok_and(|op| op == "c")) {
        for part in parts(entry)? {
            if let Some(keyed) = part.keyed().filter(|_| is_of_users(part.ns)) {
                found.insert((part.ns.to_owned(), id_key(keyed)), id(keyed));
            }
        }
    }
    Ok(found.into_iter().map(|((ns, _), id)| (ns, id)).take(OF_TRANSACTIONS).collect())
}

async fn by_id(asked: &mut Asked) -> Result<()> {
    let (mut found, mut in_transactions, mut over_http) = (0, 0, 0);
    let (first, last) = (asked.held[0].at, asked.held[asked.held.len() - 1].at);
    let chosen = [asked.ids(IDS), of_transactions(&asked.oplog)?].concat();
    for (ns, id) in chosen {
        let key = id_key(&id);
        let mut wanted: Vec<&RawDocumentBuf> = Vec::new();
        for entry in &asked.oplog {
            let is_wanted = |part: &Part<'_>| part.ns == ns && part.id_key().as_ref() == Some(&key);
            if parts(entry)?.iter().any(is_wanted) {
                wanted.push(entry);
            }
        }
        let of_transactions =
            wanted.iter().filter(|entry| entry.get_str("op").is_ok_and(|op| op == "c"));
        (found, in_transactions) =
            (found + wanted.len(), in_transactions + of_transactions.count());
        let request = api::SearchEntriesRequest {
            ns: ns.clone(),
            op: ["i", "u", "d"].map(str::to_owned).to_vec(),
            id: id.as_bytes().to_vec().into(),
            ..Default::default()
        };
        let about = || format!("entries of {ns} {id:?}");
        same(&search(&asked.api, request.clone()).await?, &wanted).with_context(about)?;
        let newest = api::SearchEntriesRequest { limit: 2, ..request.clone() };
        let wanted_newest = &wanted[wanted.len().saturating_sub(2)..];
        same(&search(&asked.api, newest).await?, wanted_newest).with_context(about)?;
        let within = |entry: &&RawDocumentBuf| {
            entry.get_timestamp("ts").is_ok_and(|ts| first <= ts && ts <= last)
        };
        let between =
            api::SearchEntriesRequest { from: until(first), to: until(last), ..request.clone() };
        let wanted_between: Vec<_> = wanted.iter().copied().filter(within).collect();
        same(&search(&asked.api, between).await?, &wanted_between).with_context(about)?;
        if let Some(id) = as_argument(&id).filter(|_| wanted.len() <= LIMIT) {
            by_id_over_http(&asked.api, &ns, &id, &wanted).await.with_context(about)?;
            over_http += 1;
        }
    }
    println!(
        "{found} entries found by id, {in_transactions} of transactions, {over_http} over HTTP"
    );
    ensure!(found > IDS && in_transactions > 0 && over_http > IDS / 2, "that says little");
    Ok(())
}

async fn search(api: &Api, request: api::SearchEntriesRequest) -> Result<Vec<bytes::Bytes>> {
    let mut answers = api.hindsight.clone().search_entries(request).await?.into_inner();
    let mut entries = Vec::new();
    while let Some(answer) = answers.message().await? {
        entries.extend(answer.entries);
    }
    Ok(entries)
}

fn same(got: &[bytes::Bytes], wanted: &[&RawDocumentBuf]) -> Result<()> {
    ensure!(
        got.iter().eq(wanted.iter().map(|entry| entry.as_bytes())),
        "{got:?} is not {wanted:?}"
    );
    Ok(())
}

async fn by_id_over_http(api: &Api, ns: &str, id: &str, wanted: &[&RawDocumentBuf]) -> Result<()> {
    let id: serde_json::Value = serde_json::from_str(id)?;
    let (ns, id) = (encoded(ns), encoded(&id["_id"].to_string()));
    let path = format!("/v1/entries?ns={ns}&id={id}&op=i,u,d&limit={LIMIT}");
    let told = api.get(&path).await?.expect(200)?.json()?;
    let wanted_json = wanted.iter().map(|entry| canonical(entry)).collect::<Result<Vec<_>>>()?;
    ensure!(told["entries"] == serde_json::json!(wanted_json), "{told} is not {wanted:?}");
    ensure!(told["truncated"] == false, "there are no older ones: {told}");
    let newest = format!("/v1/entries?ns={ns}&id={id}&op=i,u,d&limit=1");
    let newest = api.get(&newest).await?.expect(200)?.json()?;
    let last = &wanted_json[wanted_json.len().saturating_sub(1)..];
    ensure!(newest["entries"] == serde_json::json!(last), "{newest} is not {last:?}");
    ensure!(newest["truncated"] == !wanted.is_empty(), "of {}: {newest}", wanted.len());
    let raw = api.get_as(&path, "application/bson").await?.expect(200)?;
    let bytes = wanted.iter().flat_map(|entry| entry.as_bytes());
    ensure!(raw.body.iter().eq(bytes), "the bytes over HTTP differ");
    Ok(())
}

/// The numbers of inserts, updates and deletes, by namespace.
type Counts = BTreeMap<String, [u64; 3]>;

async fn timeline(asked: &Asked) -> Result<()> {
    let (mut wanted, mut commands) = (Counts::new(), Vec::new());
    for entry in &asked.oplog {
        let at = entry.get_timestamp("ts")?;
        for part in parts(entry)? {
            match ["i", "u", "d"].iter().position(|op| *op == part.op) {
                Some(kind) => wanted.entry(part.ns.to_owned()).or_default()[kind] += 1,
                None if part.op == "c" => {
                    let name = part.o.iter().next().context("a command")??.0.to_string();
                    if !["commitTransaction", "abortTransaction"].contains(&name.as_str()) {
                        commands.push((at.time, at.increment, name));
                    }
                }
                None => {}
            }
        }
    }
    let total: u64 = wanted.values().flatten().sum();
    ensure!(total > 1_000 && commands.len() > 20, "that says little");
    for bucket_seconds in [0, 1, 60] {
        let request = api::GetTimelineRequest { bucket_seconds, ..Default::default() };
        let answer = asked.api.hindsight.clone().get_timeline(request).await?.into_inner();
        let mut counts = Counts::new();
        for bucket in &answer.buckets {
            let sums = counts.entry(bucket.ns.clone()).or_default();
            for (sum, more) in sums.iter_mut().zip([bucket.inserts, bucket.updates, bucket.deletes])
            {
                *sum += more;
            }
        }
        counts.retain(|_, sums| *sums != [0; 3]);
        ensure!(counts == wanted, "buckets of {bucket_seconds}: {counts:?} is not {wanted:?}");
        let told: Vec<_> = answer
            .commands
            .into_iter()
            .filter_map(|command| command.at.map(|at| (at.t, at.i, command.command)))
            .collect();
        ensure!(told == commands, "{told:?} is not {commands:?}");
    }
    let ns = wanted.keys().find(|ns| ns.starts_with("w0.")).context("a collection of w0")?;
    let path = format!("/v1/timeline?ns={}&bucket_seconds=60", encoded(ns));
    let told = asked.api.get(&path).await?.expect(200)?.json()?;
    let buckets = told["buckets"].as_array().context("buckets")?;
    let sum = |name: &str| buckets.iter().filter_map(|it| it[name].as_u64()).sum::<u64>();
    let sums = [sum("inserts"), sum("updates"), sum("deletes")];
    ensure!(sums == wanted[ns], "{ns}: {sums:?} is not {:?}: {told}", wanted[ns]);
    let last = asked.held[asked.held.len() - 1].at;
    let path = format!("/v1/timeline?from={}", spelled(last));
    asked.api.get(&path).await?.expect(200)?;
    Ok(())
}
