//! Runs readers of logs that share no code with ours: `tests/independent_reader`, in Python.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::tools;

/// Reads a whole topic and compares its entries with a server's oplog, byte for byte. Returns what
/// the reader says about the topic; a difference is an error.
pub async fn compare(brokers: &str, topic: &str, mongodb: &str) -> Result<Value> {
    run("read_topic.py", &[brokers, topic, "--compare", mongodb]).await
}

/// Reads a whole log directory, every entry included. Returns what the reader says about it; damage
/// is an error.
pub async fn read_directory(directory: &Path) -> Result<Value> {
    let directory = directory.to_str().context("a path in UTF-8")?;
    run("read_directory.py", &[directory]).await
}

async fn run(script: &str, arguments: &[&str]) -> Result<Value> {
    let script = tools::checkout()?.join("tests/independent_reader").join(script);
    let mut command = Command::new(tools::python()?);
    command.arg(script).args(arguments);
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

#[cfg(test)]
mod tests {
    use hindsight_log::conformance::SegmentMaker;
    use hindsight_log::{DirectoryLog, DirectoryOptions, PackLimits, SegmentLog};
    use hindsight_runtime::CancellationToken;
    use hindsight_segment::Sequence;

    use super::*;

    #[tokio::test]
    async fn a_packed_directory_is_what_the_format_says() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path();
        let log = DirectoryLog::open_writer(path, DirectoryOptions::default()).await?;
        let mut maker = SegmentMaker::default();
        for _ in 0..30 {
            log.append(maker.make(20)).await?;
        }
        let limits = PackLimits { segments: 8, fewest: 3, newest: 2, ..PackLimits::default() };
        while log.pack(limits, CancellationToken::new()).await?.is_some() {}
        let said = read_directory(path).await?;
        assert_eq!(said["segments"], 30);
        assert_eq!(said["entries"], 600);
        assert_eq!(said["packs"], 4, "{said}");
        log.remove_before(Sequence(12)).await?;
        let said = read_directory(path).await?;
        assert_eq!(said["begins"], 12);
        assert_eq!(said["segments"], 19);
        assert_eq!(said["packs"], 3, "{said}");
        let end = log.end().await?.context("segments")?;
        let digest: String = end.digest.0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(said["digest"], digest.as_str());
        Ok(())
    }
}
