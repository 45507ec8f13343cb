//! What every long-running part of the program needs and no part owns: supervised tasks, shutdown,
//! bounded queues, notice boards, retries, telemetry, values of settings. No term of the domain
//! appears here.

pub mod backoff;
pub mod board;
pub mod budget;
pub mod compute;
pub mod files;
pub mod metric;
pub mod queue;
pub mod tasks;
pub mod telemetry;
pub mod values;

pub use backoff::Backoff;
pub use board::Board;
pub use budget::{Budget, Share};
pub use compute::compute;
pub use metric::{Metric, MetricKind};
pub use tasks::{TaskFailure, Tasks};
pub use tokio_util::sync::CancellationToken;
