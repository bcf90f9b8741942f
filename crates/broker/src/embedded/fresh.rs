//! The lane of new events: a first-in-first-out queue whose head is in memory and whose tail may be on disk.

use std::collections::VecDeque;

use ringback_core::Timestamp;

use super::buffer::{Size, Waiting};

/// The fresh lane.
///
/// Once a message is left on disk all later ones are too, until the last of them was read. So what is on disk only is
/// one range of ids, and which message is where is never in question.
#[derive(Debug)]
pub(super) struct Fresh {
    max: Size,
    head: VecDeque<Waiting>,
    size: Size,
    tail: Option<Tail>,
}

/// Fresh messages with ids in `(after, to]` are on disk only. `to` was announced as committed, so a reader sees it all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    pub after: u64,
    pub to: u64,
    /// No message in it is older.
    since: Timestamp,
}

impl Fresh {
    /// The lane as it is found when the file is opened: all on disk.
    pub(super) fn found_on_disk(max: Size, last_id: u64, oldest: Option<Timestamp>) -> Self {
        let tail = oldest.map(|since| Tail { after: 0, to: last_id, since });
        Self { max, head: VecDeque::new(), size: Size::default(), tail }
    }

    /// Takes in a message that was just committed. Ids only grow from call to call.
    pub(super) fn arrive(&mut self, message: Waiting) {
        match &mut self.tail {
            Some(tail) => tail.to = message.id,
            None if self.size.is_full(self.max) => {
                self.tail =
                    Some(Tail { after: message.id - 1, to: message.id, since: message.queued_at });
            }
            None => self.push(message),
        }
    }

    pub(super) fn take(&mut self) -> Option<Waiting> {
        let message = self.head.pop_front()?;
        self.size -= message.size;
        Some(message)
    }

    /// The range to read from, if it is time to.
    pub(super) fn wants(&self) -> Option<Tail> {
        self.tail.filter(|_| self.size.is_low(self.max))
    }

    /// Takes in what was read from the beginning of `asked`: all of it, or `messages` up to a limit.
    pub(super) fn read(&mut self, asked: Tail, messages: Vec<Waiting>, complete: Complete) {
        let read_to = match (complete, messages.last()) {
            (Complete::No, Some(last)) => last.id,
            (Complete::Yes, _) | (Complete::No, None) => asked.to,
        };
        let since = messages.last().map_or(asked.since, |last| last.queued_at);
        for message in messages {
            self.push(message);
        }
        if let Some(tail) = &mut self.tail {
            tail.after = read_to;
            tail.since = since;
        }
        self.tail = self.tail.filter(|tail| tail.after < tail.to);
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Since when the first one waits.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let head = self.head.front().map(Waiting::since);
        head.or(self.tail.map(|tail| tail.since))
    }

    fn push(&mut self, message: Waiting) {
        self.size += message.size;
        self.head.push_back(message);
    }
}

/// Whether a reading met the end of what it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complete {
    /// Nothing is left of it.
    Yes,
    /// The limit was met first.
    No,
}
