//! Everything the queue knows in memory. One lock, held for short and never while waiting.

use std::collections::{HashMap, VecDeque};

use ringback_core::dispatch::InvalidBundle;
use ringback_core::{Dispatch, Timestamp};
use tokio::sync::oneshot;

use super::buffer::{Size, Waiting};
use super::fresh::{Complete, Fresh, Tail};
use super::returned::{DueKey, Returned};
use super::rows::{Found, Poisoned};
use crate::PublishError;

/// What the queue knows in memory.
#[derive(Debug)]
pub(super) struct State {
    fresh: Fresh,
    returned: Returned,
    turn: Lane,
    /// Messages that were handed out to a consumer that is gone, to be read from disk again.
    lost: Vec<u64>,
    /// The same, read.
    again: VecDeque<Waiting>,
    /// Messages that were handed out and whose rows are still there.
    taken: HashMap<u64, Taken>,
    /// Ids up to this one were there when the file was opened.
    found_last_id: u64,
    /// Ids up to this one were committed, or given up on.
    settled_last_id: u64,
    pub counts: Counts,
    pub inbox: Inbox,
    pub writer: Writer,
    pub feeder: Feeder,
}

/// What waits for the writer.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub calls: VecDeque<Call>,
    pub acks: Vec<u64>,
    pub poisoned: Vec<Poisoned>,
}

/// One publish and who waits for it.
#[derive(Debug)]
pub(super) struct Call {
    pub entries: Vec<Entry>,
    pub queued_at: Timestamp,
    pub confirm: oneshot::Sender<Result<(), PublishError>>,
}

/// One dispatch of a publish.
#[derive(Debug)]
pub(super) struct Entry {
    pub due: Option<Timestamp>,
    pub dispatch: Dispatch,
    pub text: String,
}

/// How the writer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// Its last commit, if there was one, succeeded.
    Well,
    /// Its last commit failed.
    Failed { at: Timestamp, disk_full: bool },
    /// It has stopped, and nothing is written any more.
    Gone,
}

/// Whether messages are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feeder {
    /// They are.
    Open,
    /// The queue was shut down.
    Stopped,
}

/// Messages not acked yet, and those set aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub fresh: u64,
    /// Due or not.
    pub later: u64,
    pub poison: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Fresh,
    Returned,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    due: Option<Timestamp>,
    since: Timestamp,
    hold: Hold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// A consumer has it.
    By(u64),
    /// Its consumer is gone, and it is to be handed out again.
    Nobody,
    /// It is acked or set aside; its row goes with the next commit.
    Over,
}

/// How many of those to be handed out again are read at once.
const AGAIN_MAX: usize = 64;

/// What is to be read from disk.
#[derive(Debug)]
pub(super) enum Reading {
    Again(Vec<u64>),
    Fresh(Tail),
    Returned { from: DueKey, id_max: u64 },
}

impl State {
    /// The state of a file that was just opened.
    pub(super) fn found(found: Found, max: Size) -> Self {
        Self {
            fresh: Fresh::found_on_disk(max, found.last_id, found.oldest_fresh),
            returned: Returned::found_on_disk(max, found.later),
            turn: Lane::Fresh,
            lost: Vec::new(),
            again: VecDeque::new(),
            taken: HashMap::new(),
            found_last_id: found.last_id,
            settled_last_id: found.last_id,
            counts: Counts { fresh: found.fresh, later: found.later, poison: found.poison },
            inbox: Inbox::default(),
            writer: Writer::Well,
            feeder: Feeder::Open,
        }
    }

    /// A message was committed.
    pub(super) fn arrive(&mut self, message: Waiting) {
        self.settled_last_id = message.id;
        match message.due {
            None => {
                self.counts.fresh += 1;
                self.fresh.arrive(message);
            }
            Some(due) => {
                self.counts.later += 1;
                self.returned.arrive((due, message.id), message);
            }
        }
    }

    /// The next message for a consumer: what was handed out before comes first, then the lanes in turn.
    pub(super) fn take(&mut self, consumer: u64, now: Timestamp) -> Option<Waiting> {
        let mut message = self.take_again().or_else(|| self.take_in_turn(now))?;
        message.redelivered |= message.id <= self.found_last_id;
        let taken = Taken { due: message.due, since: message.since(), hold: Hold::By(consumer) };
        self.taken.insert(message.id, taken);
        Some(message)
    }

    fn take_again(&mut self) -> Option<Waiting> {
        loop {
            let message = self.again.pop_front()?;
            // Acked meanwhile by who had it before its consumer went away.
            if self.is_held_by_nobody(message.id) {
                return Some(message);
            }
        }
    }

    fn take_in_turn(&mut self, now: Timestamp) -> Option<Waiting> {
        let (message, turn) = match self.turn {
            Lane::Fresh => match self.fresh.take() {
                Some(message) => (message, Lane::Returned),
                None => (self.returned.take(now)?, Lane::Fresh),
            },
            Lane::Returned => match self.returned.take(now) {
                Some(message) => (message, Lane::Fresh),
                None => (self.fresh.take()?, Lane::Returned),
            },
        };
        self.turn = turn;
        Some(message)
    }

    fn is_held_by_nobody(&self, id: u64) -> bool {
        self.taken.get(&id).is_some_and(|taken| taken.hold == Hold::Nobody)
    }

    /// A message is settled. False if it was already.
    pub(super) fn ack(&mut self, id: u64) -> bool {
        let over = self.end(id);
        if over {
            self.inbox.acks.push(id);
        }
        over
    }

    /// A message that was taken can't be read.
    pub(super) fn set_aside(&mut self, id: u64, reason: InvalidBundle, at: Timestamp) {
        if self.end(id) {
            self.counts.poison += 1;
            self.inbox.poisoned.push(Poisoned { id, reason, at });
        }
    }

    fn end(&mut self, id: u64) -> bool {
        let Some(taken) = self.taken.get_mut(&id).filter(|taken| taken.hold != Hold::Over) else {
            return false;
        };
        taken.hold = Hold::Over;
        match taken.due {
            None => self.counts.fresh -= 1,
            Some(_) => self.counts.later -= 1,
        }
        true
    }

    /// The rows of these messages are gone.
    pub(super) fn deleted(&mut self, ids: impl Iterator<Item = u64>) {
        for id in ids {
            self.taken.remove(&id);
            self.returned.deleted(id);
        }
    }

    /// A consumer is gone: what it holds is to be handed out again.
    pub(super) fn consumer_gone(&mut self, consumer: u64) {
        for (id, taken) in &mut self.taken {
            if taken.hold == Hold::By(consumer) {
                taken.hold = Hold::Nobody;
                self.lost.push(*id);
            }
        }
        // Largest first: they are taken from the end.
        self.lost.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// Whether something should be read from disk now.
    pub(super) fn wants_feeding(&self) -> bool {
        (!self.lost.is_empty() && self.again.len() < AGAIN_MAX)
            || self.fresh.wants().is_some()
            || self.returned.wants()
    }

    /// What should be read from disk now, if anything. The answer goes to [`read`](Self::read) or
    /// [`read_failed`](Self::read_failed); one at a time.
    pub(super) fn begin_reading(&mut self) -> Option<Reading> {
        if !self.lost.is_empty() && self.again.len() < AGAIN_MAX {
            let ids = self.lost.split_off(self.lost.len().saturating_sub(AGAIN_MAX));
            return Some(Reading::Again(ids));
        }
        if let Some(tail) = self.fresh.wants() {
            return Some(Reading::Fresh(tail));
        }
        let from = self.returned.begin_reading()?;
        Some(Reading::Returned { from, id_max: self.settled_last_id })
    }

    /// Takes in what was read.
    pub(super) fn read(&mut self, asked: &Reading, messages: Vec<Waiting>, complete: Complete) {
        match asked {
            Reading::Again(_) => {
                let again = messages.into_iter().map(|m| Waiting { redelivered: true, ..m });
                self.again.extend(again);
            }
            Reading::Fresh(tail) => self.fresh.read(*tail, messages, complete),
            Reading::Returned { .. } => {
                let taken = &self.taken;
                self.returned.read(messages, complete, |id| taken.contains_key(&id));
            }
        }
    }

    /// Nothing could be read: it is asked for again.
    pub(super) fn read_failed(&mut self, asked: Reading) {
        match asked {
            Reading::Again(ids) => self.lost.extend(ids),
            Reading::Fresh(_) => {}
            Reading::Returned { .. } => self.returned.read_failed(),
        }
    }

    /// The first due time after `moment`, of what is in memory.
    pub(super) fn due_after(&self, moment: Timestamp) -> Option<Timestamp> {
        self.returned.due_after(moment)
    }

    /// Since when the first of all that are not acked waits. It may lie ahead.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let taken = self.taken.values().filter(|taken| taken.hold != Hold::Over);
        let taken = taken.map(|taken| taken.since).min();
        [taken, self.fresh.oldest(), self.returned.oldest()].into_iter().flatten().min()
    }

    #[cfg(test)]
    pub(super) fn in_memory(&self) -> Size {
        let mut size = self.fresh.size();
        size += self.returned.size();
        size
    }
}
