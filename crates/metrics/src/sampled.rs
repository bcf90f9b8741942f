//! What is not counted but asked for now and then. What could not be asked says nothing, rather than what was true once.

use std::time::Duration;

use ringback_core::delivery::WaitReason;

use crate::words::{Dependency, Queue};

/// How many deliveries are overdue, by what they wait for.
pub type Overdue = Vec<(WaitReason, u64)>;

/// What was found out last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sampled {
    pub(crate) up: [Option<bool>; Dependency::ALL.len()],
    pub(crate) queues: [Option<u64>; Queue::ALL.len()],
    pub(crate) overdue: Option<Overdue>,
    pub(crate) oldest: OldestSeen,
}

/// How long the oldest is due, as far as each of those can tell that are asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OldestSeen {
    pub(crate) on_the_queue: Option<Duration>,
    pub(crate) in_the_history: Option<Duration>,
}

impl OldestSeen {
    pub(crate) fn longest(self) -> Option<Duration> {
        self.on_the_queue.max(self.in_the_history)
    }
}
