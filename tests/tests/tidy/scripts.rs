//! Where the scripts of developers put what they fetch.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::checkout;

/// The scripts that fetch tools.
const FETCH: [&str; 4] =
    ["deploy/dev/mongod", "deploy/dev/kafka", "deploy/dev/python", "benches/peers/run"];

/// Returns cargo's target directory as `make` sets it when nobody else does, below `home`.
fn default_of_make(home: &str) -> Result<String> {
    let makefile = fs::read_to_string(checkout().join("Makefile"))?;
    let mut lines = makefile.lines();
    let default = lines.find_map(|line| line.strip_prefix("export CARGO_TARGET_DIR ?= "));
    Ok(default.context("the Makefile sets a target directory")?.replace("$(HOME)", home))
}

#[test]
fn without_a_target_directory_scripts_take_the_one_of_make() -> Result<()> {
    let default = format!("CARGO_TARGET_DIR:-{}}}", default_of_make("$HOME")?);
    for script in FETCH {
        let text = fs::read_to_string(checkout().join(script))?;
        ensure!(text.contains(&default), "{script} puts tools elsewhere than below {default}");
    }
    Ok(())
}

/// Makes a program that succeeds whatever it is asked.
fn write_program(path: &Path) -> Result<()> {
    fs::create_dir_all(path.parent().context("a directory")?)?;
    fs::write(path, "#!/bin/sh\nexit 0\n")?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

#[test]
fn a_server_that_was_fetched_is_found_where_make_puts_it() -> Result<()> {
    let home = tempfile::tempdir()?;
    let below = home.path().to_str().context("a UTF-8 path")?;
    let server = Path::new(&default_of_make(below)?).join("tools/mongod-6.0.5/mongod");
    write_program(&server)?;
    let script = checkout().join("deploy/dev/mongod");
    let mut command = Command::new("bash");
    let clean = command.arg(&script).arg("6.0.5").env_clear().env("PATH", "/usr/bin:/bin");
    // Nothing is fetched if the server is not found.
    let output = clean.env("HOME", home.path()).env("PIP_NO_INDEX", "1").output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{text}");
    ensure!(String::from_utf8(output.stdout)?.trim() == server.to_string_lossy(), "{text}");
    ensure!(!checkout().join("target/tools").exists(), "something was made in the checkout");
    Ok(())
}
