//! Rules about the repository's own text that no compiler checks. They read the files of the
//! checkout and start no server.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

mod circles;
mod flags;
mod manifests;
mod scripts;
mod sizes;

/// Folders that hold nothing of the project's own.
const FOREIGN: &[&str] = &[".git", "target", "proto/google"];

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

/// All files with one of these endings, with their text. Sorted, so that failures read the same.
fn texts(endings: &[&str]) -> Result<Vec<(String, String)>> {
    let root = checkout();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = item?.path();
            let name = path.strip_prefix(&root)?.to_string_lossy().into_owned();
            if FOREIGN.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let text = fs::read_to_string(&path).with_context(|| name.clone())?;
                found.push((name, text));
            }
        }
    }
    found.sort();
    ensure!(found.len() > 10, "only {} files: is this a checkout?", found.len());
    Ok(found)
}

/// The words of a text, as letters and digits.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

/// Whether a word has the form of a citation: the letter and a small number without leading zeros.
fn is_citation(word: &str, letter: char) -> bool {
    let Some(number) = word.strip_prefix(letter) else { return false };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    digits && (1..=2).contains(&number.len()) && !number.starts_with('0')
}

/// What a document defines: `**I7**` in bold.
fn defined(document: &str, letter: char) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(checkout().join(document))?;
    let bold = text.split("**").skip(1).step_by(2);
    Ok(bold.filter(|word| is_citation(word, letter)).map(str::to_owned).collect())
}

/// The comment of a line of Rust, or a whole line of anything else.
fn prose<'a>(name: &str, line: &'a str) -> &'a str {
    match name.ends_with(".rs") {
        true => line.find("//").map_or("", |at| &line[at..]),
        false => line,
    }
}

/// Citations in comments and documents that the document does not define.
fn unresolved(letter: char, document: &str) -> Result<Vec<String>> {
    let known = defined(document, letter)?;
    ensure!(known.len() >= 10, "{document} defines only {known:?}");
    let mut missing = Vec::new();
    for (name, text) in texts(&[".rs", ".md"])? {
        for (at, line) in text.lines().enumerate() {
            let cited = words(prose(&name, line)).filter(|word| is_citation(word, letter));
            let lost = cited.filter(|word| !known.contains(*word));
            missing.extend(lost.map(|word| format!("{name}:{}: {word}", at + 1)));
        }
    }
    Ok(missing)
}

#[test]
fn every_invariant_that_is_cited_is_defined() -> Result<()> {
    let missing = unresolved('I', "docs/INVARIANTS.md")?;
    ensure!(missing.is_empty(), "not in docs/INVARIANTS.md:\n{}", missing.join("\n"));
    Ok(())
}

#[test]
fn every_fact_about_the_oplog_that_is_cited_is_stated() -> Result<()> {
    let missing = unresolved('O', "docs/OPLOG.md")?;
    ensure!(missing.is_empty(), "not in docs/OPLOG.md:\n{}", missing.join("\n"));
    Ok(())
}

/// Sections of documents outside the repository help nobody who reads the code.
#[test]
fn nothing_outside_the_repository_is_cited() -> Result<()> {
    let mut found = Vec::new();
    for (name, text) in texts(&[".rs", ".md", "Makefile"])? {
        for (at, line) in text.lines().enumerate() {
            let outside = ["design §", "reference §", "reference, rule", "reference/oplog"];
            // This list itself.
            if !name.ends_with("tidy/main.rs") && outside.iter().any(|words| line.contains(words)) {
                found.push(format!("{name}:{}: {}", at + 1, line.trim()));
            }
        }
    }
    ensure!(found.is_empty(), "cited, and not here:\n{}", found.join("\n"));
    Ok(())
}

/// Relative links of documents lead to files that exist.
#[test]
fn links_between_documents_lead_somewhere() -> Result<()> {
    let root = checkout();
    let mut dead = Vec::new();
    for (name, text) in texts(&[".md"])? {
        let folder = root.join(&name).parent().unwrap_or(&root).to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            let is_relative = !path.is_empty() && !path.contains("://");
            if is_relative && !folder.join(path).exists() {
                dead.push(format!("{name}: {link}"));
            }
        }
    }
    ensure!(dead.is_empty(), "links to nothing:\n{}", dead.join("\n"));
    Ok(())
}

/// A metric that is counted elsewhere would be missing in `docs/METRICS.md`.
#[test]
fn metrics_are_recorded_through_the_catalogue() -> Result<()> {
    const MACROS: [&str; 3] = ["counter!(", "gauge!(", "histogram!("];
    let mut found = Vec::new();
    for (name, text) in texts(&[".rs"])? {
        let is_catalogue = name == "services/lib/runtime/src/metric.rs";
        if name.starts_with("services/") && !is_catalogue {
            let records = |line: &&str| MACROS.iter().any(|it| line.contains(it));
            found.extend(text.lines().filter(records).map(|line| format!("{name}: {line}")));
        }
    }
    ensure!(found.is_empty(), "list these in a `metrics.rs`:\n{}", found.join("\n"));
    Ok(())
}
