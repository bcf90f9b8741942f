//! Messages that wait in memory, and how much of it they take.

use ringback_core::{Dispatch, Timestamp};

/// A message that waits in memory to be handed out. Its row is on disk besides, until it is acked.
#[derive(Debug)]
pub(super) struct Waiting {
    pub id: u64,
    /// None: it is fresh.
    pub due: Option<Timestamp>,
    /// When it was put on the queue.
    pub queued_at: Timestamp,
    pub body: Body,
    pub size: Size,
    pub redelivered: bool,
}

/// What a waiting message holds.
#[derive(Debug)]
pub(super) enum Body {
    /// It was published by this process.
    Dispatches(Vec<Dispatch>),
    /// It was read from disk, and is decoded by who takes it.
    Text(String),
}

/// How much something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub dispatches: usize,
    pub bytes: usize,
}

/// How much is kept in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// The most that a lane keeps; what is more waits on disk. Below half of it, more is read.
    pub lane_max: Size,
    /// Rows read at once.
    pub read_max: u32,
}

impl Default for Room {
    /// A row is up to 128 KiB, or one large event, so 64 of them are about as much as a lane keeps.
    fn default() -> Self {
        let lane_max = Size { dispatches: 2_000, bytes: 8 * 1024 * 1024 };
        Self { lane_max, read_max: 64 }
    }
}

impl Size {
    /// Of a bundle's text.
    pub(super) fn of(text: &str) -> Self {
        Self { dispatches: text.lines().count(), bytes: text.len() }
    }

    /// Whether a lane that holds this much takes no more.
    pub(super) fn is_full(self, max: Self) -> bool {
        self.dispatches >= max.dispatches || self.bytes >= max.bytes
    }

    /// Whether a lane that holds this much should be filled up from disk.
    pub(super) fn is_low(self, max: Self) -> bool {
        self.dispatches < max.dispatches.div_ceil(2) && self.bytes < max.bytes.div_ceil(2)
    }
}

impl std::ops::AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.dispatches += other.dispatches;
        self.bytes += other.bytes;
    }
}

impl std::ops::SubAssign for Size {
    fn sub_assign(&mut self, other: Self) {
        self.dispatches -= other.dispatches;
        self.bytes -= other.bytes;
    }
}

impl Waiting {
    /// Since when it could have been handed out.
    pub(super) fn since(&self) -> Timestamp {
        self.due.unwrap_or(self.queued_at)
    }
}
