//! Supervised tasks: every task has a name and is awaited, and its outcome is checked.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Why a set of tasks ended early or did not stop.
#[derive(Debug, thiserror::Error)]
pub enum TaskFailure<E> {
    /// A task returned an error.
    #[error("{task}: {error}")]
    Failed { task: &'static str, error: E },
    /// A task panicked or was cancelled.
    #[error("{task} {message}")]
    Panicked { task: &'static str, message: String },
    /// These tasks did not stop in time after shutdown was requested.
    #[error("tasks did not stop within {waited:?}: {}", tasks.join(", "))]
    Stuck { tasks: Vec<&'static str>, waited: Duration },
}

/// A set of tasks that live and die together: the first failure asks all other tasks to stop.
#[derive(Debug)]
pub struct Tasks<E> {
    set: JoinSet<Result<(), E>>,
    names: Vec<(tokio::task::Id, &'static str)>,
    shutdown: CancellationToken,
}

impl<E: Send + 'static> Tasks<E> {
    /// Returns an empty set. Its tasks stop when `shutdown` is cancelled. A task that fails cancels
    /// it.
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { set: JoinSet::new(), names: Vec::new(), shutdown }
    }

    /// Returns the token that the tasks must watch.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Starts a task. The task must watch the shutdown token itself.
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let handle = self.set.spawn(task);
        self.names.push((handle.id(), name));
    }

    /// Starts a task that reports its failures itself. It must watch the shutdown token.
    pub fn spawn_unfailing(
        &mut self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.spawn(name, async move {
            work.await;
            Ok(())
        });
    }

    /// Starts work that blocks its thread. The work must watch the shutdown token itself.
    pub fn spawn_blocking(
        &mut self,
        name: &'static str,
        task: impl FnOnce() -> Result<(), E> + Send + 'static,
    ) {
        let handle = self.set.spawn_blocking(task);
        self.names.push((handle.id(), name));
    }

    /// Waits until all tasks have ended. The first failure cancels the other tasks. Once shutdown
    /// is requested, by a failure or from outside, all tasks together have `patience` to end.
    ///
    /// # Errors
    /// Returns the first failure: [`TaskFailure::Failed`] or [`TaskFailure::Panicked`]. Without
    /// one, returns [`TaskFailure::Stuck`] when tasks do not stop in time.
    pub async fn join(mut self, patience: Duration) -> Result<(), TaskFailure<E>> {
        let mut failure = None;
        let asked = self.shutdown.clone();
        let too_late = async move {
            asked.cancelled().await;
            tokio::time::sleep(patience).await;
        };
        tokio::pin!(too_late);
        loop {
            let next = tokio::select! {
                biased;
                ended = self.set.join_next_with_id() => ended,
                () = &mut too_late => return Err(failure.unwrap_or(self.stuck(patience))),
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
                    Ok(panic) => format!("panicked: {}", panic_message(panic.as_ref())),
                    Err(_) => "was cancelled".to_owned(),
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

    #[tokio::test]
    async fn all_tasks_share_one_patience() {
        let shutdown = CancellationToken::new();
        let mut tasks = Tasks::<String>::new(shutdown.clone());
        for number in 1..=20_u64 {
            tasks.spawn("slow", async move {
                tokio::time::sleep(Duration::from_millis(100 * number)).await;
                Ok(())
            });
        }
        shutdown.cancel();
        let failure = tasks.join(Duration::from_millis(500)).await.expect_err("the last take 2 s");
        assert!(matches!(failure, TaskFailure::Stuck { .. }), "{failure}");
    }
}
