//! Work for a processor, beside the tasks that wait for others.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinHandle;

/// Runs work that takes milliseconds of processor time, on a thread where no other task waits for
/// it. A runtime of one thread runs the work as a task of its own, so that simulations are the same
/// each time.
pub fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => tokio::spawn(async move { work() }),
        _ => tokio::task::spawn_blocking(work),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn work_leaves_the_threads_of_tasks_alone() {
        let own = std::thread::current().id();
        let there = compute(|| std::thread::current().id()).await.expect("it ends");
        assert_ne!(there, own);
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_needs_no_other() {
        let own = std::thread::current().id();
        let there = compute(|| std::thread::current().id()).await.expect("it ends");
        assert_eq!(there, own);
    }
}
