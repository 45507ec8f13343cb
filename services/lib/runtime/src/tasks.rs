//! Supervised tasks: every task has a name, is awaited by someone, and its end is looked at.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Why a set of tasks ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum TaskFailure<E> {
    #[error("{task}: {error}")]
    Failed { task: &'static str, error: E },
    #[error("{task} panicked: {message}")]
    Panicked { task: &'static str, message: String },
    #[error("tasks did not stop within {waited:?}: {}", tasks.join(", "))]
    Stuck { tasks: Vec<&'static str>, waited: Duration },
}

/// A set of tasks that live and die together: the first failure asks all others to stop.
#[derive(Debug)]
pub struct Tasks<E> {
    set: JoinSet<Result<(), E>>,
    names: Vec<(tokio::task::Id, &'static str)>,
    shutdown: CancellationToken,
}

impl<E: Send + 'static> Tasks<E> {
    /// Tasks of this set stop when `shutdown` is cancelled; a failing task cancels it.
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { set: JoinSet::new(), names: Vec::new(), shutdown }
    }

    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let handle = self.set.spawn(task);
        self.names.push((handle.id(), name));
    }

    /// For work that blocks its thread. It must look at the shutdown token by itself.
    pub fn spawn_blocking(
        &mut self,
        name: &'static str,
        task: impl FnOnce() -> Result<(), E> + Send + 'static,
    ) {
        let handle = self.set.spawn_blocking(task);
        self.names.push((handle.id(), name));
    }

    /// Waits until all tasks have ended. The first failure cancels the rest, which then have
    /// `patience` to end; so do all of them once shutdown is asked for from outside.
    pub async fn join(mut self, patience: Duration) -> Result<(), TaskFailure<E>> {
        let mut failure = None;
        loop {
            let asked = self.shutdown.clone();
            let next = tokio::select! {
                biased;
                ended = self.set.join_next_with_id() => ended,
                () = asked.cancelled() => {
                    match tokio::time::timeout(patience, self.set.join_next_with_id()).await {
                        Ok(ended) => ended,
                        Err(_) => return Err(failure.unwrap_or(self.stuck(patience))),
                    }
                }
            };
            let Some(ended) = next else { break };
            if let Some(found) = self.look_at(ended) {
                self.shutdown.cancel();
                failure.get_or_insert(found);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn look_at(
        &mut self,
        ended: Result<(tokio::task::Id, Result<(), E>), tokio::task::JoinError>,
    ) -> Option<TaskFailure<E>> {
        match ended {
            Ok((id, result)) => {
                let task = self.forget(id);
                result.err().map(|error| TaskFailure::Failed { task, error })
            }
            Err(error) => {
                let task = self.forget(error.id());
                let message = match error.try_into_panic() {
                    Ok(panic) => panic_message(panic.as_ref()),
                    Err(_) => "cancelled".to_owned(),
                };
                Some(TaskFailure::Panicked { task, message })
            }
        }
    }

    fn forget(&mut self, id: tokio::task::Id) -> &'static str {
        let at = self.names.iter().position(|(known, _)| *known == id);
        at.map_or("task", |at| self.names.swap_remove(at).1)
    }

    fn stuck(&self, waited: Duration) -> TaskFailure<E> {
        TaskFailure::Stuck { tasks: self.names.iter().map(|(_, name)| *name).collect(), waited }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn the_first_failure_stops_the_others_and_is_reported() {
        let shutdown = CancellationToken::new();
        let mut tasks = Tasks::new(shutdown.clone());
        let waits = shutdown.clone();
        tasks.spawn("waiter", async move {
            waits.cancelled().await;
            Ok(())
        });
        tasks.spawn("failing", async { Err("no disk") });
        let failure = tasks.join(PATIENCE).await.expect_err("one task failed");
        assert_eq!(failure.to_string(), "failing: no disk");
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_with_its_message() {
        let mut tasks = Tasks::<String>::new(CancellationToken::new());
        tasks.spawn("panicking", async { panic!("broken invariant") });
        let failure = tasks.join(PATIENCE).await.expect_err("the task panicked");
        assert_eq!(failure.to_string(), "panicking panicked: broken invariant");
    }

    #[tokio::test]
    async fn a_task_that_ignores_shutdown_is_named() {
        let shutdown = CancellationToken::new();
        let mut tasks = Tasks::<String>::new(shutdown.clone());
        tasks.spawn("deaf", std::future::pending());
        shutdown.cancel();
        let failure = tasks.join(Duration::from_millis(50)).await.expect_err("it never stops");
        assert!(failure.to_string().contains("deaf"), "{failure}");
    }
}
