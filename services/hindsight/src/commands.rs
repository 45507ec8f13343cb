//! The commands, each with its arguments in a file of its own.

mod ask;
mod base;
mod collections;
mod completions;
mod config_check;
mod diff;
mod drops;
mod find;
mod get;
mod history;
mod log_copy;
mod print;
mod replayer;
mod resolve;
mod restore;
mod restores;
mod revert;
mod scan;
mod shown;
mod status;
mod tailer;
mod timeline;
mod token;
mod up;
mod values;
mod verify;
mod wait;
mod windows;

use ask::ask;
use clap::{CommandFactory, Subcommand};

use crate::cli::Cli;
use crate::config::Loaded;
use crate::exit::{Exit, Result};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(up::Up),
    Tailer(tailer::Tailer),
    Replayer(replayer::Replayer),
    Wait(wait::Wait),
    Status(status::Status),
    Windows(windows::Windows),
    Find(find::Find),
    Timeline(timeline::Timeline),
    Get(get::Get),
    History(history::History),
    Scan(scan::Scan),
    Collections(collections::Collections),
    Resolve(resolve::Resolve),
    Diff(diff::Diff),
    Restore(restore::Restore),
    #[command(subcommand)]
    Restores(restores::Restores),
    Revert(revert::Revert),
    #[command(subcommand)]
    Base(base::Base),
    #[command(subcommand)]
    Log(log_copy::Log),
    Verify(verify::Verify),
    #[command(subcommand)]
    Token(token::Token),
    #[command(subcommand)]
    Config(config_check::Config),
    Completions(completions::Completions),
}

impl Command {
    /// Returns whether the command runs until it is stopped.
    pub(crate) fn is_service(&self) -> bool {
        matches!(self, Self::Up(_) | Self::Tailer(_) | Self::Replayer(_))
    }
}

/// Runs the command that was asked for.
pub(crate) async fn run(loaded: &Loaded) -> Result<Exit> {
    let global = &loaded.cli.global;
    match &loaded.cli.command {
        Command::Up(up) => up.run(global).await,
        Command::Tailer(tailer) => tailer.run(global).await,
        Command::Replayer(replayer) => replayer.run(global).await,
        Command::Wait(wait) => ask(global, &wait.begin()).await,
        Command::Status(status) => ask(global, status).await,
        Command::Windows(windows) => ask(global, windows).await,
        Command::Find(find) => ask(global, find).await,
        Command::Timeline(timeline) => ask(global, timeline).await,
        Command::Get(get) => ask(global, get).await,
        Command::History(history) => ask(global, history).await,
        Command::Scan(scan) => ask(global, scan).await,
        Command::Collections(collections) => ask(global, collections).await,
        Command::Resolve(resolve) => ask(global, resolve).await,
        Command::Diff(diff) => ask(global, diff).await,
        Command::Restore(restore) => ask(global, restore).await,
        Command::Restores(restores) => ask(global, restores).await,
        Command::Revert(revert) => ask(global, revert).await,
        Command::Base(base) => ask(global, base).await,
        Command::Log(log) => log.run(global).await,
        Command::Verify(verify) => ask(global, verify).await,
        Command::Token(token) => token.run(),
        Command::Config(config) => config.run(loaded),
        Command::Completions(completions) => Ok(completions.run(&mut Cli::command())),
    }
}
