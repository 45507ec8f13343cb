//! What is done to the source between two restore points: a little of everything that the servers
//! of the upgrade can do.

use anyhow::Result;
use bson::{DateTime, Document, doc};
use mongodb::{Client, Collection, Database};

/// Everything happens in this database.
pub(super) const DATABASE: &str = "u";
/// The milliseconds in a second; measurements are one second apart.
const SECOND_MS: i64 = 1_000;
/// The number of names to which rounds rename collections, in turn.
const RENAMED: i32 = 3;

/// What the source can do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Abilities {
    /// The feature compatibility version is 5.0 or higher.
    pub timeseries: bool,
    /// The feature compatibility version is 6.0 or higher.
    pub pre_images: bool,
}

pub(super) struct Rounds {
    client: Client,
    database: Database,
    /// Time-series collections, oldest first.
    series: Vec<String>,
    number: i32,
}

impl Rounds {
    /// Makes the collections that all rounds work on.
    pub(super) async fn begin(client: Client) -> Result<Self> {
        let database = client.database(DATABASE);
        for create in [
            doc! {"create": "sized", "capped": true, "size": 6_000},
            doc! {"create": "counted", "capped": true, "size": 1_000_000, "max": 25},
            doc! {"create": "names", "collation": {"locale": "de", "strength": 2}},
            doc! {"create": "paid", "viewOn": "orders", "pipeline": [{"$match": {"paid": true}}]},
        ] {
            database.run_command(create).await?;
        }
        Ok(Self { client, database, series: Vec::new(), number: 0 })
    }

    /// Takes a new client after the server was started again, because the earlier sessions are
    /// gone.
    pub(super) fn reconnected(&mut self, client: Client) {
        self.database = client.database(DATABASE);
        self.client = client;
    }

    pub(super) async fn next(&mut self, can: Abilities) -> Result<()> {
        self.number += 1;
        self.documents().await?;
        self.capped().await?;
        self.transaction().await?;
        self.indexes().await?;
        self.collections().await?;
        if can.timeseries {
            self.measurements().await?;
        }
        if can.pre_images {
            self.pre_images().await?;
        }
        Ok(())
    }

    /// Drops all time-series. While there are any, servers refuse to lower the feature
    /// compatibility version below the first that has time-series.
    pub(super) async fn drop_series(&mut self) -> Result<()> {
        for name in self.series.drain(..) {
            self.database.collection::<Document>(&name).drop().await?;
        }
        Ok(())
    }

    /// Adds a new time-series collection beside those of older versions.
    pub(super) async fn add_series(&mut self) -> Result<()> {
        let name = format!("weather{}", self.number);
        let options = doc! {"timeField": "t", "metaField": "m"};
        self.database.run_command(doc! {"create": &name, "timeseries": options}).await?;
        self.series.push(name);
        Ok(())
    }

    fn collection(&self, name: &str) -> Collection<Document> {
        self.database.collection(name)
    }

    async fn documents(&self) -> Result<()> {
        let (orders, n) = (self.collection("orders"), self.number);
        let order = |i: i32| {
            let lines: Vec<Document> = (0..3)
                .map(|line| doc! {"sku": line, "count": n % 7, "deep": {"a": [1, 2, n]}})
                .collect();
            doc! {"_id": n * 10 + i, "n": n, "paid": false, "lines": lines, "note": "x".repeat(40)}
        };
        orders.insert_many((0..10).map(order)).await?;
        let some = doc! {"_id": {"$gte": n * 10 - 15}, "lines": {"$type": "array"}};
        for update in [
            doc! {"$set": {"paid": true, "lines.1.count": 100 + n}, "$inc": {"n": 1}, "$unset": {"note": 1}},
            doc! {"$push": {"lines": {"sku": n}}},
            doc! {"$set": {"lines.0.deep.a.2": -n, "added.deep": n}},
            doc! {"$pull": {"lines": {"sku": 2}}},
        ] {
            orders.update_many(some.clone(), update).await?;
        }
        let reordered = vec![
            doc! {"$replaceWith": {"_id": "$_id", "lines": "$lines", "n": "$n", "paid": "$paid"}},
        ];
        orders.update_many(doc! {"_id": {"$mod": [10, 3]}, "n": {"$gt": n - 2}}, reordered).await?;
        orders.replace_one(doc! {"_id": n * 10}, doc! {"_id": n * 10, "whole": n}).await?;
        orders.delete_many(doc! {"_id": {"$mod": [10, 7]}}).await?;
        let named = doc! {"_id": format!("Name{n}"), "n": n};
        self.collection("names").insert_one(named).await?;
        let other_case = doc! {"_id": format!("nAME{n}")};
        self.collection("names").update_one(other_case, doc! {"$set": {"found": true}}).await?;
        Ok(())
    }

    /// Writes to the capped collections, both of which roll over from the first rounds on. Servers
    /// below 5.0 let no document change its size.
    async fn capped(&self) -> Result<()> {
        for name in ["sized", "counted"] {
            let document = |i: i32| doc! {"_id": self.number * 100 + i, "f": "x".repeat(90 + i.unsigned_abs() as usize)};
            self.collection(name).insert_many((0..12).map(document)).await?;
            let last = doc! {"_id": self.number * 100 + 11};
            self.collection(name).update_one(last, doc! {"$set": {"f": "y".repeat(101)}}).await?;
        }
        Ok(())
    }

    async fn transaction(&self) -> Result<()> {
        // In 4.4, a transaction creates no collections where an index is being built, and does not
        // see collections that were made just before.
        let (accounts, moves) = (self.collection("accounts"), self.collection("moves"));
        if self.number == 1 {
            accounts.insert_one(doc! {"_id": 0, "balance": 0}).await?;
            moves.insert_one(doc! {"_id": 0}).await?;
        }
        let mut session = self.client.start_session().await?;
        for aborts in [false, true] {
            session.start_transaction().await?;
            let (by, key) = (doc! {"$inc": {"balance": self.number}}, doc! {"_id": 0});
            accounts.update_one(key, by).session(&mut session).await?;
            let id = self.number * 2 + i32::from(aborts);
            moves.insert_one(doc! {"_id": id, "by": self.number}).session(&mut session).await?;
            moves.delete_one(doc! {"_id": id - 20}).session(&mut session).await?;
            match aborts {
                true => session.abort_transaction().await?,
                false => session.commit_transaction().await?,
            }
        }
        Ok(())
    }

    async fn indexes(&self) -> Result<()> {
        let n = self.number;
        let name = |n: i32| format!("i{n}");
        let index = doc! {
            "name": name(n), "key": {"n": 1, format!("f{n}"): -1}, "hidden": n % 2 == 0,
            "partialFilterExpression": {"n": {"$gt": 5}},
        };
        let expiring = doc! {
            "name": format!("e{}", n % 2), "key": {format!("never{}", n % 2): 1}, "expireAfterSeconds": 1_000 + n % 2,
        };
        self.database
            .run_command(doc! {"createIndexes": "orders", "indexes": [index, expiring]})
            .await?;
        let change = doc! {"name": name(n), "hidden": n % 2 == 1};
        self.database.run_command(doc! {"collMod": "orders", "index": change}).await?;
        if n > 3 {
            self.database.run_command(doc! {"dropIndexes": "orders", "index": name(n - 3)}).await?;
        }
        Ok(())
    }

    async fn collections(&self) -> Result<()> {
        let n = self.number;
        let made = format!("made{n}");
        let validator = doc! {"n": {"$gte": 0}};
        self.database.run_command(doc! {"create": &made, "validator": validator}).await?;
        self.collection(&made).insert_one(doc! {"_id": n, "n": n}).await?;
        let change =
            doc! {"collMod": &made, "validationLevel": "moderate", "validator": {"n": {"$gte": n}}};
        self.database.run_command(change).await?;
        let to = format!("{DATABASE}.renamed{}", n % RENAMED);
        let rename = doc! {
            "renameCollection": format!("{DATABASE}.{made}"), "to": to, "dropTarget": true,
        };
        self.client.database("admin").run_command(rename).await?;
        let pipeline = [doc! {"$match": {"n": {"$gt": n - 3}}}, doc! {"$out": "out"}];
        self.collection("orders").aggregate(pipeline).await?;
        let view = doc! {"collMod": "paid", "viewOn": "orders", "pipeline": [{"$match": {"n": n}}]};
        self.database.run_command(view).await?;
        Ok(())
    }

    /// Writes full and half-full buckets, and fields whose types change from one bucket to the
    /// next.
    async fn measurements(&mut self) -> Result<()> {
        if self.series.is_empty() {
            self.add_series().await?;
        }
        for name in &self.series {
            let start = i64::from(self.number) * 600 * SECOND_MS;
            let measurement = |i: i32| {
                let at = DateTime::from_millis(start + i64::from(i) * SECOND_MS);
                doc! {"t": at, "m": i % 2, "v": f64::from(i) / 4.0, "n": self.number}
            };
            self.collection(name).insert_many((0..60).map(measurement)).await?;
        }
        Ok(())
    }

    /// Turns pre-images on and off again. Servers refuse to lower the feature compatibility version
    /// while a collection has pre-images, so no round leaves any.
    async fn pre_images(&self) -> Result<()> {
        let images = |enabled: bool| {
            doc! {"collMod": "accounts", "changeStreamPreAndPostImages": {"enabled": enabled}}
        };
        self.database.run_command(images(true)).await?;
        let seen = doc! {"$set": {"seen": self.number}};
        self.collection("accounts").update_one(doc! {"_id": 0}, seen).await?;
        self.database.run_command(images(false)).await?;
        Ok(())
    }
}
