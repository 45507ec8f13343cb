//! Tests documents that servers hold and that JSON cannot carry, or of which tools have been seen
//! to lose parts. Every answer shows them, says what it cannot show, and goes on with everything
//! else; the bytes are those of the server.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bson::{Bson, Document, RawBson, RawDocument, RawDocumentBuf, doc, rawdoc};
use futures_util::TryStreamExt;
use hindsight_tests::api::{Answer, encoded};
use hindsight_tests::hindsight::{run, run_json};
use hindsight_tests::replica_set::last_timestamp;
use hindsight_tests::{Api, HindsightProcess, ReplicaSet, RunOutput, SetOptions};
use mongodb::Client;
use serde_json::Value;

use crate::capture_checks::spelled;

mod documents;

/// The character that is shown for bytes that are not UTF-8.
const REPLACED: char = '\u{fffd}';

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_shows_them_and_goes_on() -> Result<()> {
    let mut set = ReplicaSet::start(SetOptions::members(1)).await?;
    set.wait_for_primary(Duration::from_secs(60)).await?;
    let client = set.client().await?;
    insert(&client, "base", documents::all()).await?;
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let mut up = HindsightProcess::up(&set.uri(), &data, &[]).await?;
    run_json(&data, &["wait"]).await?.expect_success()?;
    let before = spelled(last_timestamp(&client).await?);
    insert(&client, "log", documents::all()).await?;
    insert(&client, "deep", vec![documents::deep()]).await?;
    run_json(&data, &["wait"]).await?.expect_success()?;

    let api = up.api().await?;
    for collection in ["base", "log"] {
        let held = held(&client, collection).await?;
        ensure!(held.len() == documents::all().len(), "{} documents", held.len());
        bytes_are_the_servers(&api, collection, &held).await?;
        scans(&data, &api, collection, &held).await?;
        single_documents(&data, &api, collection).await?;
        ids(&data, &api, collection).await?;
    }
    deep(&data, &before).await?;
    differences(&data, &api, &before).await?;
    searches(&data, &api).await?;
    ensure!(up.stop().await?.success(), "{}", up.stderr());
    Ok(())
}

async fn insert(client: &Client, collection: &str, documents: Vec<RawDocumentBuf>) -> Result<()> {
    let mut all = bson::RawArrayBuf::new();
    documents.into_iter().for_each(|document| all.push(RawBson::Document(document)));
    let command = rawdoc! {"insert": collection, "documents": all};
    let answer = client.database("odd").run_raw_command(command).await?;
    ensure!(answer.get("writeErrors").is_none(), "{answer}");
    Ok(())
}

/// Returns the documents in the order of `_id`.
async fn held(client: &Client, collection: &str) -> Result<Vec<RawDocumentBuf>> {
    let collection = client.database("odd").collection::<RawDocumentBuf>(collection);
    Ok(collection.find(doc! {}).sort(doc! {"_id": 1}).await?.try_collect().await?)
}

async fn bytes_are_the_servers(api: &Api, name: &str, held: &[RawDocumentBuf]) -> Result<()> {
    let path = format!("/v1/collections/odd.{name}/documents");
    let answer = api.get_as(&path, "application/bson").await?.expect(200)?;
    let wanted: Vec<u8> = held.iter().flat_map(|it| it.as_bytes()).copied().collect();
    ensure!(answer.body == wanted, "the bytes of {name} are not those of the server");
    Ok(())
}

/// Checks lines of canonical text, which another program reads back: the result must be the bytes
/// that the server holds.
async fn scans(data: &Path, api: &Api, name: &str, held: &[RawDocumentBuf]) -> Result<()> {
    let ns = format!("odd.{name}");
    let scan = run_json(data, &["scan", &ns]).await?.expect_success()?;
    let lines: Vec<&str> = scan.stdout.lines().collect();
    ensure!(lines.len() == held.len(), "{} of {} documents", lines.len(), held.len());
    let (mut read_back, mut marked) = (0, 0);
    for (line, held) in lines.iter().zip(held) {
        ensure!(line.contains("\"$inexact\"") == line.contains(REPLACED), "{line}");
        if line.contains("\"$inexact\"") {
            marked += 1;
        } else if can_be_read_back(held) {
            let json: Value = serde_json::from_str(line)?;
            let Bson::Document(read) = Bson::try_from(json)? else { anyhow::bail!("{line}") };
            ensure!(read.to_vec()? == held.as_bytes(), "{line} reads as other bytes");
            read_back += 1;
        }
    }
    ensure!((read_back, marked) == (9, 3), "{read_back} were read back, {marked} were marked");
    says_which(&scan, &ns)?;

    let path = format!("/v1/collections/{ns}/documents");
    let lines_there = api.get_as(&path, "application/x-ndjson").await?.expect(200)?;
    ensure!(String::from_utf8(lines_there.body.to_vec())? == scan.stdout, "other lines over HTTP");
    let object = api.get(&path).await?.expect(200)?.json()?;
    let inexact = object["inexact"].as_array().context("a list")?;
    let places: Vec<&str> = inexact.iter().filter_map(Value::as_str).collect();
    let string = places.iter().find(|it| it.contains(".s: bytes that are not UTF-8"));
    let place = string.and_then(|it| it.strip_prefix("documents."));
    let number = place.and_then(|it| it.split('.').next()).context("a number")?;
    let document = &object["documents"][number.parse::<usize>()?];
    ensure!(document["s"] == format!("x{REPLACED}"), "{document} of {places:?}");
    Ok(())
}

/// Returns whether JSON and the reader can carry the document: they cannot carry a repeated name,
/// or the sign of a NaN.
fn can_be_read_back(document: &RawDocument) -> bool {
    let name = document.get_str("name").unwrap_or_default();
    !["twice", "nan"].contains(&name)
}

/// Checks that each document that is not shown exactly is named on stderr.
fn says_which(output: &RunOutput, ns: &str) -> Result<()> {
    for id in ["4", "5"] {
        let warning = format!("warning: {ns} {{\"$numberInt\":\"{id}\"}} is not shown exactly: ");
        ensure!(output.stderr.contains(&warning), "{warning:?} is not in {}", output.stderr);
    }
    Ok(())
}

async fn single_documents(data: &Path, api: &Api, name: &str) -> Result<()> {
    let ns = format!("odd.{name}");
    let data_name = data.display().to_string();
    let get = async |id: &str| -> Result<String> {
        let json = run_json(data, &["get", &ns, id]).await?.expect_success()?.stdout;
        let history = run_json(data, &["history", &ns, id]).await?.expect_success()?.stdout;
        let line = json.split(",\"$inexact\"").next().unwrap_or_default();
        let same = line.trim_end().trim_end_matches('}');
        ensure!(history.contains(same), "{history} does not show {same}");
        Ok(json)
    };
    let twice = get("1").await?;
    let both = r#""a":{"$numberInt":"1"},"b":"x","a":{"$numberInt":"2"}"#;
    ensure!(twice.contains(both), "{twice}");
    let doubles = get("3").await?;
    ensure!(doubles.matches("$numberDouble").count() == 5, "a bare number: {doubles}");
    let odd = get("4").await?;
    ensure!(odd.contains("\"$inexact\":[\"s: bytes") && odd.contains(REPLACED), "{odd}");

    let text = run(&["get", &ns, "2", "--data", &data_name]).await?.expect_success()?.stdout;
    for milliseconds in ["253402300800000", "9223372036854775807", "-1"] {
        ensure!(text.contains(&format!("\"$numberLong\": \"{milliseconds}\"")), "{text}");
    }
    ensure!(text.contains("\"9999-12-31T23:59:59.999Z\""), "{text}");
    let relaxed = format!("/v1/collections/{ns}/documents/2?notation=relaxed");
    let relaxed = api.get(&relaxed).await?.expect(200)?.json()?;
    let never = &relaxed["document"]["never"]["$date"]["$numberLong"];
    ensure!(never == "253402300800000" && relaxed["inexact"].is_null(), "{relaxed}");
    let odd = run(&["get", &ns, "4", "--data", &data_name]).await?.expect_success()?;
    ensure!(odd.stderr.contains("is not shown exactly: s: bytes"), "{}", odd.stderr);
    let odd = api.get(&format!("/v1/collections/{ns}/documents/4/versions")).await?.expect(200)?;
    let inexact = &odd.json()?["versions"][0]["inexact"];
    ensure!(inexact[0].as_str().is_some_and(|it| it.starts_with("document.s: ")), "{inexact}");
    Ok(())
}

async fn deep(data: &Path, before: &str) -> Result<()> {
    let (opened, closed) = ("\"n\":{".repeat(documents::DEEP), "}".repeat(documents::DEEP));
    let text = format!("{opened}{closed}");
    let pattern = text.replace('{', "\\{").replace('}', "\\}");
    for arguments in [
        &["get", "odd.deep", "6"][..],
        &["history", "odd.deep", "6"],
        &["scan", "odd.deep"],
        &["diff", "odd.deep", "--from", before],
        &["find", "--ns", "odd.deep", "--op", "i", "--grep", &pattern],
    ] {
        let found = run_json(data, arguments).await?.expect_success()?;
        ensure!(found.stdout.contains(&text), "{arguments:?}: {}", found.stdout);
    }
    Ok(())
}

/// Checks ids of every kind, as an argument and in a path.
async fn ids(data: &Path, api: &Api, name: &str) -> Result<()> {
    let ns = format!("odd.{name}");
    for (id, text) in documents::ids() {
        let found = run_json(data, &["get", &ns, text]).await?.expect_success()?;
        ensure!(found.stdout.contains(&format!("\"name\":\"{id}\"")), "{text}: {}", found.stdout);
        let path = format!("/v1/collections/{ns}/documents/{}", encoded(text));
        let found = api.get(&path).await?.expect(200)?.json()?;
        ensure!(found["document"]["name"] == id, "{text}: {found}");
        let found = run_json(data, &["find", "--ns", "odd.log", "--id", text]).await?;
        ensure!(found.expect_success()?.stdout.contains(id), "{text} is not in the log");
    }
    Ok(())
}

/// Checks that a difference of everything does not end at such a document.
async fn differences(data: &Path, api: &Api, before: &str) -> Result<()> {
    let all = documents::all().len();
    let diff = run_json(data, &["diff", "--from", before]).await?.expect_success()?;
    let added = diff.stdout.lines().filter(|line| line.contains("\"ns\":\"odd.log\"")).count();
    ensure!(added == all, "{added} of {all} are told: {}", diff.stdout);
    ensure!(diff.stdout.contains(r#""a":{"$numberInt":"1"},"b":"x","a":{"$numberInt":"2"}"#));
    says_which(&diff, "odd.log")?;
    let data = data.display().to_string();
    let text = run(&["diff", "--from", before, "--data", &data]).await?.expect_success()?;
    let told = text.stdout.lines().filter(|line| line.starts_with("+ odd.log ")).count();
    ensure!(told == all, "{}", text.stdout);
    let path = format!("/v1/diff?ns=odd.log&from={before}");
    let changes = api.get(&path).await?.expect(200)?.json()?;
    let changes = changes["changes"].as_array().context("changes")?;
    let marked = changes.iter().filter(|change| change["inexact"].is_array()).count();
    ensure!(marked == 3, "{marked} changes are marked");
    Ok(())
}

async fn searches(data: &Path, api: &Api) -> Result<()> {
    for (pattern, number) in [
        (r#""a":1,"b":"x","a":2"#, 1),
        (r#""\$numberLong":"253402300800000""#, 2),
        ("\"s\":\"x\u{fffd}\"", 1),
        ("9999-12-31T23:59:59\\.9999", 0),
    ] {
        let find = ["find", "--ns", "odd.log", "--grep", pattern, "--limit", "0"];
        let found = run_json(data, &find).await?.expect_success()?.stdout;
        ensure!(found.lines().count() == number, "{pattern}: {found}");
    }
    let find = run_json(data, &["find", "--ns", "odd.log", "--limit", "0"]).await?;
    let find = find.expect_success()?;
    ensure!(find.stdout.lines().count() > documents::all().len(), "{}", find.stdout);
    ensure!(find.stderr.contains("warning: the entry of "), "{}", find.stderr);
    let name = data.display().to_string();
    run(&["find", "--ns", "odd.log", "--limit", "0", "--data", &name]).await?.expect_success()?;
    let entries: Answer = api.get("/v1/entries?ns=odd.log&limit=100").await?.expect(200)?;
    let entries = entries.json()?;
    let inexact = entries["inexact"].as_array().context("a list")?;
    ensure!(inexact.iter().any(|it| it.as_str().is_some_and(|it| it.contains(".o.s: "))));
    // The audit file holds requests as they were made.
    let audit = std::fs::read_to_string(data.join("audit.jsonl"))?;
    ensure!(audit.lines().all(|line| serde_json::from_str::<Document>(line).is_ok()), "{audit}");
    Ok(())
}
