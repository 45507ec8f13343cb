//! The sources of settings: flags, then `HINDSIGHT_*` variables, then the TOML file, then the
//! default.
//!
//! The keys of the file are the names of the long flags (`segment-bytes = 8388608`). A table named
//! like a command holds keys for that command alone.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches};

use crate::cli::Cli;
use crate::exit::Failure;

/// The parsed command line, with the values of the file as defaults.
pub(crate) struct Loaded {
    pub cli: Cli,
    pub matches: clap::ArgMatches,
    pub file: Option<PathBuf>,
    /// The keys that the file sets, by flag name.
    pub from_file: BTreeMap<String, String>,
}

/// Parses the arguments, reads the configuration file that the arguments or the environment name,
/// and parses again with the values of the file as defaults.
pub(crate) fn load(arguments: Vec<OsString>) -> Result<Loaded, LoadError> {
    let file = named_file(&arguments);
    let mut command = Cli::command();
    let mut from_file = BTreeMap::new();
    if let Some(path) = &file {
        from_file = read(path)?;
        command = with_defaults(command, &from_file, path)?;
    }
    let matches = command.try_get_matches_from(arguments)?;
    let cli = Cli::from_arg_matches(&matches)?;
    Ok(Loaded { cli, matches, file, from_file })
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    #[error(transparent)]
    File(#[from] Failure),
}

/// Finds `--config FILE`, `--config=FILE` or HINDSIGHT_CONFIG before the real parsing.
fn named_file(arguments: &[OsString]) -> Option<PathBuf> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let Some(text) = argument.to_str() else { continue };
        if text == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(path) = text.strip_prefix("--config=") {
            return Some(PathBuf::from(path));
        }
    }
    std::env::var_os("HINDSIGHT_CONFIG").map(PathBuf::from)
}

fn read(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let bad = |detail: String| {
        Failure::usage(format!("the configuration file {}: {detail}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| bad(not_toml(&text, &error)))?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let value = scalar(&value).ok_or_else(|| {
            bad(format!("{key} must be a string, a number, a boolean or a list of strings"))
        })?;
        values.insert(key, value);
    }
    Ok(values)
}

/// Returns what is wrong, and in which line. The line itself is not shown, unlike in the original
/// error, because it may hold a connection string.
fn not_toml(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    match error.message() {
        // This is the only message that repeats a value.
        message if message.starts_with("invalid type") => {
            format!("line {line}: a number too large")
        }
        message => format!("line {line}: {message}"),
    }
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(scalar).collect();
            Some(items?.join(","))
        }
        _ => None,
    }
}

/// The commands that run until they are stopped. Their flags may be set in a file.
const SERVICES: [&str; 3] = ["up", "tailer", "replayer"];

/// Flags that no configuration file may set.
const NOT_IN_A_FILE: [&str; 3] = ["config", "help", "version"];

fn with_defaults(
    mut command: clap::Command,
    values: &BTreeMap<String, String>,
    path: &Path,
) -> Result<clap::Command, Failure> {
    let mut known: Vec<String> = Vec::new();
    for (key, value) in values {
        let id = key.replace('-', "_");
        if NOT_IN_A_FILE.contains(&key.as_str()) || !any_argument(&command, &id, &mut known) {
            return Err(Failure::usage(format!(
                "the configuration file {}: unknown key {key:?}. Keys are the names of flags without the \
                 dashes: {}",
                path.display(),
                known.join(", ")
            )));
        }
        command = set_default(command, &id, value);
    }
    Ok(command)
}

fn any_argument(command: &clap::Command, id: &str, known: &mut Vec<String>) -> bool {
    let mut found = false;
    let services = SERVICES.map(|name| command.find_subcommand(name).expect("it is a command"));
    let arguments = services.iter().flat_map(|service| service.get_arguments());
    for argument in command.get_arguments().chain(arguments) {
        if let Some(long) = argument.get_long()
            && !NOT_IN_A_FILE.contains(&long)
        {
            known.push(long.to_owned());
            found |= long.replace('-', "_") == id;
        }
    }
    known.sort();
    known.dedup();
    found
}

fn set_default(command: clap::Command, id: &str, value: &str) -> clap::Command {
    let value = value.to_owned();
    let apply = |command: clap::Command| {
        let ids: Vec<clap::Id> = command
            .get_arguments()
            .filter(|argument| argument.get_long().is_some_and(|long| long.replace('-', "_") == id))
            .map(|argument| argument.get_id().clone())
            .collect();
        ids.into_iter().fold(command, |command, id| {
            let value = value.clone();
            command.mut_arg(id, |argument| argument.default_value(value))
        })
    };
    let command = apply(command);
    let command = SERVICES.into_iter().fold(command, |all, name| all.mut_subcommand(name, apply));
    command.mut_subcommand("config", |config| config.mut_subcommand("check", apply))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_toml_is_named_and_not_shown() {
        for line in [
            "uri = \"mongodb://u:s3cret@db1",
            "uri = mongodb://u:s3cret@db1",
            "uri = \"mongodb://u:s3cret@db1\" x",
            "\"mongodb://u:s3cret@db1\"",
            "uri = \"mongodb://u:s3cret\\@db1\"",
            "kafka-config = [\"sasl.password=s3cret\"",
            "uri = \"mongodb://u:s3cret@db1\"\nuri = \"mongodb://u:s3cret@db1\"",
            "uri = 123456789012345678901234567890",
        ] {
            let text = format!("codec = \"lz4\"\n{line}\n");
            let error = text.parse::<toml::Table>().expect_err(line);
            let told = not_toml(&text, &error);
            assert!(told.starts_with("line 2: ") || told.starts_with("line 3: "), "{told}");
            for secret in ["s3cret", "mongodb:", "12345"] {
                assert!(!told.contains(secret), "{line}: {told}");
            }
        }
    }

    #[test]
    fn help_does_not_show_a_secret_of_the_file() {
        let file = [
            ("uri", "mongodb://u:s3cret@db1/"),
            ("kafka-config", "sasl.password=s3cret"),
            ("log", "kafka://u:s3cret@k1:9092"),
            ("member", "db2:27017"),
        ];
        let values = file.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        for help in ["--help", "-h"] {
            let command = with_defaults(Cli::command(), &values, Path::new("file")).expect("known");
            let shown = command.try_get_matches_from(["hindsight", "up", help]);
            let shown = shown.expect_err("help is no command").to_string();
            assert!(shown.contains("--uri") && shown.contains("db2:27017"), "{shown}");
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }
}
