//! Restores into a MongoDB deployment: a replica set or a standalone server.
//!
//! [`MongodDestination`] does what the steps of a restore ask for, with the commands that a server
//! takes. It decides nothing: what is written, in which order, and what counts as equal is in
//! `hindsight-restore`.
//!
//! - `probe`, `judge`, `roles`: questions before the first write
//! - `create`, `insert`, `accounts`, `barrier`: what writes, and waits until it is safe
//! - `read_back`: what the target holds
//! - `command`, `blame`: how commands are run, and what their failures mean for a restore

mod accounts;
mod barrier;
mod blame;
mod command;
mod create;
mod destination;
mod insert;
mod judge;
mod probe;
mod read_back;
mod roles;

pub use destination::MongodDestination;
