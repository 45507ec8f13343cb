//! Finds the real servers, tools and binaries that tests run.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};

/// The variable that names the server version for tests that ask for no particular version.
pub const VERSION_VARIABLE: &str = "HINDSIGHT_TEST_MONGODB";

const MONGOD_SCRIPT: &str = "deploy/dev/mongod";
const KAFKA_SCRIPT: &str = "deploy/dev/kafka";
const PYTHON_SCRIPT: &str = "deploy/dev/python";

/// Returns the mongod of a version, which `deploy/dev/mongod` fetches if it is not there yet.
/// `None` is the version that `HINDSIGHT_TEST_MONGODB` names, or else the script's default.
pub fn mongod(version: Option<&str>) -> Result<PathBuf> {
    static FOUND: Mutex<Option<HashMap<Option<String>, PathBuf>>> = Mutex::new(None);
    let from_environment = std::env::var(VERSION_VARIABLE).ok().filter(|v| !v.is_empty());
    let version = version.map(str::to_owned).or(from_environment);
    // Locked while the script runs, so that parallel tests fetch a version once.
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let found = found.get_or_insert_default();
    if let Some(path) = found.get(&version) {
        return Ok(path.clone());
    }
    let path = run_script(MONGOD_SCRIPT, version.as_deref())?;
    found.insert(version, path.clone());
    Ok(path)
}

/// Returns the directory of an Apache Kafka, which `deploy/dev/kafka` fetches if it is not there
/// yet.
pub fn kafka() -> Result<PathBuf> {
    static FOUND: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = &*found {
        return Ok(path.clone());
    }
    let path = run_script(KAFKA_SCRIPT, None)?;
    *found = Some(path.clone());
    Ok(path)
}

/// Returns a Python with what the independent reader of a topic needs, which `deploy/dev/python`
/// makes if it is not there yet.
pub fn python() -> Result<PathBuf> {
    run_script(PYTHON_SCRIPT, None)
}

/// Runs a script and returns the last line of its output, which is a path.
fn run_script(name: &str, argument: Option<&str>) -> Result<PathBuf> {
    let script = checkout()?.join(name);
    let mut command = Command::new(&script);
    command.args(argument);
    if std::env::var_os("CARGO_TARGET_DIR").is_none() {
        command.env("CARGO_TARGET_DIR", target_directory()?);
    }
    let output = command.output().with_context(|| format!("cannot run {}", script.display()))?;
    ensure!(
        output.status.success(),
        "{} failed:\n{}",
        script.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let stdout = String::from_utf8(output.stdout)?;
    let path = stdout.lines().last().with_context(|| format!("{name} printed no path"))?;
    Ok(PathBuf::from(path))
}

/// Returns the built `hindsight`: `$HINDSIGHT_BIN`, or else the binary beside this test's
/// executable.
pub fn hindsight() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("HINDSIGHT_BIN") {
        return Ok(path.into());
    }
    let path = profile_directory()?.join("hindsight");
    if !path.is_file() {
        bail!(
            "{} is not there: `cargo build -p hindsight` makes it, or name another one in HINDSIGHT_BIN",
            path.display()
        );
    }
    Ok(path)
}

/// Returns the root of the checkout that the test runs in. This may not be the checkout that it was
/// built in: a build directory serves several checkouts, and one of them may be gone.
pub fn checkout() -> Result<PathBuf> {
    let here = match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(package) => PathBuf::from(package),
        None => std::env::current_dir()?,
    };
    let root = here.ancestors().find(|it| it.join(MONGOD_SCRIPT).is_file());
    let root = root.with_context(|| {
        format!("{} is in no checkout: run this from within one", here.display())
    })?;
    Ok(root.to_owned())
}

/// Returns `…/debug` for `…/debug/deps/main-1234` (a test) or for `…/debug/demo` (a binary).
fn profile_directory() -> Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let directory = executable.parent().context("an executable lies in a directory")?;
    let is_test = directory.file_name().is_some_and(|name| name == "deps");
    let profile = if is_test { directory.parent() } else { Some(directory) };
    Ok(profile.context("cargo's target directory")?.to_owned())
}

fn target_directory() -> Result<PathBuf> {
    let profile = profile_directory()?;
    Ok(profile.parent().context("cargo's target directory")?.to_owned())
}
