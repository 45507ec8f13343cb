//! Where the real parts are.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};

/// Names the server version that tests run against when they ask for no particular one.
pub const VERSION_VARIABLE: &str = "HINDSIGHT_TEST_MONGODB";

const MONGOD_SCRIPT: &str = "deploy/dev/mongod";
const KAFKA_SCRIPT: &str = "deploy/dev/kafka";
const PYTHON_SCRIPT: &str = "deploy/dev/python";

/// The mongod of a version, fetched by `deploy/dev/mongod` when it is not there yet. `None` is the
/// version named by `HINDSIGHT_TEST_MONGODB`, else the script's default.
pub fn mongod(version: Option<&str>) -> Result<PathBuf> {
    static FOUND: Mutex<Option<HashMap<Option<String>, PathBuf>>> = Mutex::new(None);
    let from_environment = std::env::var(VERSION_VARIABLE).ok().filter(|v| !v.is_empty());
    let version = version.map(str::to_owned).or(from_environment);
    // Held while the script runs, so that parallel tests fetch a version once.
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let found = found.get_or_insert_default();
    if let Some(path) = found.get(&version) {
        return Ok(path.clone());
    }
    let path = run_script(MONGOD_SCRIPT, version.as_deref())?;
    found.insert(version, path.clone());
    Ok(path)
}

/// The directory of an Apache Kafka, fetched by `deploy/dev/kafka` when it is not there yet.
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

/// A python with what the independent reader of a topic needs, made by `deploy/dev/python` when it
/// is not there yet.
pub fn python() -> Result<PathBuf> {
    run_script(PYTHON_SCRIPT, None)
}

/// The last line of what a script prints, which is a path.
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

/// The built `hindsight`: `$HINDSIGHT_BIN`, else beside this test's executable.
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

/// The root of the checkout that this runs in. Not the one it was built in: a build directory
/// serves several, and one of them may be gone.
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

/// `…/debug` of `…/debug/deps/main-1234` (a test) or of `…/debug/demo` (a binary).
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
