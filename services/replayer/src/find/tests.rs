//! Searches compared with reading every entry of the log.

#![allow(clippy::unwrap_used)]

mod model;
mod search;
mod story;
