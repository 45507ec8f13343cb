//! What one installation holds: its data directory, and the log that it works on.
//!
//! - [`DataDir`]: the layout of the directory, and the process that runs on it
//! - [`LogArgs`], [`LogChoice`]: which log, and how to reach it
//! - [`LogRetentionArgs`]: how much of the log to keep
//! - [`open()`]: opens log and index, and brings the index up to date with the log (I5)
//! - [`register_bases`]: which bases the index knows
//! - [`BaseKeeper`]: keeps a usable base beside a capture
//! - [`follow_log`], [`watch_risks`], [`watch_bases`], [`keep_log`], [`pack_log`], [`watch_disk`]:
//!   what a process does about them while it runs

mod bases;
mod data_dir;
mod disk;
mod error;
mod following;
mod keeper;
mod log_choice;
pub mod metrics;
mod open;
mod packing;
mod registry;
mod retention;
mod retention_args;

pub use bases::{RegistryError, register_bases};
pub use data_dir::{DataDir, Owner, Running};
pub use disk::{DiskBoard, DiskUse, HistoryBytes, watch_disk};
pub use error::HoldingsError;
pub use following::{follow_log, watch_risks};
pub use keeper::{BaseKeeper, BaseNeeds, NeedsBase, RenewsBase};
pub use log_choice::{LogArgs, LogChoice, LogUrl};
pub use open::{Access, OpenLog, Opened, kafka_options, open};
pub use packing::{pack_log, pack_older};
pub use registry::watch_bases;
pub use retention::{RestsOn, keep_log};
pub use retention_args::LogRetentionArgs;
