//! End-to-end tests, in one binary: it links everything once.

#![allow(clippy::unwrap_used)]

mod exact;
mod harness;
mod refusals;
