//! `config check`: the settings in force, and where each one came from.

use std::path::Path;

use clap::Subcommand;
use clap::parser::ValueSource;
use serde_json::{Map, Value, json};

use super::print::{print_json, print_line};
use super::up::Up;
use crate::config::Loaded;
use crate::exit::{Exit, Result};
use crate::global::{Global, Output};
use crate::serve;

/// Settings whose values may hold a password.
const SECRET: [&str; 2] = ["uri", "kafka_config"];

/// Check the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show the settings in force for `up`, and where each one came from.
    Check(Up),
}

impl Config {
    pub(super) fn run(&self, loaded: &Loaded) -> Result<Exit> {
        let Self::Check(up) = self;
        let global = &loaded.cli.global;
        // The same checks that `up` makes before it touches anything.
        serve::check(global, &up.services())?;
        let matches = loaded
            .matches
            .subcommand_matches("config")
            .and_then(|config| config.subcommand_matches("check"))
            .unwrap_or(&loaded.matches);
        let mut settings = Map::new();
        for id in matches.ids() {
            let id = id.as_str();
            // Groups of flags are named after their types.
            if id.starts_with(char::is_uppercase) {
                continue;
            }
            let Ok(Some(mut values)) = matches.try_get_raw(id) else { continue };
            let Some(value) = values.next() else { continue };
            let value =
                if SECRET.contains(&id) { "(hidden)".into() } else { value.to_string_lossy() };
            let source = source_of(matches, id, loaded);
            settings.insert(id.replace('_', "-"), json!({"value": value, "from": source}));
        }
        print(global, loaded.file.as_deref(), settings)?;
        Ok(Exit::Done)
    }
}

fn source_of(matches: &clap::ArgMatches, id: &str, loaded: &Loaded) -> &'static str {
    let in_file = loaded.from_file.keys().any(|key| key.replace('-', "_") == id);
    match matches.value_source(id) {
        Some(ValueSource::CommandLine) => "flag",
        Some(ValueSource::EnvVariable) => "environment",
        _ if in_file => "file",
        _ => "default",
    }
}

fn print(global: &Global, file: Option<&Path>, settings: Map<String, Value>) -> Result<()> {
    if global.output == Output::Json {
        return print_json(&json!({"file": file, "settings": settings}));
    }
    for (name, setting) in &settings {
        let value = setting["value"].as_str().unwrap_or_default();
        let from = setting["from"].as_str().unwrap_or_default();
        print_line(&format!("{name} = {value}  ({from})"))?;
    }
    Ok(())
}
