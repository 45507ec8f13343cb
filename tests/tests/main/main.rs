//! End-to-end tests, in one binary: it links everything once.

#![allow(clippy::unwrap_used)]

mod api;
mod bases;
mod between;
mod capped;
mod capture_checks;
mod corruption;
mod crash;
mod delta_fuzz;
mod disk_full;
mod elections;
mod exact;
mod find;
mod gap;
mod harness;
mod kafka;
mod query;
mod refusals;
mod rollback;
mod rolling_index;
mod scan;
mod settings;
mod timeline;
