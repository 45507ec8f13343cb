//! Tests TLS, tokens and roles of a real process: what each caller may do over gRPC, over HTTP and
//! by commands, and what the audit file records about it.

mod allowed;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bson::{Document, doc};
use hindsight_tests::Api;
use hindsight_tests::hindsight::{run, run_json};
use hindsight_tests::{ReplicaSet, SetOptions};

use super::served::Served;

/// A password in the connection string of a restore's target.
const PASSWORD: &str = "hunter2secret";

/// A token for each role, and the authority against which the server's certificate is checked.
pub(super) struct Keys {
    pub viewer: String,
    pub operator: String,
    pub restorer: String,
    pub ca: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_do_what_it_may_and_it_is_written_down() -> Result<()> {
    let files = tempfile::tempdir()?;
    let keys = keys(files.path()).await?;
    let path = |name: &str| files.path().join(name).display().to_string();
    let (tokens, certificate, key) = (path("tokens.toml"), path("cert.pem"), path("key.pem"));
    let args = ["--tokens", &tokens, "--tls-cert", &certificate, "--tls-key", &key];
    let set = ReplicaSet::start(SetOptions::members(1)).await?;
    // `Served::on` begins with a command on the data directory, which presents no token.
    let served = Served::on(set, &args).await?;
    let shop = served.client.database("shop").collection::<Document>("orders");
    shop.insert_many((0..5).map(|number| doc! {"_id": number})).await?;
    served.wait().await?;

    let url = served.up.url()?;
    ensure!(url.starts_with("https://127.0.0.1:"), "{url}");
    allowed::by_role(&url, &keys).await?;
    allowed::strangers(&url, &keys).await?;
    commands(&served, files.path(), &keys).await?;
    written_down(&served, &keys)?;
    served.ends_well().await
}

async fn keys(directory: &Path) -> Result<Keys> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names)?;
    let ca = made.cert.pem();
    std::fs::write(directory.join("cert.pem"), &ca)?;
    std::fs::write(directory.join("key.pem"), made.signing_key.serialize_pem())?;
    let file = directory.join("tokens.toml").display().to_string();
    let mut tokens = Vec::new();
    for role in ["viewer", "operator", "restorer"] {
        let name = format!("the-{role}");
        let args = ["token", "create", "--name", &name, "--role", role, "--file", &file];
        let token = run(&args).await?.expect_success()?.stdout.trim().to_owned();
        ensure!(token.starts_with("hst_"), "{token}");
        std::fs::write(directory.join(format!("{role}.token")), &token)?;
        tokens.push(token);
    }
    let [viewer, operator, restorer] = <[String; 3]>::try_from(tokens).ok().context("three")?;
    Ok(Keys { viewer, operator, restorer, ca })
}

/// Tests the command line with a token and without a token.
async fn commands(served: &Served, files: &Path, keys: &Keys) -> Result<()> {
    let url = served.up.url()?;
    let path = |name: &str| files.join(name).display().to_string();
    let (ca, viewer) = (path("cert.pem"), path("viewer.token"));
    let get = ["get", "shop.orders", "1", "-o", "json", "--server", &url];
    let with = |more: &[&str]| {
        let args: Vec<String> = get.iter().chain(more).map(|arg| (*arg).to_owned()).collect();
        async move { run(&args.iter().map(String::as_str).collect::<Vec<_>>()).await }
    };
    let found = with(&["--ca", &ca, "--token-file", &viewer]).await?.expect_success()?;
    ensure!(found.stdout.contains("\"_id\""), "{}", found.stdout);
    let refused = with(&["--ca", &ca]).await?;
    ensure!(refused.code != Some(0) && refused.stderr.contains("token"), "{refused:?}");
    let refused = with(&["--token-file", &viewer]).await?.expect_code(6)?;
    ensure!(!refused.stderr.contains(&keys.viewer), "{}", refused.stderr);
    let verify = ["verify", "--server", &url, "--ca", &ca, "--token-file", &viewer];
    let refused = run(&verify).await?.expect_code(1)?;
    ensure!(refused.stderr.contains("operator"), "{}", refused.stderr);

    let local = run_json(&served.data, &["get", "shop.orders", "2"]).await?.expect_success()?;
    ensure!(local.stdout.contains("\"2\""), "{}", local.stdout);
    run_json(&served.data, &["verify"]).await?.expect_success()?;
    let token = std::fs::read_to_string(served.data.join("api.token"))?;
    // The token of the data directory is not accepted at the address that others reach.
    let stranger = Api::connect_with_tls(&url, &keys.ca, Some(token.trim())).await?;
    stranger.get("/v1/status").await?.expect(401)?;
    Ok(())
}

/// Checks that the audit file holds who did what, and no secrets.
fn written_down(served: &Served, keys: &Keys) -> Result<()> {
    let lines = served.audit()?;
    for (caller, call, code) in [
        ("the-viewer", "GetDocument", "OK"),
        ("the-viewer", "ScanCollection", "OK"),
        ("the-viewer", "SearchEntries", "OK"),
        ("the-viewer", "GetDocument", "NOT_FOUND"),
        ("the-viewer", "Verify", "PERMISSION_DENIED"),
        ("the-viewer", "CreateRestore", "PERMISSION_DENIED"),
        ("the-viewer", "DeleteOperation", "PERMISSION_DENIED"),
        ("the-operator", "Verify", "OK"),
        ("the-operator", "PlanRestore", "UNAVAILABLE"),
        ("the-operator", "CreateRestore", "PERMISSION_DENIED"),
        ("the-operator", "CancelOperation", "NOT_FOUND"),
        ("the-restorer", "CreateRestore", "UNAVAILABLE"),
        ("local", "GetDocument", "OK"),
        ("local", "Verify", "OK"),
    ] {
        let is = |line: &&serde_json::Value| {
            line["caller"] == caller && line["call"] == call && line["code"] == code
        };
        let line = lines.iter().find(is);
        let line = line.with_context(|| format!("no {call} of {caller} that ended {code}"))?;
        let begins = |it: &&serde_json::Value| {
            it["caller"] == caller && it["call"] == call && it["phase"] == "begins"
        };
        let began = lines.iter().any(|line| begins(&line));
        ensure!(began != (code == "PERMISSION_DENIED"), "{line}: began {began}");
        ensure!(line["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{line}");
    }
    let restore = lines.iter().find(|line| line["call"] == "CreateRestore");
    let about = &restore.context("a restore")?["about"];
    ensure!(about["to"] == "127.0.0.1:1", "{about}");
    let api_token = std::fs::read_to_string(served.data.join("api.token"))?;
    let audit = std::fs::read_to_string(served.data.join("audit.jsonl"))?;
    for (name, text) in [("the audit file", audit), ("the log", served.up.stderr())] {
        for secret in [&keys.viewer, &keys.operator, &keys.restorer, api_token.trim(), PASSWORD] {
            ensure!(!text.contains(secret), "{name} holds a secret: {secret:.7}…");
        }
    }
    Ok(())
}
