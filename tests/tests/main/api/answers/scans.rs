//! Compares whole collections, their pages, and the results of random filters and projections.

use anyhow::{Context, Result, ensure};
use bson::{Document, RawDocumentBuf, Timestamp, rawdoc};
use futures_util::TryStreamExt;
use hindsight_proto::v1 as api;
use hindsight_query::{Filter, Projection, QueryError, Series};
use hindsight_tests::Api;
use hindsight_tests::api::{encoded, reason};
use mongodb::error::ErrorKind;
use rand::Rng;
use rand::seq::IndexedRandom;

use super::super::served::until;
use super::Asked;
use super::held::{Held, as_argument, canonical};
use crate::capture_checks::spelled;
use crate::query::{filters, projections, versions};

const QUERIES: usize = 120;

pub(super) async fn compare(asked: &mut Asked) -> Result<()> {
    let (mut collections, mut pages) = (0, 0);
    for held in &asked.held {
        for (ns, collection) in held.stored() {
            let about = || format!("{ns} at {}", held.at);
            let wanted = &collection.documents;
            let whole = request(ns, held.at);
            let got = scan(&asked.api, whole.clone()).await.with_context(about)?;
            same(&got.0, wanted).with_context(about)?;
            let size = asked.random.random_range(1..wanted.len().max(2) as u64 + 2);
            pages += paged(&asked.api, &whole, size, wanted).await.with_context(about)?;
            over_http(&asked.api, ns, held.at, size, wanted).await.with_context(about)?;
            collections += 1;
        }
    }
    println!("{collections} collections, {pages} pages");
    ensure!(collections > 10 && pages > collections, "that says little");
    queries(asked).await
}

fn request(ns: &str, at: Timestamp) -> api::ScanCollectionRequest {
    api::ScanCollectionRequest { ns: ns.to_owned(), at: until(at), ..Default::default() }
}

fn same(got: &[bytes::Bytes], wanted: &[RawDocumentBuf]) -> Result<()> {
    let first = got.iter().zip(wanted).find(|(got, wanted)| ***got != *wanted.as_bytes());
    ensure!(first.is_none(), "differs: {first:?}");
    ensure!(got.len() == wanted.len(), "{} documents instead of {}", got.len(), wanted.len());
    Ok(())
}

/// Returns all documents, and the token of the next page.
async fn scan(
    api: &Api,
    request: api::ScanCollectionRequest,
) -> Result<(Vec<bytes::Bytes>, String), tonic::Status> {
    let mut answers = api.hindsight.clone().scan_collection(request).await?.into_inner();
    let (mut documents, mut token) = (Vec::new(), String::new());
    while let Some(answer) = answers.message().await? {
        assert!(token.is_empty(), "a token before the last message");
        documents.extend(answer.documents);
        token = answer.next_page_token;
    }
    Ok((documents, token))
}

async fn paged(
    api: &Api,
    whole: &api::ScanCollectionRequest,
    size: u64,
    wanted: &[RawDocumentBuf],
) -> Result<usize> {
    let mut request = api::ScanCollectionRequest { limit: size, ..whole.clone() };
    let (mut joined, mut pages) = (Vec::new(), 0);
    loop {
        let (documents, token) = scan(api, request.clone()).await?;
        ensure!(documents.len() as u64 <= size, "{} in a page of {size}", documents.len());
        joined.extend(documents);
        pages += 1;
        if token.is_empty() {
            break;
        }
        // The time in the token counts.
        (request.at, request.page_token) = (None, token);
    }
    same(&joined, wanted).with_context(|| format!("pages of {size}"))?;
    Ok(pages)
}

async fn over_http(
    api: &Api,
    ns: &str,
    at: Timestamp,
    size: u64,
    wanted: &[RawDocumentBuf],
) -> Result<()> {
    let path = format!("/v1/collections/{}/documents?at={}", encoded(ns), spelled(at));
    let raw = api.get_as(&path, "application/bson").await?.expect(200)?;
    let bytes: Vec<u8> = wanted.iter().flat_map(|document| document.as_bytes()).copied().collect();
    ensure!(raw.body == bytes, "the bytes over HTTP differ");
    let wanted = wanted.iter().map(|document| canonical(document)).collect::<Result<Vec<_>>>()?;
    let lines = api.get_as(&path, "application/x-ndjson").await?.expect(200)?;
    ensure!(lines.json_lines()? == wanted, "the lines over HTTP differ");
    let (mut joined, mut token) = (Vec::new(), String::new());
    loop {
        let page = format!("{path}&limit={size}&page_token={token}");
        let page = api.get(&page).await?.expect(200)?.json()?;
        joined.extend(page["documents"].as_array().context("documents")?.iter().cloned());
        token = page["next_page_token"].as_str().context("a token")?.to_owned();
        if token.is_empty() {
            break;
        }
    }
    ensure!(joined == wanted, "the pages over HTTP differ");
    Ok(())
}

/// How a server refuses a path with an empty component, in the middle or at the end.
const EMPTY_COMPONENT: [&str; 2] =
    ["FieldPath field names may not be empty strings", "FieldPath must not end with a '.'"];

async fn queries(asked: &mut Asked) -> Result<()> {
    let (mut matched, mut refused, mut over_http, mut collated) = (0, 0, 0, 0);
    for number in 0..QUERIES {
        let held = &asked.held[number % asked.held.len()];
        let full: Vec<_> = held.stored().filter(|(_, it)| it.documents.len() > 3).collect();
        let (ns, collection) = full.choose(&mut asked.random).context("a collection")?;
        let decoded = collection.documents.iter().map(|it| Document::try_from(&**it));
        let decoded = decoded.collect::<Result<Vec<_>, _>>()?;
        let filter = filters::filter(&mut asked.random, &decoded);
        let projection = match asked.random.random_ratio(1, 2) {
            true => projections::projection(&mut asked.random, &decoded),
            false => Document::new(),
        };
        let about = || format!("{ns} at {}: {filter}, {projection}", held.at);
        if versions::may_differ(&filter, asked.version) {
            continue;
        }
        let query = (RawDocumentBuf::try_from(&filter)?, RawDocumentBuf::try_from(&projection)?);
        let version = versions::named(asked.version);
        if is_unsupported(&query, version) {
            continue;
        }
        let theirs = find(held, ns, &query).await.with_context(about)?;
        let request = api::ScanCollectionRequest {
            filter: query.0.as_bytes().to_vec().into(),
            projection: query.1.as_bytes().to_vec().into(),
            ..request(ns, held.at)
        };
        let compares_strings =
            Filter::parse(&query.0, version).is_ok_and(|it| it.compares_strings());
        match (scan(&asked.api, request.clone()).await, theirs) {
            // The simple collation finds other documents in such a collection than the collection's
            // own collation does.
            (Err(status), _) if collection.is_collated() && compares_strings => {
                ensure!(reason(&status) == "INVALID_ARGUMENT", "{}: {status:?}", about());
                collated += 1;
            }
            (Ok((ours, _)), Ok(theirs)) => {
                same(&ours, &theirs).with_context(about)?;
                let by_its_own = count(held, ns, &query.0).await.with_context(about)?;
                ensure!(by_its_own == theirs.len(), "{}: {by_its_own} are found", about());
                matched += usize::from(!theirs.is_empty());
                let size = asked.random.random_range(1..theirs.len().max(2) as u64 + 2);
                paged(&asked.api, &request, size, &theirs).await.with_context(about)?;
                if let Some(path) = path(ns, held.at, &query) {
                    let answer = asked.api.get_as(&path, "application/bson").await?.expect(200)?;
                    let all = theirs.iter().flat_map(|document| document.as_bytes());
                    ensure!(answer.body.iter().eq(all), "over HTTP: {}", about());
                    over_http += 1;
                }
            }
            (Err(status), Err(_)) => {
                ensure!(reason(&status) == "INVALID_ARGUMENT", "{}: {status:?}", about());
                refused += 1;
            }
            // Servers refuse a path with an empty component once there is a wildcard index.
            (Ok(_), Err(refusal)) if EMPTY_COMPONENT.iter().any(|it| refusal.contains(it)) => {}
            (ours, theirs) => anyhow::bail!("{}: {ours:?} is not {theirs:?}", about()),
        }
    }
    println!(
        "queries: {matched} matched, {refused} refused, {over_http} over HTTP, {collated} refused for a collation"
    );
    ensure!(matched * 5 > QUERIES && over_http * 5 > QUERIES, "that says little");
    Ok(())
}

fn is_unsupported(
    (filter, projection): &(RawDocumentBuf, RawDocumentBuf),
    version: Series,
) -> bool {
    matches!(Filter::parse(filter, version), Err(QueryError::Unsupported(_)))
        || matches!(Projection::parse(projection), Err(QueryError::Unsupported(_)))
}

/// Returns what the restored server finds, in the order of `_id`, or why it refuses. The server
/// looks at all documents, and compares texts byte by byte, as we do.
async fn find(
    held: &Held,
    ns: &str,
    (filter, projection): &(RawDocumentBuf, RawDocumentBuf),
) -> Result<Result<Vec<RawDocumentBuf>, String>> {
    let (database, collection) = ns.split_once('.').context("a namespace")?;
    let command = rawdoc! {
        "find": collection,
        "filter": filter.clone(),
        "projection": projection.clone(),
        "sort": {"_id": 1},
        "collation": {"locale": "simple"},
        "hint": {"$natural": 1},
        "allowDiskUse": true,
        "batchSize": 10_000,
    };
    match held.client.database(database).run_raw_cursor_command(command).await {
        Ok(cursor) => Ok(Ok(cursor.with_type().try_collect().await?)),
        Err(error) => match *error.kind {
            ErrorKind::Command(refusal) => Ok(Err(refusal.to_string())),
            _ => Err(error.into()),
        },
    }
}

/// Returns how many documents the restored server finds by the collection's own collation.
async fn count(held: &Held, ns: &str, filter: &RawDocumentBuf) -> Result<usize> {
    let (database, collection) = ns.split_once('.').context("a namespace")?;
    let command = rawdoc! {"count": collection, "query": filter.clone(), "hint": {"$natural": 1}};
    let answer = held.client.database(database).run_command(Document::try_from(&*command)?).await?;
    Ok(usize::try_from(answer.get_i32("n")?)?)
}

fn path(
    ns: &str,
    at: Timestamp,
    (filter, projection): &(RawDocumentBuf, RawDocumentBuf),
) -> Option<String> {
    let (filter, projection) = (as_argument(filter)?, as_argument(projection)?);
    let (ns, filter, projection) = (encoded(ns), encoded(&filter), encoded(&projection));
    let at = spelled(at);
    Some(format!("/v1/collections/{ns}/documents?at={at}&filter={filter}&projection={projection}"))
}
