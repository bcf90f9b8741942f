//! The one writer: gathers, commits, tells.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ringback_runtime::Shutdown;
use sqlx::SqliteConnection;
use tokio::sync::Notify;

use crate::{Database, Error};

/// Somebody whose writes share the commits: the queue, the history, the idempotency store.
#[async_trait]
pub trait Participant: Send + 'static {
    /// Takes what is waiting, or a good part of it, as the next batch. False if there is nothing.
    ///
    /// What is not taken must be announced again with [`Wake::wake`].
    fn gather(&mut self) -> bool;

    /// Writes the batch, in a transaction that others share.
    ///
    /// # Errors
    /// Rolls the transaction back. It may then be called again with the same batch, in a transaction of its own.
    async fn write(&mut self, connection: &mut SqliteConnection) -> Result<(), Error>;

    /// Tells whoever waits for the batch what became of it, and forgets the batch. Called once for each [`gather`]
    /// that returned true.
    ///
    /// [`gather`]: Self::gather
    fn settle(&mut self, committed: Result<(), &Error>);
}

/// The order in which batches are gathered. Work handed in first is durable first if it has the higher rank: it is
/// gathered after the other, and so is in the same commit or in an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Messages.
    Queue,
    /// Events, deliveries, attempts.
    History,
    /// Request keys: one begun before a publish is durable no later than that.
    Idempotency,
}

/// Tells the writer that something waits. Cheap; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Wakes>);

#[derive(Debug, Default)]
struct Wakes {
    now: Notify,
    soon: Notify,
}

/// How long that waits for company which nobody waits for.
const LINGER: Duration = Duration::from_millis(20);

impl Wake {
    /// Something waits, and somebody for it.
    pub fn wake(&self) {
        self.0.now.notify_one();
    }

    /// Something waits, and nobody for it: it goes with the next commit that somebody does wait for, or soon. It would
    /// cost a sync of the disk of its own otherwise.
    pub fn wake_soon(&self) {
        self.0.soon.notify_one();
    }

    /// # Cancel safety
    /// A wake that comes while nobody is here is kept; one that is cancelled while it lingers is forgotten.
    pub(crate) async fn woken(&self) {
        tokio::select! {
            () = self.0.now.notified() => return,
            () = self.0.soon.notified() => {}
        }
        let _in_time = tokio::time::timeout(LINGER, self.0.now.notified()).await;
    }
}

pub(crate) type Participants = Mutex<Vec<(Rank, Box<dyn Participant>)>>;

impl Database {
    /// Commits what participants have waiting until asked to stop, and then until nothing is left, so that what was
    /// handed in before the request is on disk.
    ///
    /// # Errors
    /// None: a failed commit is told to those who wait for it, and the next one is tried.
    pub async fn run_writer(self: Arc<Self>, shutdown: Shutdown) -> Result<(), Error> {
        let mut participants = self.take_participants();
        participants.sort_by_key(|(rank, _)| *rank);
        loop {
            tokio::select! {
                () = self.wake().woken() => {}
                () = shutdown.requested() => break,
            }
            self.commit(&mut participants).await;
        }
        // A failure ends it too: what is kept for another try would keep a full disk's process from ever stopping.
        while self.commit(&mut participants).await == Commit::Done {}
        Ok(())
    }

    async fn commit(&self, participants: &mut [(Rank, Box<dyn Participant>)]) -> Commit {
        let mut batch: Vec<&mut Box<dyn Participant>> = Vec::new();
        for (_, participant) in participants {
            if participant.gather() {
                batch.push(participant);
            }
        }
        if batch.is_empty() {
            return Commit::Idle;
        }
        let together = self.commit_together(&mut batch).await;
        if together.is_ok() || batch.len() == 1 {
            for participant in batch {
                participant.settle(together.as_ref().copied());
            }
            return if together.is_ok() {
                Commit::Done
            } else {
                Commit::Failed
            };
        }
        // One batch that can't be written must not take the others along for ever. Highest rank first: what was handed
        // in first must not become durable last, should the process die between two of these.
        for participant in batch.into_iter().rev() {
            let alone = self.commit_together(&mut [&mut *participant]).await;
            participant.settle(alone.as_ref().copied());
        }
        Commit::Failed
    }

    /// The transaction is opened and closed by hand: SQLite ends it by itself on some errors (a full disk is one), and
    /// sqlx's own count of open transactions does not notice, after which it refuses to begin another.
    async fn commit_together(&self, batch: &mut [&mut Box<dyn Participant>]) -> Result<(), Error> {
        let mut connection = self.writer().await;
        // IMMEDIATE: it is going to write, and must not find out half-way that it may not.
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut *connection)
            .await?;
        let written = write_and_commit(&mut connection, batch).await;
        if written.is_err()
            && let Err(error) = sqlx::query("ROLLBACK").execute(&mut *connection).await
        {
            tracing::debug!(%error, "nothing left to roll back");
        }
        written
    }
}

/// What became of one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commit {
    /// Nobody had anything.
    Idle,
    /// All of it is on disk.
    Done,
    /// Some of it is not.
    Failed,
}

async fn write_and_commit(
    connection: &mut SqliteConnection,
    batch: &mut [&mut Box<dyn Participant>],
) -> Result<(), Error> {
    for participant in batch {
        participant.write(connection).await?;
    }
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(())
}
