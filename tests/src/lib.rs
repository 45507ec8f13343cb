//! What end-to-end tests and the demo use: real servers, the built `hindsight` binary, a randomised
//! workload, and a comparison of what two servers hold.
//!
//! Every server listens on loopback and lives in a temporary directory. It is stopped by its
//! process id when its owner is dropped, and also when a test panics or is killed. A missing part
//! is an error that says which command installs the part; nothing is skipped.

pub mod api;
pub mod dbhash;
pub mod hindsight;
pub mod independent_reader;
pub mod kafka;
pub mod mongod;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod replay;
pub mod replica_set;
pub mod tools;
pub mod workload;

pub use api::Api;
pub use hindsight::{HindsightProcess, RunOutput};
pub use kafka::{KafkaCluster, KafkaClusterOptions};
pub use mongod::{Mongod, MongodOptions};
pub use replay::Replay;
pub use replica_set::{ReplicaSet, SetOptions};
