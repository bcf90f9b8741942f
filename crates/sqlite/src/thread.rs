//! The thread that commits run on: SQLite blocks while the disk syncs, and no other task may wait behind that.

use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use crate::Error;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// A connection of its own on a thread of its own. To drop this waits for the thread to end: who opens the file next
/// must not meet a commit that is still under way.
pub(crate) struct CommitThread {
    /// None only while it is being dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for CommitThread {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // On the thread itself, should the last job drop the last owner, there is nothing to wait for.
        let thread =
            self.thread.take().filter(|it| it.thread().id() != std::thread::current().id());
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread of the commits had panicked");
        }
    }
}

impl CommitThread {
    /// Opens a file that exists.
    pub(crate) fn start(file: &Path) -> Result<Self, Error> {
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // The journal mode is the file's; these are the connection's.
        connection.execute_batch(
            "PRAGMA synchronous = FULL;
             PRAGMA busy_timeout = 5000;
             PRAGMA temp_store = memory;
             PRAGMA wal_autocheckpoint = 4000;
             PRAGMA journal_size_limit = 67108864;
             PRAGMA cache_size = -32768;",
        )?;
        connection.set_prepared_statement_cache_capacity(64);
        let (jobs, to_do) = mpsc::channel::<Job>();
        let run = move || {
            for job in to_do {
                job(&connection);
            }
        };
        let thread = std::thread::Builder::new().name("commits".to_owned()).spawn(run);
        let thread = thread.map_err(|error| Error::Sqlite(Box::new(error)))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs a job on the thread.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the thread is gone, which is what a panic on it comes to.
    ///
    /// # Cancel safety
    /// The job is run all the same.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> R + Send + 'static,
    ) -> Result<R, Error> {
        let (answer, answered) = oneshot::channel();
        let job = move |connection: &Connection| {
            // Nobody waits any more: the process is ending.
            let _ = answer.send(job(connection));
        };
        let jobs = self.jobs.as_ref().ok_or(Error::Stopped)?;
        jobs.send(Box::new(job)).map_err(|_| Error::Stopped)?;
        answered.await.map_err(|_| Error::Stopped)
    }
}
