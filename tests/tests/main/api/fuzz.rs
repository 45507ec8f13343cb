//! Schemathesis asks everything that the description of the HTTP API allows, and much that it does
//! not allow. No answer may stand for a defect (5xx), and every answer must be as described.
//!
//! `HINDSIGHT_TEST_SEED` sets a seed other than the usual one, and `HINDSIGHT_TEST_EXAMPLES` sets
//! the number of requests of each kind to each path (default 100).

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::{Document, doc};
use hindsight_tests::tools;
use serde_json::{Value, json};

use super::served::Served;
use crate::settings::setting;

const SEED: u64 = 20_261_121;
const EXAMPLES: u64 = 100;
/// The paths whose answers have other forms than JSON.
const STREAMS: &str = r"/(documents|documents/\{id\}|diff|entries)$";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,unsupported_method,allow_header_conformance,\
    missing_required_header,negative_data_rejection";
const PATIENCE: Duration = Duration::from_secs(300);
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_described() -> Result<()> {
    let seed = setting("HINDSIGHT_TEST_SEED", SEED)?;
    let examples = setting("HINDSIGHT_TEST_EXAMPLES", EXAMPLES)?;
    let served = Served::start(&[]).await?;
    let orders = served.client.database("shop").collection::<Document>("orders");
    orders.insert_many((0..20).map(|number| doc! {"_id": number, "n": number})).await?;
    orders.update_many(doc! {}, doc! {"$inc": {"n": 1}}).await?;
    orders.delete_one(doc! {"_id": 7}).await?;
    served.wait().await?;

    let description = served.api().await?.get("/openapi.json").await?.expect(200)?.json()?;
    let file = served.directory.path().join("openapi.json");
    std::fs::write(&file, described(description)?.to_string())?;
    let run = Run { served: &served, description: &file, seed };
    run.fuzz(&["--max-examples", &examples.to_string()]).await?;
    let few = (examples / 4).max(1).to_string();
    for kind in ["application/x-ndjson", "application/bson"] {
        let accept = format!("Accept: {kind}");
        run.fuzz(&["--max-examples", &few, "--include-path-regex", STREAMS, "-H", &accept]).await?;
    }
    let (_, metrics) = served.up.page("/metrics").await?;
    let in_flight = metrics.lines().find(|it| it.starts_with("hindsight_api_calls_in_flight "));
    ensure!(in_flight.is_some_and(|line| line.ends_with(" 0")), "{in_flight:?}");
    served.ends_well().await
}

/// Changes the description only so that meaningful values are among those that are tried.
fn described(mut description: Value) -> Result<Value> {
    let paths = description["paths"].as_object_mut().context("paths")?;
    for (_, item) in paths {
        for (_, operation) in item.as_object_mut().context("an item")? {
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            let Some(parameters) = parameters else { continue };
            // A stream that follows the log does not end.
            parameters.retain(|parameter| parameter["name"] != "follow");
            for parameter in parameters {
                let known = match parameter["name"].as_str().context("a name")? {
                    "ns" => json!(["shop.orders", "shop.*"]),
                    "id" => json!(["1", "7"]),
                    "at" | "from" | "to" | "time" => json!(["latest"]),
                    "filter" => json!(["{\"n\":{\"$gt\":3}}"]),
                    "projection" => json!(["{\"n\":1}"]),
                    "op" => json!(["i", "u,d"]),
                    _ => continue,
                };
                let schema = parameter["schema"].take();
                parameter["schema"] = json!({"anyOf": [schema, {"enum": known}]});
            }
        }
    }
    Ok(description)
}

struct Run<'a> {
    served: &'a Served,
    description: &'a Path,
    seed: u64,
}

impl Run<'_> {
    async fn fuzz(&self, more: &[&str]) -> Result<()> {
        let python = tokio::task::spawn_blocking(tools::python).await??;
        let begun = Instant::now();
        let mut command = tokio::process::Command::new(python);
        command
            .args(["-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"])
            .arg(self.description)
            .args(["--url", &self.served.up.url()?, "--seed", &self.seed.to_string()])
            .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing"])
            .args(["--generation-database", "none", "--request-timeout", "30"])
            .args(["--no-color", "--output-truncate", "false", "--warnings", "off"])
            .args(["--suppress-health-check", "all", "--continue-on-failure"])
            .args(more)
            .current_dir(self.served.directory.path())
            .kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await;
        let output = output.context("schemathesis does not end")??;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "seed {}, {more:?}:\n{said}{}",
            self.seed,
            String::from_utf8_lossy(&output.stderr)
        );
        let cases = said.lines().find(|line| line.contains("generated"));
        let cases = cases.with_context(|| format!("it does not say what it did: {said}"))?;
        println!("{more:?}: {} in {:.0?}", cases.trim(), begun.elapsed());
        Ok(())
    }
}
