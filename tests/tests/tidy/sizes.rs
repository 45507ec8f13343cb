//! Sizes that keep files, functions and crates readable.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::texts;

/// Lines of a file of the product, its tests not counted.
const LONGEST_FILE: usize = 400;
/// Lines of a file of tests.
const LONGEST_TEST_FILE: usize = 520;
/// Columns of a comment, as of code (`rustfmt.toml`).
const WIDEST_COMMENT: usize = 100;
/// Lines of a crate of the product, its tests not counted.
const LARGEST_CRATE: usize = 6_000;
const LARGEST_BINARY: usize = 4_000;
/// Crates of the ground floor, on which all others stand. The limit above is not theirs: they may
/// have as many lines as this.
const STILL_LARGER: &[&str] = &["services/lib/history", "services/lib/log", "services/lib/oplog"];
const LARGEST_OF_THESE: usize = 7_000;

/// The cases that every log must pass are tests, too.
fn is_test(name: &str) -> bool {
    let is_in = |directory: &str| name.contains(directory);
    name.starts_with("tests/")
        || name.ends_with("/tests.rs")
        || is_in("/tests/")
        || is_in("/conformance/")
}

/// The lines before the tests that stand in the same file.
fn product_lines(text: &str) -> usize {
    let tests = text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..tests].lines().count()
}

#[test]
fn files_fit_a_sitting() -> Result<()> {
    let mut long = Vec::new();
    for (name, text) in texts(&[".rs"])? {
        let (lines, most) = match is_test(&name) {
            true => (text.lines().count(), LONGEST_TEST_FILE),
            false => (product_lines(&text), LONGEST_FILE),
        };
        if lines > most {
            long.push(format!("{name}: {lines} lines, and {most} at most"));
        }
    }
    ensure!(long.is_empty(), "split these:\n{}", long.join("\n"));
    Ok(())
}

#[test]
fn comments_are_not_wider_than_a_screen() -> Result<()> {
    let mut wide = Vec::new();
    for (name, text) in texts(&[".rs"])? {
        for (at, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            if line.trim_start().starts_with("//") && columns > WIDEST_COMMENT {
                wide.push(format!("{name}:{}: {columns} columns", at + 1));
            }
        }
    }
    ensure!(wide.is_empty(), "wrap these comments:\n{}", wide.join("\n"));
    Ok(())
}

#[test]
fn crates_stay_small() -> Result<()> {
    let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
    for (name, text) in texts(&[".rs"])? {
        let Some((krate, _)) = name.split_once("/src/") else { continue };
        if !is_test(&name) {
            *sizes.entry(krate.to_owned()).or_default() += product_lines(&text);
        }
    }
    let most = |krate: &str| match krate {
        "services/hindsight" => LARGEST_BINARY,
        krate if STILL_LARGER.contains(&krate) => LARGEST_OF_THESE,
        _ => LARGEST_CRATE,
    };
    let large: Vec<_> = sizes.iter().filter(|(krate, lines)| **lines > most(krate)).collect();
    ensure!(large.is_empty(), "divide these crates: {large:?}");
    Ok(())
}
