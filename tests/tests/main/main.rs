//! End-to-end tests, in one binary, so that everything is linked only once.

#![allow(clippy::unwrap_used)]

mod api;
mod apply_ops;
mod bases;
mod begins_again;
mod between;
mod capped;
mod capture_checks;
mod catalogs;
mod corruption;
mod crash;
mod delta_fuzz;
mod disk_full;
mod elections;
mod exact;
mod exclude;
mod find;
mod gap;
mod harness;
mod horizon;
mod kafka;
mod odd_documents;
mod offline;
mod query;
mod query_versions;
mod refusals;
mod replaced_collections;
mod restarts;
mod revert;
mod rights;
mod rollback;
mod rolling_index;
mod scan;
mod settings;
mod slow_link;
mod soak;
mod starting;
mod states;
mod time_series;
mod timeline;
mod upgrades;
