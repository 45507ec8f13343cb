//! Compares the differences between two times with what two restored servers hold.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use bson::raw::cstr;
use bson::{Document, RawDocument, RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use hindsight_proto::v1 as api;
use hindsight_proto::v1::change::Kind;
use hindsight_tests::Api;
use hindsight_tests::api::encoded;
use serde_json::Value;

use super::super::served::until;
use super::Asked;
use super::held::{Held, canonical, id, id_key, is_of_users, simple};
use crate::capture_checks::spelled;

/// A document at both times.
type Sides<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);
/// Changes by namespace and by the key of the id, in the order of the answer.
type Changes<'a> = BTreeMap<(String, Vec<u8>), Sides<'a>>;

pub(super) async fn compare(asked: &mut Asked) -> Result<()> {
    let mut kinds = [0; 4];
    for from in 0..asked.held.len() {
        for to in 0..asked.held.len() {
            let (from, to) = (&asked.held[from], &asked.held[to]);
            let about = || format!("from {} to {}", from.at, to.at);
            let wanted = changes(from, to);
            let got = diff(&asked.api, from, to, |_| {}).await.with_context(about)?;
            same(&got, &wanted).with_context(about)?;
            got.iter().for_each(|change| kinds[change.kind as usize] += 1);
            over_http(&asked.api, from, to, &got).await.with_context(about)?;
            filtered(&asked.api, from, to, &wanted).await.with_context(about)?;
            let in_w1 = diff(&asked.api, from, to, |it| it.ns = "w1.*".into()).await?;
            let wanted = got.iter().filter(|change| change.ns.starts_with("w1."));
            ensure!(wanted.eq(&in_w1), "{}: of one database", about());
            let few = diff(&asked.api, from, to, |it| it.limit = 3).await?;
            ensure!(few.len() <= 3, "{}: {} with a limit of 3", about(), few.len());
        }
    }
    println!("{} added, {} removed, {} changed", kinds[1], kinds[2], kinds[3]);
    ensure!(kinds[1] > 20 && kinds[2] > 20 && kinds[3] > 20, "that says little");
    Ok(())
}

fn changes<'a>(from: &'a Held, to: &'a Held) -> Changes<'a> {
    let mut sides: Changes<'a> = BTreeMap::new();
    for (ns, collection) in from.stored() {
        for document in &collection.documents {
            let key = (ns.clone(), id_key(document));
            sides.entry(key).or_default().0 = Some(document.as_bytes());
        }
    }
    for (ns, collection) in to.stored() {
        for document in &collection.documents {
            let key = (ns.clone(), id_key(document));
            sides.entry(key).or_default().1 = Some(document.as_bytes());
        }
    }
    sides.retain(|_, (before, after)| before != after);
    sides
}

async fn diff(
    api: &Api,
    from: &Held,
    to: &Held,
    amend: impl FnOnce(&mut api::DiffTimesRequest),
) -> Result<Vec<api::Change>> {
    let mut request =
        api::DiffTimesRequest { from: until(from.at), to: until(to.at), ..Default::default() };
    amend(&mut request);
    let mut answers = api.hindsight.clone().diff_times(request).await?.into_inner();
    let mut changes = Vec::new();
    while let Some(answer) = answers.message().await? {
        changes.extend(answer.changes);
    }
    changes.retain(|change| is_of_users(&change.ns));
    Ok(changes)
}

fn same(got: &[api::Change], wanted: &Changes<'_>) -> Result<()> {
    for (change, ((ns, key), (before, after))) in got.iter().zip(wanted) {
        let id_of_change = RawDocument::from_bytes(&change.id)?;
        let is_same = change.ns == *ns
            && id_key(id_of_change) == *key
            && (change.before.as_deref(), change.after.as_deref()) == (*before, *after);
        ensure!(is_same, "{change:?} is not {ns} {before:?} {after:?}");
        let kind = match (before, after) {
            (None, _) => Kind::Added,
            (_, None) => Kind::Removed,
            _ => Kind::Changed,
        };
        ensure!(change.kind() == kind, "{change:?}");
        let newest = RawDocument::from_bytes(after.or(*before).context("one of them")?)?;
        ensure!(id(newest).as_bytes() == change.id, "{change:?}");
        fields(change)?;
    }
    ensure!(got.len() == wanted.len(), "{} changes instead of {}", got.len(), wanted.len());
    Ok(())
}

/// Checks that the change names exactly the fields whose values differ, by the whole field or by a
/// part of it. If all values are the same, the order of the fields must differ.
fn fields(change: &api::Change) -> Result<()> {
    let (Some(before), Some(after)) = (&change.before, &change.after) else {
        ensure!(change.fields.is_empty(), "{change:?}");
        return Ok(());
    };
    ensure!(!change.fields.is_empty(), "nothing is named: {change:?}");
    let (before, after) = (top(before)?, top(after)?);
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let is_of = |path: &str, name: &str| {
        path == name || path.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
    };
    for name in names.iter().filter(|name| before.get(**name) != after.get(**name)) {
        let is_named = change.fields.iter().any(|path| is_of(path, name));
        ensure!(is_named || change.fields.len() == 100, "{name} is not named: {change:?}");
    }
    for path in &change.fields {
        ensure!(names.iter().any(|name| is_of(path, name)), "{path} is nowhere: {change:?}");
    }
    Ok(())
}

/// Returns the bytes of the values at the top level, by name.
fn top(document: &[u8]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut fields = BTreeMap::new();
    for field in RawDocument::from_bytes(document)? {
        let (name, value) = field?;
        let mut alone = RawDocumentBuf::new();
        alone.append(cstr!(""), bson::RawBson::from(value));
        fields.insert(name.to_string(), alone.into_bytes());
    }
    Ok(fields)
}

async fn over_http(api: &Api, from: &Held, to: &Held, got: &[api::Change]) -> Result<()> {
    let path = format!("/v1/diff?from={}&to={}", spelled(from.at), spelled(to.at));
    let lines = api.get_as(&path, "application/x-ndjson").await?.expect(200)?.json_lines()?;
    let is_ours = |line: &&Value| line["ns"].as_str().is_some_and(is_of_users);
    let told: Vec<&Value> = lines.iter().filter(is_ours).collect();
    ensure!(told.len() == got.len(), "{} lines instead of {}", told.len(), got.len());
    for (told, change) in told.into_iter().zip(got) {
        let side = |side: &Option<bytes::Bytes>| match side {
            None => Ok(Value::Null),
            Some(document) => canonical(RawDocument::from_bytes(document)?),
        };
        ensure!(told["before"] == side(&change.before)?, "{told} is not {change:?}");
        ensure!(told["after"] == side(&change.after)?, "{told} is not {change:?}");
        ensure!(told["ns"] == *change.ns, "{told} is not {change:?}");
        let id = canonical(RawDocument::from_bytes(&change.id)?)?;
        ensure!(told["id"] == id["_id"], "{told} is not {change:?}");
        let kind = change.kind().as_str_name().to_lowercase();
        ensure!(told["change"] == *kind, "{told} is not {change:?}");
        ensure!(told["fields"] == serde_json::json!(change.fields), "{told} is not {change:?}");
    }
    let one =
        api.get(&format!("{path}&limit=1&ns={}", encoded("w0.*"))).await?.expect(200)?.json()?;
    let told = one["changes"].as_array().context("changes")?.len();
    ensure!(told <= 1 && (told == 1 || one["truncated"] == false), "{one}");
    let of_database = got.iter().filter(|change| change.ns.starts_with("w0.")).count();
    ensure!(of_database <= 1 || one["truncated"] == true, "{of_database} are there: {one}");
    Ok(())
}

/// Compares filtered differences: a change must match on one side or the other, as the restored
/// servers find it.
async fn filtered(api: &Api, from: &Held, to: &Held, changes: &Changes<'_>) -> Result<()> {
    for filter in [
        doc! {"_id": {"$type": "int"}},
        doc! {"n": {"$exists": true}},
        doc! {"$nor": [{"_id": {"$type": "string"}}, {"_id": {"$type": "objectId"}}]},
    ] {
        let (before, after) = (matching(from, &filter).await?, matching(to, &filter).await?);
        let mut wanted = changes.clone();
        wanted.retain(|key, _| before.contains(key) || after.contains(key));
        let bytes: bytes::Bytes = filter.to_vec()?.into();
        let got = diff(api, from, to, |request| request.filter = bytes).await?;
        same(&got, &wanted).with_context(|| format!("with {filter}"))?;
    }
    Ok(())
}

async fn matching(held: &Held, filter: &Document) -> Result<BTreeSet<(String, Vec<u8>)>> {
    let mut found = BTreeSet::new();
    for (ns, _) in held.stored() {
        let (database, name) = ns.split_once('.').context("a namespace")?;
        let collection = held.client.database(database).collection::<RawDocumentBuf>(name);
        let mut documents = collection.find(filter.clone()).collation(simple()).await?;
        while let Some(document) = documents.try_next().await? {
            found.insert((ns.clone(), id_key(&document)));
        }
    }
    Ok(found)
}
