//! The commands that run once and end, and how they print their answers.

mod base;
mod collections;
mod config_check;
mod diff;
mod drops;
mod find;
mod log_copy;
mod resolve;
mod restore;
mod restores;
mod shown;
mod status;
mod time_travel;
mod timeline;
mod verify;
mod wait;
mod windows;

use std::io::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hindsight_api::extended_json;
use serde::Serialize;

use crate::backend::{Backend, Needs};
use crate::cli::{Base, Command, Config, Global, LogCommand, Token};
use crate::config::Loaded;
use crate::exit::{Exit, Failure, Result};

/// Runs any command except those that run until they are stopped.
pub(crate) async fn run(global: &Global, command: &Command, loaded: &Loaded) -> Result<Exit> {
    let needs = match command {
        Command::Config(Config::Check(up)) => return config_check::run(global, up, loaded),
        Command::Token(Token::Create(create)) => {
            hindsight_access::create_token(create)?;
            return Ok(Exit::Done);
        }
        Command::Log(LogCommand::Copy(copy)) => return log_copy::run(global, copy).await,
        Command::Wait(_) | Command::Status => Needs::Process,
        _ => Needs::Files,
    };
    // A command's time limit counts from its start.
    let begun = Instant::now();
    let patience = match command {
        Command::Wait(wait) => wait.timeout,
        _ => Duration::ZERO,
    };
    let backend = Backend::locate(global, needs, patience).await?;
    let left = patience.saturating_sub(begun.elapsed());
    let result = dispatch(global, command, left, &backend).await;
    let closed = backend.close().await;
    let exit = result?;
    closed?;
    Ok(exit)
}

async fn dispatch(
    global: &Global,
    command: &Command,
    left: Duration,
    backend: &Backend,
) -> Result<Exit> {
    match command {
        Command::Wait(wait) => wait::run(global, wait, left, backend).await,
        Command::Status => status::run(global, backend).await,
        Command::Windows => windows::run(global, backend).await,
        Command::Find(find) => find::run(global, find, backend).await,
        Command::Timeline(timeline) => timeline::run(global, timeline, backend).await,
        Command::Get(get) => time_travel::get(global, get, backend).await,
        Command::History(history) => time_travel::history(global, history, backend).await,
        Command::Scan(scan) => time_travel::scan(global, scan, backend).await,
        Command::Collections(wanted) => collections::run(global, wanted, backend).await,
        Command::Diff(diff) => diff::run(global, diff, backend).await,
        Command::Resolve(resolve) => resolve::run(global, resolve, backend).await,
        Command::Restores(command) => restores::run(global, command, backend).await,
        Command::Restore(restore) => restore::run(global, restore, backend).await,
        Command::Base(Base::List) => base::list(global, backend).await,
        Command::Verify(verify) => verify::run(global, verify, backend).await,
        Command::Up(_)
        | Command::Tailer(_)
        | Command::Replayer(_)
        | Command::Log(_)
        | Command::Token(_)
        | Command::Config(_)
        | Command::Completions { .. } => {
            unreachable!("these run without a backend")
        }
    }
}

/// Prints one JSON object on one line.
fn print_json(value: &impl Serialize) -> Result<()> {
    print_line(&serde_json::to_string(value)?)
}

fn print_line(line: &str) -> Result<()> {
    print(format!("{line}\n").as_bytes())
}

/// Prints data. A reader that closes the pipe early (`| head`) is not a failure.
fn print(data: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(data).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

/// Parses the document that a flag holds as Extended JSON. Returns no bytes when there is no
/// document.
fn bson_of(flag: &str, json: Option<&str>) -> Result<Bytes> {
    let Some(json) = json else { return Ok(Bytes::new()) };
    let document = extended_json::parse_document(json);
    let document =
        document.map_err(|error| Failure::usage(format!("{flag} {json:?}: {error:#}")))?;
    Ok(document.into_bytes().into())
}

/// Prints a message for people on stderr.
fn say(line: &str) {
    eprintln!("{line}");
}
