//! A simulation of capture: tailers and standbys on one log, and a replica set with elections,
//! rollbacks, rollovers and resyncs, under a paused clock and one seed.
//!
//! The tailers are those of the product. The servers and the store of the log are models, because
//! no real part fails on time, a million times. [`Simulator::run`] runs one seed, and checks the
//! invariants while it runs and at its end.

mod connection;
mod entries;
mod faults;
mod judge;
mod log;
mod member;
mod oplog;
mod plan;
mod process;
mod set;
mod world;

pub use judge::{Recorded, Violation};
pub use world::{Counts, Outcome, Simulator};
