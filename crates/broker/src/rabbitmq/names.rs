//! What everything is called at the server.

use std::num::NonZeroU16;

use super::ladder::LEVELS;

/// The names below a prefix. `events` and `rejected` are a contract with others and carry no version; all else may
/// change with the version in its name, since nothing can be declared anew in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    prefix: String,
    shards: NonZeroU16,
}

impl Names {
    pub(super) fn new(prefix: &str, shards: NonZeroU16) -> Self {
        Self { prefix: prefix.to_owned(), shards }
    }

    pub(super) fn shards(&self) -> u16 {
        self.shards.get()
    }

    /// Exchange: what producers publish straight, with `<account>.<name>` as routing key.
    pub(super) fn events(&self) -> String {
        format!("{}.events", self.prefix)
    }

    /// Queue: what producers published and nobody could take.
    pub(super) fn rejected(&self) -> String {
        format!("{}.rejected", self.prefix)
    }

    /// Exchange before the queue [`rejected`](Self::rejected).
    pub(super) fn rejecting(&self) -> String {
        self.inner("rejected")
    }

    /// Queue: what came to [`events`](Self::events).
    pub(super) fn intake(&self) -> String {
        self.inner("intake")
    }

    /// Exchange: new events, for one shard or spread over several.
    pub(super) fn dispatch(&self) -> String {
        self.inner(if self.shards() == 1 { "dispatch" } else { "dispatch.hash" })
    }

    /// Queue: new events, one of them a shard.
    pub(super) fn shard(&self, shard: u16) -> String {
        self.inner(&format!("dispatch.{shard}"))
    }

    /// Queue: what came back and is due.
    pub(super) fn returned(&self) -> String {
        self.inner("returned")
    }

    /// Exchange and queue: a level of the ladder.
    pub(super) fn level(&self, level: u32) -> String {
        debug_assert!(level < LEVELS);
        self.inner(&format!("delay.{level:02}"))
    }

    /// Exchange: where the ladder ends.
    pub(super) fn due(&self) -> String {
        self.inner("delay.out")
    }

    /// Exchange and queue: what can't be read, or was given back too often.
    pub(super) fn poison(&self) -> String {
        self.inner("poison")
    }

    /// Exchange and queue: what found no queue, until it is put back.
    pub(super) fn unrouted(&self) -> String {
        self.inner("unrouted")
    }

    /// Exchange: declared to see whether the plugin is there, and gone with its connection.
    pub(super) fn probe(&self) -> String {
        self.inner("probe")
    }

    fn inner(&self, name: &str) -> String {
        format!("{}.v1.{name}", self.prefix)
    }
}
