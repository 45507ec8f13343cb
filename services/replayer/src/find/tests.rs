//! Searches held against reading every entry of the log.

#![allow(clippy::unwrap_used)]

mod model;
mod search;
mod story;
