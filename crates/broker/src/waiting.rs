//! What waits on a queue, read to be moved to another one: it stays where it is.

use ringback_core::{Dispatch, Timestamp};

/// A message that waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// When it is handed out.
    pub due: Due,
    /// One or more.
    pub dispatches: Vec<Dispatch>,
}

/// When what waits is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// A new event: at once.
    Fresh,
    /// What came back: then.
    At(Timestamp),
    /// What came back: the queue does not tell when, but it is not later than this.
    NotAfter(Timestamp),
}
