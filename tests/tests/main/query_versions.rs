//! Tests what depends on the server's version in filters, against the server under test: which
//! regular expressions it takes, and what null finds.

use anyhow::{Result, ensure};
use bson::{Bson, Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use hindsight_query::Filter;
use hindsight_tests::mongod::server_version;
use hindsight_tests::{Mongod, MongodOptions};
use mongodb::Collection;
use mongodb::error::ErrorKind;
use mongodb::options::Hint;

use crate::query::versions::named;

/// Texts that are searched for patterns.
const TEXTS: [&str; 26] = [
    "", "q", "i", "k", "z", "A", "B", "C", "R", "X", "8", "9", "81", "-", "5", "p", "b", "]", "^",
    "é", "ä", "_", "a", "a{,3}", "a)(b", "a # x\n",
];

const PATTERNS: [&str; 62] = [
    r"^\q$",
    r"^\i$",
    r"^\y$",
    r"^\F$",
    r"^\J$",
    r"^\T$",
    r"^[\q]$",
    r"^[\k]$",
    r"^[\zAC]$",
    r"^[\B\R\X]$",
    r"^[^\R]$",
    r"^[]\q]$",
    r"^[^]\q]$",
    r"^[[:alpha:]\q]$",
    r"^[a[:]\q]$",
    r"^\8$",
    r"^\9$",
    r"^(a)?\8$",
    r"^\81$",
    r"^[\8]$",
    r"^[\d-z]$",
    r"^[\w-é]$",
    r"^[[:digit:]-z]$",
    r"^[\pL-9]$",
    r"^[\p{Lu}-9]$",
    r"^[\d-]$",
    r"^[a-\d]$",
    r"\Qabc",
    r"\Qa\E",
    r"\Q\q\E",
    r"[\Qa-c\E]",
    r"[\Q]\E]",
    r"\Q",
    r"\N{U+61}",
    r"^\N$",
    r"(?x)a # x",
    r"a # x",
    r"(*UCP)a",
    r"(*UTF8)a",
    r"(*LF)a",
    r"a)(b",
    r"a)|(b",
    r"a)",
    r"(?:a",
    r"\",
    r"[[.a.]]",
    r"[\N]",
    r"\U",
    r"[\E]",
    r"[a\E-z]",
    r"^a{,3}$",
    r"^a{1,2}$",
    r"^[{,3}]$",
    r"(?#[)\w",
    r"\x{61}",
    r"^\x41",
    r"(a|b)\1",
    r"(?<=a)b",
    r"^.$",
    r"(((((((((a)))))))))\8",
    r"^[\b]$",
    r"^a$",
];

#[tokio::test(flavor = "multi_thread")]
async fn filters_answer_as_this_version_does() -> Result<()> {
    let mongod = Mongod::start(&MongodOptions::default(), &[]).await?;
    let client = mongod.client().await?;
    let version = server_version(&client).await?;
    let texts = client.database("query").collection::<Document>("texts");
    let all = (0..).zip(TEXTS).map(|(id, text)| doc! {"_id": id, "s": text});
    texts.insert_many(all).await?;
    let (mut refused, mut different) = (0, Vec::new());
    for pattern in PATTERNS {
        for options in ["", "x"] {
            let filter = doc! {"s": {"$regex": pattern, "$options": options}};
            match same(&texts, &filter, version).await {
                Ok(is_refused) => refused += usize::from(is_refused),
                Err(error) => different.push(error.to_string()),
            }
        }
    }
    ensure!(different.is_empty(), "{}", different.join("\n"));
    let asked = 2 * PATTERNS.len();
    ensure!(refused >= 10 && asked - refused >= 30, "{refused} of {asked} are refused");

    let nulls = client.database("query").collection::<Document>("nulls");
    let all = [
        doc! {"x": null},
        doc! {"y": 1},
        doc! {"x": [1]},
        doc! {"x": []},
        doc! {"x": [[{"y": 1}]]},
        doc! {"x": [1, {"y": 2}]},
        doc! {"x": [{"y": 2}, {}]},
        doc! {"x": {"y": 2}},
        doc! {"x": [1, {"y": null}]},
        doc! {"x": 5},
        doc! {"x": Bson::Undefined},
        doc! {"x": [3, Bson::Undefined]},
        doc! {"x": {"y": Bson::Undefined}},
    ];
    nulls.insert_many(all).await?;
    for filter in [
        doc! {"x": null},
        doc! {"x": {"$gte": null}},
        doc! {"x": {"$gt": null}},
        doc! {"x": {"$ne": null}},
        doc! {"x.y": null},
        doc! {"x.y": {"$ne": null}},
        doc! {"x.y": {"$lte": null}},
        doc! {"x.y": {"$all": [null]}},
        doc! {"x.y": {"$exists": false}},
        doc! {"x.y.z": null},
        doc! {"x.0": null},
        doc! {"x.0.y": null},
        doc! {"x": {"$elemMatch": {"y": null}}},
    ] {
        ensure!(!same(&nulls, &filter, version).await?, "{filter} is refused");
    }
    Ok(())
}

/// Checks that the server and we answer a filter alike. Returns whether both refuse it.
async fn same(
    collection: &Collection<Document>,
    filter: &Document,
    version: (i32, i32),
) -> Result<bool> {
    let raw = RawDocumentBuf::try_from(filter)?;
    let theirs = collection.find(filter.clone()).hint(Hint::Keys(doc! {"$natural": 1})).await;
    let theirs: Vec<Document> = match theirs {
        Ok(found) => found.try_collect().await?,
        Err(error) if matches!(*error.kind, ErrorKind::Command(_)) => {
            let ours = Filter::parse(&raw, named(version));
            ensure!(ours.is_err(), "{filter} is refused there: {error}");
            return Ok(true);
        }
        Err(error) => return Err(error.into()),
    };
    let ours = Filter::parse(&raw, named(version));
    let ours = ours.map_err(|error| anyhow::anyhow!("only we refuse {filter}: {error}"))?;
    let held: Vec<Document> = collection.find(doc! {}).await?.try_collect().await?;
    for document in held {
        let is_ours = ours.matches(&RawDocumentBuf::try_from(&document)?);
        let is_theirs = theirs.contains(&document);
        ensure!(is_ours == is_theirs, "{filter} of {document}: ours {is_ours}, theirs {is_theirs}");
    }
    Ok(false)
}
