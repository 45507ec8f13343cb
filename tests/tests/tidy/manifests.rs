//! Rules about dependencies. `deny.toml` says who may link what; `cargo deny` reads it too, where
//! it is installed.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use toml::{Table, Value};

use super::{checkout, texts};

/// Generated code alone names these, and it is not in the checkout.
const OF_GENERATED_CODE: &[(&str, &str)] = &[
    ("hindsight-proto", "prost"),
    ("hindsight-proto", "prost-types"),
    ("hindsight-proto", "tonic-prost"),
];
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// A member of the workspace.
struct Package {
    /// Its folder, relative to the checkout.
    folder: String,
    name: String,
    /// For the code and for the tests.
    dependencies: Vec<String>,
}

fn packages() -> Result<Vec<Package>> {
    let mut packages = Vec::new();
    for (path, text) in texts(&["Cargo.toml"])? {
        let manifest: Table = text.parse().with_context(|| path.clone())?;
        let Some(package) = manifest.get("package") else { continue };
        let name =
            package.get("name").and_then(Value::as_str).context("a package without a name")?;
        let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
        let named = tables.iter().filter_map(|table| manifest.get(*table)?.as_table());
        packages.push(Package {
            folder: path.trim_end_matches("Cargo.toml").to_owned(),
            name: name.to_owned(),
            dependencies: named.flat_map(Table::keys).cloned().collect(),
        });
    }
    ensure!(packages.len() > 10, "only {} packages", packages.len());
    Ok(packages)
}

/// The crates that `deny.toml` lets only some packages link, with these packages.
fn restricted() -> Result<BTreeMap<String, Vec<String>>> {
    let rules: Table = fs::read_to_string(checkout().join("deny.toml"))?.parse()?;
    let denied = rules.get("bans").and_then(|bans| bans.get("deny")?.as_array());
    let mut restricted = BTreeMap::new();
    for rule in denied.context("deny.toml has no bans.deny")? {
        let krate = rule.get("crate").and_then(Value::as_str).context("a rule without a crate")?;
        let wrappers = rule.get("wrappers").and_then(Value::as_array).into_iter().flatten();
        let wrappers = wrappers.filter_map(Value::as_str).map(str::to_owned).collect();
        restricted.insert(krate.to_owned(), wrappers);
    }
    Ok(restricted)
}

#[test]
fn crates_link_what_deny_toml_allows() -> Result<()> {
    let restricted = restricted()?;
    ensure!(restricted.contains_key("mongodb"), "deny.toml restricts only {restricted:?}");
    let mut wrong = Vec::new();
    for package in packages()? {
        for dependency in &package.dependencies {
            let allowed = restricted.get(dependency);
            if allowed.is_some_and(|allowed| !allowed.contains(&package.name)) {
                wrong.push(format!("{} links {dependency}", package.name));
            }
        }
    }
    ensure!(wrong.is_empty(), "deny.toml does not allow this:\n{}", wrong.join("\n"));
    Ok(())
}

fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

#[test]
fn every_dependency_is_used() -> Result<()> {
    let sources = texts(&[".rs"])?;
    let mut unused = Vec::new();
    for package in packages()? {
        let own: Vec<_> =
            sources.iter().filter(|(name, _)| name.starts_with(&package.folder)).collect();
        for dependency in &package.dependencies {
            if OF_GENERATED_CODE.contains(&(package.name.as_str(), dependency.as_str())) {
                continue;
            }
            let ident = dependency.replace('-', "_");
            let is_named = own.iter().any(|(_, text)| identifiers(text).any(|it| it == ident));
            if !is_named {
                unused.push(format!("{} names {dependency} nowhere", package.name));
            }
        }
    }
    ensure!(unused.is_empty(), "take these out of Cargo.toml:\n{}", unused.join("\n"));
    Ok(())
}

#[test]
fn every_package_comes_from_the_registry() -> Result<()> {
    let lock: Table = fs::read_to_string(checkout().join("Cargo.lock"))?.parse()?;
    let packages = lock.get("package").and_then(Value::as_array).context("an empty Cargo.lock")?;
    let sources = packages.iter().filter_map(|package| package.get("source")?.as_str());
    let strange: Vec<_> = sources.filter(|source| *source != REGISTRY).collect();
    ensure!(strange.is_empty(), "not from crates.io: {strange:?}");
    Ok(())
}
