//! The states: each is a separate collection, together with what is done to it later.

use anyhow::{Context, Result, ensure};
use bson::{Bson, DateTime, Document, doc};
use futures_util::TryStreamExt;
use mongodb::{Client, Database};
use serde_json::Value;

pub(super) const DATABASE: &str = "w";
/// 2024-01-01, in milliseconds.
const BEGIN_MS: i64 = 1_704_067_200_000;
const MARK: &str = "timeseriesBucketsMayHaveMixedSchemaData";

/// A server's version and the feature compatibility version that it starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub feature: &'static str,
    pub server: &'static str,
}

impl Version {
    pub(super) const V5_0_4: Self = Version { feature: "5.0", server: "5.0.4" };
    pub(super) const V6_0_5: Self = Version { feature: "6.0", server: "6.0.5" };
    pub(super) const V6_0_27: Self = Version { feature: "6.0", server: "6.0.27" };
    pub(super) const V7_0_28: Self = Version { feature: "7.0", server: "7.0.28" };

    fn at_least_6_0(self) -> bool {
        self.feature >= "6.0"
    }

    fn at_least_7_0(self) -> bool {
        self.feature >= "7.0"
    }

    /// Returns true for a version that renames buckets, and that marks them by a command.
    fn is_patched(self) -> bool {
        self.at_least_7_0() || self == Self::V6_0_27
    }
}

/// When a state is made: before the base is copied, or after.
#[derive(Clone, Copy, Debug)]
pub(super) enum Era {
    Base,
    Log,
}

impl Era {
    fn named(self, name: &str) -> String {
        match self {
            Era::Base => format!("b_{name}"),
            Era::Log => format!("l_{name}"),
        }
    }
}

fn at(seconds: i64) -> DateTime {
    DateTime::from_millis(BEGIN_MS + seconds * 1000)
}

fn values() -> Vec<Bson> {
    vec![
        1.into(),
        "a".into(),
        2.5.into(),
        "zz".into(),
        Bson::Null,
        true.into(),
        vec![1, 2].into(),
        doc! {"x": 1}.into(),
        5_i64.into(),
        DateTime::from_millis(1_577_836_800_000).into(),
    ]
}

/// Returns measurements with every type of value. 5.0 puts them into one bucket for each value of
/// `k`.
fn mixed(count: i64, time: &str, meta: &str) -> Vec<Document> {
    let values = values();
    let value = |i: i64| values[usize::try_from(i).unwrap() % values.len()].clone();
    let number = |i: i64| match i % 2 {
        0 => Bson::String(i.to_string()),
        _ => Bson::Int64(i),
    };
    (0..count).map(|i| doc! {time: at(i), meta: i % 3, "v": value(i), "n": number(i)}).collect()
}

fn pure(count: i64) -> Vec<Document> {
    (0..count).map(|i| doc! {"t": at(i), "k": i % 3, "v": i, "o": {"x": i}}).collect()
}

async fn insert(db: &Database, name: &str, documents: Vec<Document>) -> Result<()> {
    db.collection::<Document>(name).insert_many(documents).await.context(name.to_owned())?;
    Ok(())
}

async fn create(db: &Database, name: &str, series: Document, options: Document) -> Result<()> {
    let mut command = doc! {"create": name, "timeseries": series};
    command.extend(options);
    db.run_command(command).await.context(name.to_owned())?;
    Ok(())
}

async fn create_plain(db: &Database, name: &str) -> Result<()> {
    create(db, name, doc! {"timeField": "t", "metaField": "k"}, doc! {}).await
}

pub(super) async fn make_mixed(client: &Client, name: &str) -> Result<()> {
    let db = client.database(DATABASE);
    create_plain(&db, name).await?;
    insert(&db, name, mixed(96, "t", "k")).await?;
    let buckets = db.collection::<Document>(&format!("system.buckets.{name}"));
    let held = buckets.count_documents(doc! {}).await?;
    ensure!(held == 3, "{name}: {held} buckets, not one for each k: nothing is mixed");
    Ok(())
}

pub(super) async fn make_pure(client: &Client, name: &str) -> Result<()> {
    let db = client.database(DATABASE);
    create_plain(&db, name).await?;
    insert(&db, name, pure(50)).await
}

/// Inserts buckets as 5.0 writes them, which only a marked collection takes.
pub(super) async fn insert_mixed_buckets(client: &Client, name: &str) -> Result<()> {
    let ids: Vec<_> = (0_u8..3).map(|i| bson::oid::ObjectId::from_bytes([i + 1; 12])).collect();
    let (text, number) = (|| Bson::from("s"), || Bson::from(7));
    let bound = |id, v| doc! {"_id": id, "t": at(0), "v": v};
    let bucket = doc! {
        "_id": ids[0],
        "control": {"version": 1, "min": bound(ids[1], number()), "max": bound(ids[2], text())},
        "data": {
            "t": {"0": at(0), "1": at(0)}, "_id": {"0": ids[1], "1": ids[2]},
            "v": {"0": number(), "1": text()},
        },
    };
    insert(&client.database(DATABASE), &format!("system.buckets.{name}"), vec![bucket]).await
}

/// Returns the mark in a server's catalog, which decides how queries treat buckets.
pub(super) async fn mark_of(client: &Client, name: &str) -> Result<Option<bool>> {
    let buckets =
        client.database(DATABASE).collection::<Document>(&format!("system.buckets.{name}"));
    let found: Vec<Document> =
        buckets.aggregate([doc! {"$listCatalog": {}}]).await?.try_collect().await?;
    let entry = found.first().context("it is in the catalog")?;
    Ok(entry.get_document("md")?.get_bool(MARK).ok())
}

/// Makes every state that the version can have.
pub(super) async fn make(client: &Client, version: Version, era: Era) -> Result<()> {
    let db = client.database(DATABASE);
    let name = |name: &str| era.named(name);
    let series = || doc! {"timeField": "t", "metaField": "k"};
    let engine =
        || doc! {"storageEngine": {"wiredTiger": {"configString": "block_compressor=zlib"}}};
    for (state, series, options) in [
        ("plain", series(), doc! {}),
        ("empty", series(), doc! {}),
        ("without_meta", doc! {"timeField": "t"}, doc! {}),
        ("minutes", doc! {"timeField": "t", "granularity": "minutes"}, doc! {}),
        ("hours", doc! {"timeField": "t", "metaField": "k", "granularity": "hours"}, doc! {}),
        ("expires", series(), doc! {"expireAfterSeconds": 1_000_000_000_i64}),
        ("collation", series(), doc! {"collation": {"locale": "en", "strength": 2}}),
        ("engine", series(), engine()),
        ("index_defaults", series(), doc! {"indexOptionDefaults": engine()}),
        ("odd_names", doc! {"timeField": "zeit punkt é", "metaField": "it's \"k\""}, doc! {}),
        ("indexed", series(), doc! {}),
        ("indexed_collation", series(), doc! {"collation": {"locale": "de"}}),
        ("wild", series(), doc! {}),
        ("far_dates", series(), doc! {}),
        ("closed", series(), doc! {}),
        ("half_changed", series(), doc! {}),
        ("deleted", series(), doc! {}),
    ] {
        create(&db, &name(state), series, options).await?;
        match state {
            "empty" | "odd_names" | "far_dates" => {}
            // Measurements that are indexed (from 6.0 on) must not be arrays.
            "indexed" | "indexed_collation" | "wild" => insert(&db, &name(state), pure(40)).await?,
            _ => insert(&db, &name(state), mixed(40, "t", "k")).await?,
        }
    }
    insert(&db, &name("odd_names"), mixed(40, "zeit punkt é", "it's \"k\"")).await?;
    // 5.0 itself answers queries about such dates incorrectly.
    if version.at_least_6_0() {
        let years = [-20, 0, 12, 34, 67, 80, 136, 300].map(|years| years * 31_556_952_000_i64);
        let dates = years.map(|ms| doc! {"t": DateTime::from_millis(ms), "k": 1, "v": ms});
        insert(&db, &name("far_dates"), dates.into()).await?;
    }
    insert(&db, &name("closed"), (0..1100).map(|i| doc! {"t": at(i), "k": 1, "v": i}).collect())
        .await?;
    insert(&db, &name("collation"), ["b", "B"].map(|k| doc! {"t": at(1), "k": k, "v": k}).into())
        .await?;
    let wild = doc! {"key": {"k.$**": 1}, "name": "wild"};
    db.run_command(doc! {"createIndexes": name("wild"), "indexes": [wild]}).await?;
    make_indexes(&db, &name("indexed"), version, false).await?;
    make_indexes(&db, &name("indexed_collation"), version, true).await?;
    let view =
        doc! {"create": name("view"), "viewOn": name("plain"), "pipeline": [{"$match": {"v": 1}}]};
    db.run_command(view).await?;
    lone_buckets(&db, &name("lone")).await?;
    if version.at_least_7_0() {
        make_for_7_0(&db, era).await?;
    }
    if version.is_patched() {
        create_plain(&db, &name("renamed")).await?;
        let to = format!("{DATABASE}.system.buckets.{}", name("renamed_away"));
        let from = format!("{DATABASE}.system.buckets.{}", name("renamed"));
        client.database("admin").run_command(doc! {"renameCollection": from, "to": to}).await?;
    }
    Ok(())
}

/// Makes what servers from 7.0 on take: custom spans, and an index that the server makes itself.
async fn make_for_7_0(db: &Database, era: Era) -> Result<()> {
    let name = |name: &str| era.named(name);
    let custom = doc! {
        "timeField": "t", "metaField": "k", "bucketMaxSpanSeconds": 600, "bucketRoundingSeconds": 600,
    };
    create(db, &name("custom"), custom, doc! {}).await?;
    insert(db, &name("custom"), mixed(40, "t", "k")).await?;
    create_plain(db, &name("unindexed")).await?;
    let drop = doc! {"dropIndexes": name("unindexed"), "index": "k_1_t_1"};
    db.run_command(drop).await?;
    create_plain(db, &name("hidden")).await?;
    let hide = doc! {"collMod": name("hidden"), "index": {"name": "k_1_t_1", "hidden": true}};
    db.run_command(hide).await?;
    Ok(())
}

/// Makes buckets that have no view.
async fn lone_buckets(db: &Database, name: &str) -> Result<()> {
    let buckets = format!("system.buckets.{name}");
    let series = doc! {
        "timeField": "t", "granularity": "seconds", "bucketMaxSpanSeconds": 3600,
    };
    db.run_command(doc! {"create": &buckets, "clusteredIndex": true, "timeseries": series}).await?;
    Ok(())
}

async fn make_indexes(db: &Database, name: &str, version: Version, collation: bool) -> Result<()> {
    let mut indexes = vec![
        doc! {"key": {"t": 1}, "name": "t"},
        doc! {"key": {"t": -1}, "name": "t_down"},
        doc! {"key": {"k": 1}, "name": "k"},
        doc! {"key": {"k.a": 1, "t": -1}, "name": "k_t"},
        doc! {"key": {"k.b": 1}, "name": "hidden", "hidden": true},
        doc! {"key": {"k.loc": "2dsphere"}, "name": "sphere"},
        doc! {"key": {"k.s": 1}, "name": "sparse", "sparse": true},
        doc! {"key": {"k.h": "hashed"}, "name": "hashed"},
        doc! {"key": {"k.c": 1}, "name": "french", "collation": {"locale": "fr"}},
    ];
    if !collation {
        indexes.push(doc! {"key": {"k.p": "2d"}, "name": "flat", "bits": 20});
    }
    if version.at_least_6_0() {
        indexes.extend([
            doc! {"key": {"v": 1}, "name": "v"},
            doc! {"key": {"v.x": 1, "w": -1, "t": 1}, "name": "nested"},
            doc! {"key": {"v": 1, "k": 1}, "name": "part", "partialFilterExpression": {"v": {"$gt": 5}}},
            doc! {"key": {"k.q": 1}, "name": "part_k", "partialFilterExpression": {"k.q": {"$exists": true}}},
            doc! {"key": {"t": 1, "k": 1}, "name": "part_t", "partialFilterExpression": {"t": {"$gt": at(0)}}},
        ]);
        if !collation {
            indexes.push(doc! {"key": {"loc": "2dsphere"}, "name": "sphere_of_measurements"});
        }
    }
    if version.at_least_7_0() {
        indexes.push(doc! {
            "key": {"t": 1}, "name": "ttl", "expireAfterSeconds": 1_000_000_000,
            "partialFilterExpression": {"k": {"$gt": 5}},
        });
    }
    for index in indexes {
        let command = doc! {"createIndexes": name, "indexes": [index.clone()]};
        db.run_command(command).await.with_context(|| index.to_string())?;
    }
    Ok(())
}

/// Changes the states of an era later; all changes are in the log.
pub(super) async fn change(client: &Client, version: Version, era: Era) -> Result<()> {
    let db = client.database(DATABASE);
    let name = |name: &str| era.named(name);
    let modify = |state: &str, change: Document| {
        let mut command = doc! {"collMod": name(state)};
        command.extend(change);
        command
    };
    db.run_command(modify("plain", doc! {"timeseries": {"granularity": "minutes"}})).await?;
    db.run_command(modify("without_meta", doc! {"expireAfterSeconds": 900_000_000_i64})).await?;
    db.run_command(modify("expires", doc! {"expireAfterSeconds": "off"})).await?;
    db.run_command(modify("indexed", doc! {"index": {"name": "k", "hidden": true}})).await?;
    let drop = doc! {"dropIndexes": name("indexed"), "index": "t_down"};
    db.run_command(drop).await?;
    // The server first changes the view, and then refuses to change the buckets.
    let half = doc! {"timeseries": {"granularity": "minutes"}, "expireAfterSeconds": -5};
    let refused = db.run_command(modify("half_changed", half)).await;
    ensure!(refused.is_err(), "a collMod that should fail half-way passed");
    if version.at_least_6_0() {
        db.collection::<Document>(&name("deleted")).delete_many(doc! {"k": 1}).await?;
        let update = doc! {"update": name("deleted"), "updates": [
            {"q": {"k": 2}, "u": {"$set": {"k": 7}}, "multi": true},
        ]};
        db.run_command(update).await?;
    }
    if version.at_least_7_0() {
        let wider = doc! {"bucketMaxSpanSeconds": 7200, "bucketRoundingSeconds": 7200};
        db.run_command(modify("custom", doc! {"timeseries": wider})).await?;
    }
    insert(&db, &name("plain"), mixed(40, "t", "k")).await?;
    insert(&db, &name("closed"), vec![doc! {"t": at(1_000_000), "k": 1, "v": 1}]).await
}

/// Checks what the report must say.
pub(super) fn told(report: &Value, version: Version) -> Result<()> {
    let warnings = report["warnings"].to_string();
    for era in [Era::Base, Era::Log] {
        let half = era.named("half_changed");
        ensure!(warnings.contains(&half), "{half} is missing in {warnings}");
    }
    if version.is_patched() {
        let skipped = report["skipped"].to_string();
        ensure!(skipped.contains("w.b_renamed"), "w.b_renamed is missing in {skipped}");
    }
    Ok(())
}
