//! Libraries know no flag of the command line (docs/decisions/0021-remedies-travel-as-data.md).

use anyhow::{Result, ensure};

use super::texts;

/// The code that callers without flags use too.
const LIBRARIES: [&str; 6] = [
    "services/lib/",
    "services/tailer/",
    "services/replayer/",
    "services/refusal/",
    "services/restores/",
    "services/api/",
];
/// Other programs, whose flags a library may name.
const OTHER_PROGRAMS: [&str; 3] =
    ["kafka-configs.sh --", "kafka-reassign-partitions.sh --", "it with --replSet"];

/// Returns the string literals of a source file, without those of its tests.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (before, from) = rest.split_at(at);
        rest = if from.starts_with("//") {
            from.split_once('\n').map_or("", |(_, rest)| rest)
        } else if from.starts_with("'\"'") || from.starts_with("'\\\"'") {
            from.trim_start_matches(['\'', '\\', '"'])
        } else if let Some(text) = from.strip_prefix('"') {
            let hashes = before.len() - before.trim_end_matches('#').len();
            let is_raw = before.trim_end_matches('#').ends_with('r');
            let end = match is_raw {
                true => text.find(&format!("\"{}", "#".repeat(hashes))),
                false => closing_quote(text),
            };
            let (literal, rest) = text.split_at(end.unwrap_or(text.len()));
            found.push(literal.to_owned());
            rest.get(1..).unwrap_or_default()
        } else {
            &from[1..]
        };
    }
    found
}

/// Returns where a literal ends whose characters may be escaped.
fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })
}

/// Returns whether a text tells to type something that only a command line has.
fn tells_what_to_type(literal: &str) -> bool {
    let is_flag = |(at, _): (usize, &str)| {
        let begins = literal[..at].chars().next_back().is_none_or(|it| !it.is_alphanumeric());
        begins && literal[at + 2..].starts_with(|it: char| it.is_ascii_lowercase())
    };
    literal.match_indices("--").any(is_flag) || literal.contains("`hindsight ")
}

#[test]
fn no_library_names_a_flag_or_a_command() -> Result<()> {
    let mut found = Vec::new();
    for (name, text) in texts(&[".rs"])? {
        let is_test = name.contains("/tests/") || name.ends_with("tests.rs");
        if is_test || !LIBRARIES.iter().any(|it| name.starts_with(it)) {
            continue;
        }
        for literal in literals(&text) {
            let is_other = OTHER_PROGRAMS.iter().any(|program| literal.contains(program));
            if tells_what_to_type(&literal) && !is_other {
                found.push(format!("{name}: {literal}"));
            }
        }
    }
    ensure!(found.is_empty(), "a `Remedy` says it to every caller:\n{}", found.join("\n"));
    Ok(())
}

#[test]
fn what_a_command_line_alone_has_is_recognized() {
    let source = r##"
        // "a comment (--skipped)"
        let quote = '"';
        let text = "use \"it\" (--flag)";
        let raw = r#"say "x" with `hindsight log`"#;
        let fine = "a -- dash, and another--set";
        fn f<'a>() {}
#[cfg(test)]
mod tests {
        const IN_A_TEST: &str = "--flag";
    "##;
    let literals = literals(source);
    assert_eq!(literals.len(), 3, "{literals:?}");
    let told: Vec<bool> = literals.iter().map(|it| tells_what_to_type(it)).collect();
    assert_eq!(told, [true, true, false]);
}
