//! The lane of what comes back: ordered by due time, the soonest in memory and the later ones on disk.

use std::collections::{BTreeMap, HashSet};

use ringback_core::Timestamp;

use super::buffer::{Size, Waiting};
use super::fresh::Complete;

/// When a message is due, and its id: the order of the lane.
pub(super) type DueKey = (Timestamp, u64);

/// The returned lane, both what is due and what is not yet.
///
/// All messages before `horizon` are in memory, all others on disk only. A message that comes in goes to the side its
/// due time says, so it does not matter how late it is told of. Where memory gets short the last ones are dropped from
/// it (they are on disk anyway) and the horizon comes nearer.
#[derive(Debug)]
pub(super) struct Returned {
    max: Size,
    soonest: BTreeMap<DueKey, Waiting>,
    size: Size,
    /// None: all are in memory.
    horizon: Option<DueKey>,
    reading: Option<Reading>,
}

/// What is being read from disk, and what happens meanwhile.
#[derive(Debug)]
struct Reading {
    from: DueKey,
    /// Messages whose rows went away meanwhile: the reader may still see them.
    deleted: HashSet<u64>,
}

impl Returned {
    /// The lane as it is found when the file is opened: all on disk.
    pub(super) fn found_on_disk(max: Size, count: u64) -> Self {
        let horizon = (count > 0).then_some((Timestamp::from_ms(i64::MIN), 0));
        Self { max, soonest: BTreeMap::new(), size: Size::default(), horizon, reading: None }
    }

    /// Takes in a message that was just committed.
    pub(super) fn arrive(&mut self, key: DueKey, message: Waiting) {
        if self.horizon.is_some_and(|horizon| key >= horizon) {
            return;
        }
        self.size += message.size;
        self.soonest.insert(key, message);
        while self.size.is_full(self.max)
            && self.soonest.len() > 1
            && let Some((last, dropped)) = self.soonest.pop_last()
        {
            self.size -= dropped.size;
            self.horizon = Some(last);
        }
    }

    /// The first that is due at `now`.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Waiting> {
        let first = self.soonest.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let message = first.remove();
        self.size -= message.size;
        Some(message)
    }

    /// The first due time after `moment`, of what is in memory.
    pub(super) fn due_after(&self, moment: Timestamp) -> Option<Timestamp> {
        self.soonest.range((moment, u64::MAX)..).next().map(|((due, _), _)| *due)
    }

    /// Whether it is time to read from disk.
    pub(super) fn wants(&self) -> bool {
        self.horizon.is_some() && self.size.is_low(self.max)
    }

    /// Begins to read from disk, if it is time to: from this key on. Until [`read`](Self::read) or
    /// [`read_failed`](Self::read_failed), whatever comes in is kept in memory; what of it lies behind the end of what
    /// was read is dropped then.
    pub(super) fn begin_reading(&mut self) -> Option<DueKey> {
        let from = self.horizon.filter(|_| self.size.is_low(self.max))?;
        self.horizon = None;
        self.reading = Some(Reading { from, deleted: HashSet::new() });
        Some(from)
    }

    /// Takes in what was read. `held` tells of messages that are handed out or acked: with a horizon that moved to and
    /// fro, those may lie behind it and be read again.
    pub(super) fn read(
        &mut self,
        messages: Vec<Waiting>,
        complete: Complete,
        held: impl Fn(u64) -> bool,
    ) {
        let Some(reading) = self.reading.take() else {
            return;
        };
        let end = match (complete, messages.last().map(key_of)) {
            (Complete::No, Some((due, id))) => Some((due, id + 1)),
            (Complete::Yes, _) | (Complete::No, None) => None,
        };
        self.lower_horizon(end);
        for message in messages {
            if !held(message.id) && !reading.deleted.contains(&message.id) {
                self.arrive(key_of(&message), message);
            }
        }
    }

    /// Nothing could be read: all is as it was.
    pub(super) fn read_failed(&mut self) {
        if let Some(reading) = self.reading.take() {
            self.lower_horizon(Some(reading.from));
        }
    }

    /// A message's row is gone.
    pub(super) fn deleted(&mut self, id: u64) {
        if let Some(reading) = &mut self.reading {
            reading.deleted.insert(id);
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Since when the first that is due waits.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.soonest.first_key_value().map(|((due, _), _)| *due)
    }

    fn lower_horizon(&mut self, to: Option<DueKey>) {
        let Some(to) = to else { return };
        let horizon = self.horizon.map_or(to, |horizon| horizon.min(to));
        self.horizon = Some(horizon);
        for dropped in self.soonest.split_off(&horizon).into_values() {
            self.size -= dropped.size;
        }
    }
}

fn key_of(message: &Waiting) -> DueKey {
    (message.since(), message.id)
}

#[cfg(test)]
mod tests {
    use super::super::buffer::Body;
    use super::*;

    fn message(id: u64, due_ms: i64) -> Waiting {
        Waiting {
            id,
            due: Some(Timestamp::from_ms(due_ms)),
            queued_at: Timestamp::EPOCH,
            body: Body::Text(String::new()),
            size: Size { dispatches: 1, bytes: 1 },
            redelivered: false,
        }
    }

    fn lane_of(messages: &[(u64, i64)]) -> Returned {
        let mut lane = Returned::found_on_disk(Size { dispatches: 4, bytes: 1_000 }, 0);
        for (id, due_ms) in messages {
            let message = message(*id, *due_ms);
            lane.arrive(key_of(&message), message);
        }
        lane
    }

    fn all(lane: &mut Returned) -> Vec<u64> {
        let end = Timestamp::from_ms(i64::MAX);
        std::iter::from_fn(|| lane.take(end)).map(|message| message.id).collect()
    }

    #[test]
    fn later_ones_give_way_to_sooner_ones_and_are_read_again() {
        let mut lane = lane_of(&[(1, 50), (2, 40), (3, 30), (4, 20), (5, 10)]);
        assert_eq!(all(&mut lane), [5, 4, 3]);
        let from = lane.begin_reading().expect("there is more on disk");
        assert_eq!(from, (Timestamp::from_ms(40), 2));
        lane.read(vec![message(2, 40), message(1, 50)], Complete::Yes, |_| false);
        assert_eq!(all(&mut lane), [2, 1]);
        assert_eq!(lane.begin_reading(), None);
    }

    #[test]
    fn what_was_handed_out_or_deleted_meanwhile_is_not_read_again() {
        // The clock was put back: what was handed out lies behind the horizon.
        let mut lane = lane_of(&[(1, 50), (2, 40), (3, 30), (4, 20)]);
        all(&mut lane);
        lane.begin_reading().expect("there is more on disk");
        lane.deleted(2);
        let read = vec![message(1, 50), message(2, 40), message(3, 30)];
        lane.read(read, Complete::Yes, |id| id == 3);
        assert_eq!(all(&mut lane), [1]);
    }

    #[test]
    fn what_comes_while_reading_is_kept_or_left_by_where_the_reading_ended() {
        let mut lane = lane_of(&[(1, 40), (2, 30), (3, 20), (4, 10)]);
        all(&mut lane);
        lane.begin_reading().expect("there is more on disk");
        for new in [message(5, 35), message(6, 60)] {
            lane.arrive(key_of(&new), new);
        }
        lane.read(vec![message(1, 40)], Complete::No, |_| false);
        assert_eq!(all(&mut lane), [5, 1]);
        assert_eq!(lane.begin_reading(), Some((Timestamp::from_ms(40), 2)));
        lane.read_failed();
        assert_eq!(lane.begin_reading(), Some((Timestamp::from_ms(40), 2)), "asked for again");
    }
}
