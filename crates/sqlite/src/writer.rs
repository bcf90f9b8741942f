//! The one writer: gathers, commits, tells.

use std::sync::Arc;
use std::time::Duration;

use ringback_runtime::Shutdown;
use tokio::sync::Notify;

use crate::script::transaction;
use crate::{Database, Error, Script};

/// Somebody whose writes share the commits: the queue, the history, the idempotency store.
pub trait Participant: Send + 'static {
    /// Takes what is waiting, or a good part of it, as the next batch. False if there is nothing.
    ///
    /// What is not taken must be announced again with [`Wake::wake`].
    fn gather(&mut self) -> bool;

    /// Writes the batch, in a transaction that others share. It is called on the thread of the commits, and must not
    /// wait for anything.
    ///
    /// # Errors
    /// Rolls the transaction back. It may then be called again with the same batch, in a transaction of its own.
    fn write(&mut self, script: &mut Script<'_>) -> Result<(), Error>;

    /// Tells whoever waits for the batch what became of it, and forgets the batch. Called once for each [`gather`]
    /// that returned true.
    ///
    /// [`gather`]: Self::gather
    fn settle(&mut self, committed: Result<(), &Error>);

    /// The writer is asked to stop: what was to wait for later is to be gathered from now on.
    fn close(&mut self) {}
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

pub(crate) type Participants = Vec<(Rank, Box<dyn Participant>)>;

impl Database {
    /// Commits what participants have waiting until asked to stop, and then until nothing is left, so that what was
    /// handed in before the request is on disk.
    ///
    /// # Errors
    /// A commit that fails is told to those who wait for it, and the next one is tried. Only if the thread of the
    /// commits is gone there is no next one.
    pub async fn run_writer(self: Arc<Self>, shutdown: Shutdown) -> Result<(), Error> {
        let mut participants = self.take_participants();
        participants.sort_by_key(|(rank, _)| *rank);
        loop {
            tokio::select! {
                () = self.wake().woken() => {}
                () = shutdown.requested() => break,
            }
            self.commit(&mut participants).await?;
        }
        for (_, participant) in &mut participants {
            participant.close();
        }
        // A failure ends it too: what is kept for another try would keep a full disk's process from ever stopping.
        while self.commit(&mut participants).await? == Commit::Done {}
        Ok(())
    }

    async fn commit(&self, participants: &mut Participants) -> Result<Commit, Error> {
        let mut gathered = Vec::new();
        for (place, (_, participant)) in participants.iter_mut().enumerate() {
            if participant.gather() {
                gathered.push(place);
            }
        }
        if gathered.is_empty() {
            return Ok(Commit::Idle);
        }
        let together = self.commit_together(participants, &gathered).await?;
        if together.is_ok() || gathered.len() == 1 {
            for place in gathered {
                participants[place].1.settle(together.as_ref().copied());
            }
            return Ok(if together.is_ok() { Commit::Done } else { Commit::Failed });
        }
        // One batch that can't be written must not take the others along for ever. Highest rank first: what was handed
        // in first must not become durable last, should the process die between two of these.
        for place in gathered.into_iter().rev() {
            let alone = self.commit_together(participants, &[place]).await?;
            participants[place].1.settle(alone.as_ref().copied());
        }
        Ok(Commit::Failed)
    }

    /// Writes the batches of those at these places in one transaction. The participants go to the thread and back.
    ///
    /// # Errors
    /// The outer one: the thread is gone, and the participants with it. The inner one: nothing is written.
    async fn commit_together(
        &self,
        participants: &mut Participants,
        places: &[usize],
    ) -> Result<Result<(), Error>, Error> {
        // Two connections write to the file: while the other one does, this one would wait with the thread blocked.
        let _alone = self.writer().await;
        let mut away = std::mem::take(participants);
        let places = places.to_vec();
        let commit = move |connection: &rusqlite::Connection| {
            let written = transaction(connection, |script| {
                places.iter().try_for_each(|place| away[*place].1.write(script))
            });
            (away, written)
        };
        let (back, written) = self.commits().run(commit).await?;
        *participants = back;
        Ok(written)
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
