//! Compares the collections at each time with `listCollections` and `listIndexes` of the restored
//! server.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use bson::{Document, RawDocument, Timestamp};
use hindsight_proto::v1 as api;
use hindsight_tests::Api;
use hindsight_tests::api::encoded;
use mongodb::Client;
use serde_json::{Value, json};

use super::super::served::until;
use super::Asked;
use super::held::{Collection, Held, canonical, collections_of, is_of_users};
use crate::capture_checks::spelled;

/// The last time is that of the source as it is now.
pub(super) async fn compare(asked: &mut Asked, source: &Client) -> Result<()> {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for held in &asked.held {
        let about = || format!("collections at {}", held.at);
        let listed = list(&asked.api, held.at, "", 0).await.with_context(about)?;
        for size in [1, 3] {
            let pages = list(&asked.api, held.at, "", size).await.with_context(about)?;
            ensure!(pages == listed, "{}: pages of {size} differ", about());
        }
        ensure!(listed.is_sorted_by_key(|it| it.ns.clone()), "{}: out of order", about());
        same(&listed, &held.collections).with_context(about)?;
        over_http(&asked.api, held, &listed).await.with_context(about)?;
        let database = list(&asked.api, held.at, "w1.*", 0).await?;
        ensure!(database.iter().all(|it| it.ns.starts_with("w1.")), "{database:?}");
        let of_w1 = listed.iter().filter(|it| it.ns.starts_with("w1."));
        ensure!(of_w1.eq(&database), "{}: a pattern", about());
        if let Some(one) = listed.iter().find(|it| is_of_users(&it.ns)) {
            let found = list(&asked.api, held.at, &one.ns, 0).await?;
            ensure!(found == std::slice::from_ref(one), "{found:?}");
        }
        for collection in &listed {
            *kinds.entry(collection.r#type.clone()).or_default() += 1;
        }
    }
    println!("{kinds:?}");
    let last = asked.held.last().context("a time")?.at;
    let listed = list(&asked.api, last, "", 0).await?;
    let source = collections_of(source).await?;
    same(&listed, &source).context("against the source")?;
    for collection in listed.iter().filter(|it| is_of_users(&it.ns)) {
        let uuid = source[&collection.ns].uuid.clone().unwrap_or_default();
        ensure!(
            collection.uuid == uuid,
            "{}: {:?} is not {uuid:?}",
            collection.ns,
            collection.uuid
        );
    }
    ensure!(kinds.contains_key("view"), "no view was listed");
    ensure!(asked.version < (5, 0) || kinds.contains_key("timeseries"), "no time series");
    Ok(())
}

/// Returns the description of an index in a form that can be compared: the server has its own order
/// of fields, and shows a time to live with 32 bits, whatever is stored.
fn index(described: &RawDocument) -> Result<Document> {
    let mut index = Document::try_from(described)?;
    if let Some(seconds) = index.get_mut("expireAfterSeconds")
        && let Some(short) = seconds.as_i32()
    {
        *seconds = i64::from(short).into();
    }
    Ok(index)
}

/// Lists all collections, in pages.
async fn list(api: &Api, at: Timestamp, ns: &str, page_size: u32) -> Result<Vec<api::Collection>> {
    let mut request = api::ListCollectionsRequest {
        at: until(at),
        ns: ns.to_owned(),
        page_size,
        page_token: String::new(),
    };
    let mut all = Vec::new();
    loop {
        let page = api.hindsight.clone().list_collections(request.clone()).await?.into_inner();
        let answered_at = page.at.context("a time")?;
        ensure!((answered_at.t, answered_at.i) == (at.time, at.increment), "{answered_at:?}");
        all.extend(page.collections);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        // The time in the token counts.
        (request.at, request.page_token) = (None, page.next_page_token);
    }
}

fn same(listed: &[api::Collection], held: &BTreeMap<String, Collection>) -> Result<()> {
    let ours: BTreeMap<&String, &api::Collection> =
        listed.iter().filter(|it| is_of_users(&it.ns)).map(|it| (&it.ns, it)).collect();
    let names: (Vec<_>, Vec<_>) = (ours.keys().copied().collect(), held.keys().collect());
    ensure!(names.0 == names.1, "{:?} is not {:?}", names.0, names.1);
    for (ns, collection) in held {
        let ours = ours[ns];
        ensure!(ours.r#type == collection.kind, "{ns}: {} is not {}", ours.r#type, collection.kind);
        let options = RawDocument::from_bytes(&ours.options)?;
        ensure!(
            options == &*collection.options,
            "{ns}: {options:?} is not {:?}",
            collection.options
        );
        let mut indexes = BTreeMap::new();
        for index in &ours.indexes {
            let index = RawDocument::from_bytes(index)?;
            let before = indexes.insert(index.get_str("name")?.to_owned(), index);
            ensure!(before.is_none(), "{ns}: an index twice: {index:?}");
        }
        let names: (Vec<_>, Vec<_>) =
            (indexes.keys().collect(), collection.indexes.keys().collect());
        ensure!(names.0 == names.1, "{ns}: indexes {:?} are not {:?}", names.0, names.1);
        for (name, theirs) in &collection.indexes {
            let (ours, theirs) = (index(indexes[name])?, index(theirs)?);
            ensure!(ours == theirs, "{ns}: {ours} is not {theirs}");
        }
        let has_uuid = collection.kind == "collection";
        ensure!(ours.uuid.len() == if has_uuid { 16 } else { 0 }, "{ns}: {:?}", ours.uuid);
    }
    Ok(())
}

async fn over_http(api: &Api, held: &Held, listed: &[api::Collection]) -> Result<()> {
    let path = format!("/v1/collections?at={}", spelled(held.at));
    let told = api.get(&path).await?.expect(200)?.json()?;
    let told = told["collections"].as_array().context("collections")?;
    ensure!(told.len() == listed.len(), "{told:?} is not {listed:?}");
    for (told, ours) in told.iter().zip(listed) {
        let indexes = ours.indexes.iter().map(|it| canonical(RawDocument::from_bytes(it)?));
        let indexes = indexes.collect::<Result<Vec<Value>>>()?;
        let wanted = json!({
            "ns": ours.ns,
            "type": ours.r#type,
            "uuid": told["uuid"],
            "options": canonical(RawDocument::from_bytes(&ours.options)?)?,
            "indexes": indexes,
        });
        ensure!(*told == wanted, "{told} is not {wanted}");
        let is_view = ours.uuid.is_empty();
        let uuid = told["uuid"].as_str().map(|uuid| uuid.replace('-', ""));
        let bytes: String = ours.uuid.iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!(uuid == (!is_view).then_some(bytes), "{told}");
    }
    let one = &listed[0].ns;
    let path = format!("{path}&ns={}", encoded(one));
    let found = api.get(&path).await?.expect(200)?.json()?;
    ensure!(found["collections"][0]["ns"] == **one, "{found}");
    Ok(())
}
