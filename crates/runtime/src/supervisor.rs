//! Tasks with a name and an end: no task runs that nobody waits for.
//!
//! A process is made of a few **long-lived tasks** (a writer, a consumer, a server), started through the
//! [`Supervisor`]. One that fails or panics stops the whole process in good order: a process without its writer would
//! accept and never deliver, and a service manager that starts it afresh is the better cure. The many **short tasks** of
//! one component (a bundle, a request) run in a [`TaskGroup`], which the component drains when it stops.

use std::future::Future;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::task::TaskTracker;

use crate::Shutdown;

/// What a task's failure is told as.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A long-lived task came to an end that it should not have come to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It returned an error.
    #[error("task `{task}` failed")]
    Failed {
        /// Its name.
        task: &'static str,
        /// What it said.
        #[source]
        source: BoxError,
    },
    /// It panicked: a bug.
    #[error("task `{task}` panicked")]
    Panicked {
        /// Its name.
        task: &'static str,
        /// Where.
        #[source]
        source: JoinError,
    },
    /// It did not stop in time after it was asked to.
    #[error("tasks still running {grace:?} after they were asked to stop")]
    Stuck {
        /// How long they were given.
        grace: Duration,
    },
}

/// Starts the long-lived tasks of a process and stops them together.
#[derive(Debug)]
pub struct Supervisor {
    shutdown: Shutdown,
    tasks: JoinSet<(&'static str, Result<(), Error>)>,
}

impl Supervisor {
    /// One whose tasks stop on this request.
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        Self { shutdown, tasks: JoinSet::new() }
    }

    /// The request its tasks stop on.
    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Starts a task. It should return after the shutdown is requested, and not before.
    #[expect(clippy::disallowed_methods, reason = "the home of spawning")]
    pub fn start<F, E>(&mut self, task: &'static str, run: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        let inner = tokio::spawn(run);
        self.tasks.spawn(async move {
            let result = match inner.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(Error::Failed { task, source: error.into() }),
                Err(source) => Err(Error::Panicked { task, source }),
            };
            (task, result)
        });
    }

    /// Waits until all tasks have stopped. The first failure makes all others stop too, and is returned.
    ///
    /// # Errors
    /// The first failure, or [`Error::Stuck`] if tasks are still running `grace` after the shutdown was requested.
    pub async fn run(mut self, grace: Duration) -> Result<(), Error> {
        let mut outcome = Ok(());
        let deadline = async {
            self.shutdown.requested().await;
            tokio::time::sleep(grace).await;
        };
        tokio::pin!(deadline);
        loop {
            let finished = tokio::select! {
                finished = self.tasks.join_next() => finished,
                () = &mut deadline => return outcome.and(Err(Error::Stuck { grace })),
            };
            let Some(finished) = finished else { return outcome };
            let (task, result) = match finished {
                Ok(named) => named,
                Err(source) => ("supervisor", Err(Error::Panicked { task: "supervisor", source })),
            };
            tracing::debug!(task, "stopped");
            if result.is_err() && outcome.is_ok() {
                self.shutdown.request();
                outcome = result;
            }
        }
    }
}

/// The short tasks of one component. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct TaskGroup(TaskTracker);

impl TaskGroup {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task of the group.
    pub fn start<F>(&self, run: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.spawn(run);
    }

    /// How many are running.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is running.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until none is running. Starting more while waiting is allowed, and waited for.
    pub async fn drained(&self) {
        self.0.close();
        self.0.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_failing_task_stops_the_others_and_is_reported() {
        let shutdown = Shutdown::new();
        let mut supervisor = Supervisor::new(shutdown.clone());
        let patient = shutdown.clone();
        supervisor.start("patient", async move {
            patient.requested().await;
            Ok::<(), BoxError>(())
        });
        supervisor.start("failing", async { Err::<(), BoxError>("broken".into()) });
        let error = supervisor.run(Duration::from_secs(5)).await.expect_err("one failed");
        assert!(matches!(error, Error::Failed { task: "failing", .. }), "{error}");
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn panicking_task_is_an_error_and_not_silence() {
        let mut supervisor = Supervisor::new(Shutdown::new());
        supervisor.start("panicking", async {
            assert!(Shutdown::new().is_requested(), "on purpose");
            Ok::<(), BoxError>(())
        });
        let error = supervisor.run(Duration::from_secs(5)).await.expect_err("it panicked");
        assert!(matches!(error, Error::Panicked { task: "panicking", .. }), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn task_that_does_not_stop_is_given_up_on() {
        let shutdown = Shutdown::new();
        let mut supervisor = Supervisor::new(shutdown.clone());
        supervisor.start("deaf", std::future::pending::<Result<(), BoxError>>());
        shutdown.request();
        let error = supervisor.run(Duration::from_secs(30)).await.expect_err("it hangs");
        assert!(matches!(error, Error::Stuck { .. }), "{error}");
    }
}
