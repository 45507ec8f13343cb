//! Talking to MongoDB servers. No other crate of the product links the driver.
//!
//! - [`Deployment`] is what a connection string names, and opens [`Client`]s to all of it or to one
//!   member.
//! - [`Client`] sends raw commands. Behind it is a [`Connection`]: the driver, or a script in
//!   tests.
//! - [`Failure`] says what the caller can do about an error; one table sorts the servers' codes.
//! - [`Hello`] is what a server says about itself.
//! - [`privileges`] is what the user that reads the source needs.

mod client;
pub mod codes;
pub mod connection_string;
mod cursor;
mod deployment;
mod driver;
mod failure;
mod hello;
pub mod privileges;

pub use client::{Client, Connection, Wait};
pub use cursor::{Batch, Batches, CursorReply};
pub use deployment::{Deployment, UriError};
pub use failure::{Failure, Kind};
pub use hello::{Hello, Incarnation, Primacy};
pub use privileges::PRIVILEGES;
