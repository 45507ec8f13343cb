//! Runs a reader of topics that shares no code with ours: `tests/independent_reader`, in Python.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::tools;

/// Reads a whole topic and compares its entries with a server's oplog, byte for byte. Returns what
/// the reader says about the topic; a difference is an error.
pub async fn compare(brokers: &str, topic: &str, mongodb: &str) -> Result<Value> {
    let script = tools::checkout()?.join("tests/independent_reader/read_topic.py");
    let mut command = Command::new(tools::python()?);
    command.arg(script).args([brokers, topic, "--compare", mongodb]);
    let output = command.output().await.context("cannot run python")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "the independent reader ended with {}: {said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_str(&said).with_context(|| format!("the independent reader said {said:?}"))
}
