//! What a server holds of time-series, in a form in which servers of two versions can be compared.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use hindsight_tests::dbhash::{self, Snapshot};
use mongodb::{Client, Database};

/// Each server has its own validator for buckets, and its own form of a view.
const OF_THE_SERVER: &str = "system.views";

/// Options, indexes, hashes, and answers to queries through every view.
#[derive(Clone, Debug)]
pub(super) struct Held {
    snapshot: Snapshot,
    /// The answers by collection and question.
    answers: BTreeMap<String, Vec<String>>,
}

impl Held {
    pub(super) fn answers(&self) -> &BTreeMap<String, Vec<String>> {
        &self.answers
    }

    /// Returns what differs, one line for each difference; empty when nothing differs.
    pub(super) fn difference(&self, other: &Held) -> String {
        let mut lines = Vec::new();
        lines.extend(dbhash::diff(&self.snapshot, &other.snapshot));
        for (question, expected) in &self.answers {
            let held = other.answers.get(question);
            if held != Some(expected) {
                let count = |answers: Option<&Vec<String>>| answers.map(Vec::len);
                let (expected, held) = (Some(expected), held);
                lines.push(format!(
                    "{question}: {:?} answers <> {:?}: {expected:?} <> {held:?}",
                    count(expected),
                    count(held)
                ));
            }
        }
        lines.join("\n")
    }
}

/// Asks a server, at a quiet point, what it holds.
pub(super) async fn held(client: &Client, database: &str) -> Result<Held> {
    let mut snapshot = dbhash::snapshot(client).await?;
    // The remains of a time-series whose buckets were renamed are not restored, as the report says.
    snapshot.collections.retain(|_, state| state.kind != "timeseries" || !state.options.is_empty());
    for (name, state) in &mut snapshot.collections {
        if name.ends_with(OF_THE_SERVER) {
            (state.hash, state.documents) = (None, None);
        }
        if state.kind == "timeseries" || name.contains(".system.buckets.") {
            state.options.remove("validator");
            without_mark(&mut state.options);
        }
    }
    let database = client.database(database);
    let mut answers = BTreeMap::new();
    for (name, state) in &snapshot.collections {
        // With a wildcard index, 6.0 fails where 5.0 answers (16410).
        if state.kind == "timeseries" && !name.ends_with("_wild") {
            let name = name.split_once('.').context("a namespace has a dot")?.1;
            ask(&database, name, &state.options, &mut answers).await.context(name.to_owned())?;
        }
    }
    Ok(Held { snapshot, answers })
}

/// Removes the mark of mixed types. Not all servers that keep the mark list it; tests of the mark
/// look at the catalog.
fn without_mark(options: &mut Document) {
    let Ok(engine) = options.get_document("storageEngine") else { return };
    let wired_tiger = engine.get_document("wiredTiger").ok();
    let Some(config) = wired_tiger.and_then(|it| it.get_str("configString").ok()) else { return };
    let mark = |mark| format!("app_metadata=(timeseriesBucketsMayHaveMixedSchemaData={mark})");
    let mut left = config.to_owned();
    for mark in [mark(true), mark(false)] {
        left = left.replace(&format!(",{mark}"), "").replace(&mark, "");
    }
    match left.is_empty() {
        true => drop(options.remove("storageEngine")),
        false => {
            options.insert("storageEngine", doc! {"wiredTiger": {"configString": left}});
        }
    }
}

/// Returns filters on every type of value, with the fields that the states use.
fn filters(meta: Option<&str>, time: &str) -> Vec<Document> {
    let date = |ms: i64| bson::DateTime::from_millis(ms);
    let mut filters = vec![
        doc! {},
        doc! {"v": {"$gt": 0}},
        doc! {"v": {"$lt": 3.5}},
        doc! {"v": {"$gte": "a"}},
        doc! {"v": Bson::Null},
        doc! {"v": true},
        doc! {"v": {"$in": [1, "zz", 2.5]}},
        doc! {"v": 1},
        doc! {"v.x": 1},
        doc! {"v": {"$type": "array"}},
        doc! {"v": {"$lt": date(1_640_995_200_000)}},
        doc! {"n": {"$lt": 1000}},
        doc! {"n": {"$gte": ""}},
        doc! {"n": {"$exists": false}},
        doc! {time: {"$gt": date(1_704_067_240_000)}},
        doc! {time: {"$lt": date(1_704_067_230_000)}, "v": {"$gt": 0}},
        doc! {time: {"$lt": date(0)}},
        doc! {time: {"$gte": date(4_102_444_800_000)}},
    ];
    if let Some(meta) = meta {
        filters.push(doc! {meta: 1});
        filters.push(doc! {meta: {"$gte": 1}, "v": {"$gt": 0}});
        filters.push(doc! {meta: "b"});
    }
    filters
}

async fn ask(
    database: &Database,
    name: &str,
    options: &Document,
    answers: &mut BTreeMap<String, Vec<String>>,
) -> Result<()> {
    let series = options.get_document("timeseries")?;
    let time = series.get_str("timeField")?;
    let meta = series.get_str("metaField").ok();
    let collection = database.collection::<Document>(name);
    for filter in filters(meta, time) {
        let sort = doc! {time: 1, "_id": 1};
        let found = collection.find(filter.clone()).sort(sort).await?;
        let found: Vec<Document> = found.try_collect().await?;
        let shown = found.iter().map(Document::to_string).collect();
        answers.insert(format!("{name}.find({filter})"), shown);
    }
    let by_value = doc! {"$group": {"_id": "$v", "count": {"$sum": 1}}};
    let by_type = doc! {"$group": {
        "_id": {"$type": "$n"}, "count": {"$sum": 1}, "least": {"$min": "$v"}, "greatest": {"$max": "$v"},
    }};
    let newest = doc! {"$sort": {time: -1, "v": 1, "_id": 1}};
    for pipeline in [vec![by_value], vec![by_type], vec![newest, doc! {"$limit": 7}]] {
        let found: Vec<Document> =
            collection.aggregate(pipeline.clone()).await?.try_collect().await?;
        let mut shown: Vec<String> = found.iter().map(Document::to_string).collect();
        if pipeline.len() == 1 {
            shown.sort();
        }
        answers.insert(format!("{name}.aggregate({pipeline:?})"), shown);
    }
    Ok(())
}
