//! Communicates with MongoDB servers. No other crate of the product links the driver.
//!
//! - [`Deployment`] is what a connection string names. It opens [`Client`]s to the whole deployment
//!   or to one member.
//! - [`Client`] sends raw commands over a [`Connection`]: the driver, or a script in tests.
//! - [`Failure`] says what the caller can do about an error. One table classifies the servers'
//!   codes.
//! - [`Hello`] is what a server says about itself.
//! - [`SetConfig`] is the configuration of a replica set.
//! - [`privileges`] lists what the user that reads the source needs.

mod client;
pub mod codes;
pub mod connection_string;
mod cursor;
mod deployment;
mod driver;
mod failure;
mod hello;
pub mod privileges;
mod set_config;
mod transaction;

pub use client::{Client, Connection, Wait};
pub use cursor::{Batch, Batches, CursorReply};
pub use deployment::{Deployment, Servers, UriError};
pub use failure::{Failure, Kind};
pub use hello::{Hello, Incarnation, Primacy};
pub use privileges::PRIVILEGES;
pub use set_config::{SetConfig, SetMember};
pub use transaction::{CommitFailure, Transaction};
