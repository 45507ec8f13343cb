//! The `hindsight` command.

mod backend;
mod cli;
mod commands;
mod config;
mod exit;
mod global;
mod metric_catalogue;
mod open;
mod remedies;
mod secret;
mod serve;
mod unknown_commands;

use std::process::ExitCode;
use std::time::Duration;

use hindsight_runtime::telemetry;

use crate::config::{LoadError, Loaded};
use crate::exit::{Exit, Failure};
use crate::global::LogFormat;

/// Limit on the wait for threads at the end. Everything that must be done has already been waited
/// for. A thread that still hangs, in a file system that does not answer, does not keep the process
/// alive.
const THREADS_PATIENCE: Duration = Duration::from_secs(5);

/// The C library's allocator keeps memory that many threads have freed: several times the amount in
/// use (docs/BENCHMARKS.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let loaded = match config::load(std::env::args_os().collect()) {
        Ok(loaded) => loaded,
        // This includes `--help` and `--version`, which are not failures.
        Err(LoadError::Arguments(error)) => error.exit(),
        Err(LoadError::File(failure)) => return fail(&failure),
    };
    match run(&loaded) {
        Ok(exit) => exit.into(),
        Err(failure) => fail(&failure),
    }
}

fn run(loaded: &Loaded) -> exit::Result<Exit> {
    let global = &loaded.cli.global;
    let default = if loaded.cli.command.is_service() { "info" } else { "warn" };
    let filter = global.log_filter.as_deref().unwrap_or(default);
    let format = match global.log_format {
        LogFormat::Text => telemetry::LogFormat::Text,
        LogFormat::Json => telemetry::LogFormat::Json,
    };
    telemetry::init_logs(format, filter).map_err(Failure::usage)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(commands::run(loaded));
    runtime.shutdown_timeout(THREADS_PATIENCE);
    ended
}

fn fail(failure: &Failure) -> ExitCode {
    eprintln!("error: {}", remedies::with_hints(&failure.with_causes(), &failure.remedies()));
    failure.exit().into()
}
