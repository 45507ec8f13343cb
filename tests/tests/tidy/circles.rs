//! Imports between the files of a crate. Files that import each other in a circle can only be read,
//! moved and tested together, so a circle must stay small.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use super::texts;

/// Files of a circle. A file and what it is split into may need each other.
const LARGEST_CIRCLE: usize = 4;

/// A module by its path within the crate; empty for the root.
type Module = Vec<String>;
type Sources = BTreeMap<Module, String>;

/// Returns the modules of each crate, without tests and comments.
fn crates() -> Result<BTreeMap<String, Sources>> {
    let mut crates: BTreeMap<String, Sources> = BTreeMap::new();
    for (name, text) in texts(&[".rs"])? {
        let Some((krate, file)) = name.split_once("/src/") else { continue };
        let path = file.trim_end_matches(".rs");
        let module: Module = match path {
            "lib" | "main" => Vec::new(),
            path => path.split('/').map(str::to_owned).collect(),
        };
        if krate.starts_with("services/") && !module.iter().any(|name| name == "tests") {
            crates.entry(krate.to_owned()).or_default().insert(module, code(&text));
        }
    }
    Ok(crates)
}

/// The lines of code before the tests.
fn code(text: &str) -> String {
    let product = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = product.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The statements `use …;` of a text, without `use` and `;`. The flag says whether the names are
/// made visible to others.
fn imports(text: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("use ") {
        let before = text[..at].rsplit('\n').next().unwrap_or_default().trim();
        let is_statement = before.is_empty() || before.starts_with("pub");
        if let Some(end) = text[at..].find(';').filter(|_| is_statement) {
            found.push((!before.is_empty(), text[at + 4..at + end].to_owned()));
        }
    }
    found
}

/// Splits `a::{b, c::{d, e as f}}` into its paths.
fn paths(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((head, body)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or_default().trim().to_owned()];
    };
    let body = body.rsplit_once('}').map_or(body, |(body, _)| body);
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for letter in body.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("never empty").push(letter);
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| paths(&format!("{}{}", head.trim(), part.trim()))).collect()
}

/// The paths that stand in the code itself, such as `crate::files::read`.
fn inline_paths(text: &str) -> impl Iterator<Item = String> + '_ {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    let words = text.split(move |letter| !is_part(letter));
    words.filter(|word| word.contains("::")).map(|word| word.trim_end_matches(':').to_owned())
}

/// Removes the path from each `pub(in path)`, which takes nothing from there.
fn without_scopes(text: &str) -> String {
    let mut parts = text.split("pub(in ");
    let first = parts.next().unwrap_or_default().to_owned();
    first + &parts.filter_map(|part| Some(part.split_once(')')?.1)).collect::<String>()
}

/// A crate, ready to be asked which file a path leads to.
struct Names<'s> {
    sources: &'s Sources,
    /// By module: the names that it makes visible, and where they come from.
    passed_on: BTreeMap<&'s Module, BTreeMap<String, Vec<String>>>,
}

impl<'s> Names<'s> {
    fn of(sources: &'s Sources) -> Self {
        let mut names = Names { sources, passed_on: BTreeMap::new() };
        for (module, text) in sources {
            let visible = imports(text).into_iter().filter(|(is_visible, _)| *is_visible);
            let paths = visible.flat_map(|(_, tree)| paths(&tree));
            let absolute = paths.filter_map(|path| names.absolute(module, &path));
            let named = absolute.filter_map(|path| Some((path.last()?.clone(), path)));
            let named = named.collect();
            names.passed_on.insert(module, named);
        }
        names
    }

    /// Returns the path from the root of the crate; `None` when it leads out of the crate.
    fn absolute(&self, from: &Module, path: &str) -> Option<Vec<String>> {
        let mut parts = path.split("::").map(str::to_owned).peekable();
        let mut base = match parts.peek()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => from.clone(),
            first => {
                let child = [&from[..], &[first.to_owned()]].concat();
                self.sources.contains_key(&child).then(|| from.clone())?
            }
        };
        parts.next_if(|part| part == "crate" || part == "self");
        while parts.next_if(|part| part == "super").is_some() {
            base.pop();
        }
        base.extend(parts);
        Some(base)
    }

    /// Returns the file that defines what the path names.
    fn file(&self, path: &[String], steps: usize) -> Option<&'s Module> {
        let known = (0..=path.len()).rev();
        let length = known.into_iter().find(|&at| self.sources.contains_key(&path[..at]))?;
        let (module, _) = self.sources.get_key_value(&path[..length])?;
        let from = path.get(length).and_then(|name| self.passed_on.get(module)?.get(name));
        match from.filter(|_| steps < 8) {
            Some(from) => self.file(&[&from[..], &path[length + 1..]].concat(), steps + 1),
            None => Some(module),
        }
    }

    /// Returns the other files that a file takes something from. What it only passes on does not
    /// count, nor do the names of its tests.
    fn needs(&self, module: &'s Module) -> BTreeSet<&'s Module> {
        let text = &self.sources[module];
        let imports = imports(text);
        let own = imports.iter().filter(|(is_visible, _)| !is_visible);
        let mut wanted: Vec<String> = own.flat_map(|(_, tree)| paths(tree)).collect();
        wanted.retain(|path| path != "super::*");
        let mut rest = text.clone();
        for (_, tree) in &imports {
            rest = rest.replace(tree.as_str(), "");
        }
        wanted.extend(inline_paths(&without_scopes(&rest)));
        let absolute = wanted.iter().filter_map(|path| self.absolute(module, path));
        let files = absolute.filter_map(|path| self.file(&path, 0));
        files.filter(|file| *file != module).collect()
    }
}

#[test]
fn files_do_not_import_each_other_in_large_circles() -> Result<()> {
    let mut large = BTreeSet::new();
    for (krate, sources) in crates()? {
        let names = Names::of(&sources);
        let needs: BTreeMap<_, _> = sources.keys().map(|it| (it, names.needs(it))).collect();
        let reached: BTreeMap<_, _> = sources.keys().map(|it| (it, reach(it, &needs))).collect();
        for module in sources.keys() {
            let back = reached[module].iter().filter(|it| reached[*it].contains(module));
            let circle: Vec<_> = back.map(|it| it.join("/")).collect();
            if circle.len() > LARGEST_CIRCLE {
                large.insert(format!("{krate}: {}", circle.join(" ")));
            }
        }
    }
    let large: Vec<_> = large.into_iter().collect();
    ensure!(large.is_empty(), "give what both sides need a file of its own:\n{}", large.join("\n"));
    Ok(())
}

fn reach<'s>(
    from: &'s Module,
    needs: &BTreeMap<&'s Module, BTreeSet<&'s Module>>,
) -> BTreeSet<&'s Module> {
    let mut reached = BTreeSet::new();
    let mut todo = vec![from];
    while let Some(module) = todo.pop() {
        todo.extend(needs[module].iter().filter(|it| reached.insert(**it)));
    }
    reached
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::a::{b, c::{D, E as F}};\npub use x::Y;\nlet z = super::w::v();\n";
    let found = imports(text);
    assert_eq!(found.len(), 2);
    assert_eq!(paths(&found[0].1), ["crate::a::b", "crate::a::c::D", "crate::a::c::E"]);
    assert_eq!(found[1], (true, "x::Y".to_owned()));
    assert!(inline_paths(text).any(|path| path == "super::w::v"));
}
