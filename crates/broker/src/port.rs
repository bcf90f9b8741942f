//! The port: what Ringback asks of a queue.

use std::time::Duration;

use async_trait::async_trait;
use ringback_core::{Dispatch, Timestamp};

use crate::{Error, PublishError};

/// A durable queue of dispatches.
///
/// **Durability.** What [`publish`](Self::publish) or [`publish_after`](Self::publish_after) confirmed survives the
/// death of every process at every moment, until it is acked.
/// **At least once.** A message that was handed out and not acked is handed out again after its consumer is gone,
/// marked [`redelivered`](Message::redelivered).
/// **Order.** Roughly that of publishing; nobody may rely on it.
/// **Two lanes.** Dispatches that come back (retries, put-off ones) stand in a lane of their own. A consumer gets both
/// in turn, so that neither keeps the other waiting.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// Puts dispatches on the queue. Returns once they are durable.
    ///
    /// # Errors
    /// [`PublishError`]; see there what it says of the dispatches.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether they are on the queue.
    async fn publish(&self, dispatches: Vec<Dispatch>) -> Result<(), PublishError>;

    /// Puts dispatches on the queue that are handed out not before their time: never early, and late by an eighth of
    /// their wait, 5 s at the most, and as little as the load allows. Returns once they are durable. A time gone by means now.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    async fn publish_after(&self, delayed: Vec<Delayed>) -> Result<(), PublishError>;

    /// Begins to take messages. Several consumers share the messages between them.
    ///
    /// # Errors
    /// [`Error`] if the queue can't be reached.
    async fn consume(&self) -> Result<Box<dyn Consumer>, Error>;

    /// Says that all of a message is settled: it is not handed out again.
    ///
    /// Takes effect soon, not at once: until then a crash hands the message out again.
    fn ack(&self, receipt: Receipt);

    /// Whether the queue could take a message now.
    ///
    /// # Errors
    /// [`Error`] says what is missing.
    async fn ready(&self) -> Result<(), Error>;

    /// How much is waiting.
    ///
    /// # Errors
    /// [`Error`] if the queue can't be asked.
    async fn depth(&self) -> Result<Depth, Error>;
}

/// Takes messages off a queue.
#[async_trait]
pub trait Consumer: Send {
    /// The next message; none after the queue was shut down.
    ///
    /// Messages handed out and not acked cost the queue memory: it is for the caller to take no more than it can work
    /// on.
    ///
    /// # Cancel safety
    /// Safe: a message is either returned or still on the queue.
    async fn next(&mut self) -> Option<Message>;

    /// Takes no more: what was fetched and not handed out goes back at once, for others to take. What was handed out
    /// can still be acked.
    async fn stop(&mut self) {}

    /// Lets go, after [`stop`](Self::stop): acks take effect, and what is not acked goes back.
    async fn finish(self: Box<Self>) {}
}

/// A dispatch that is handed out later.
#[derive(Clone, Debug)]
pub struct Delayed {
    /// Not before this moment.
    pub due: Timestamp,
    /// What is handed out then.
    pub dispatch: Dispatch,
}

/// A message: the dispatches of a bundle, to be acked together.
#[derive(Debug)]
pub struct Message {
    /// One or more.
    pub dispatches: Vec<Dispatch>,
    /// It may have been handed out before: the history has to be asked what came of it.
    pub redelivered: bool,
    /// To ack it with.
    pub receipt: Receipt,
}

/// Names a message that was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt(pub(crate) u64);

/// How much is waiting, in messages. What the queue can't tell is zero, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// New events; those handed out and not yet acked among them, if the queue can tell.
    pub fresh: u64,
    /// Come back and due; those handed out and not yet acked among them, if the queue can tell.
    pub returned: u64,
    /// Not due yet.
    pub delayed: u64,
    /// Set aside because they can't be read.
    pub poison: u64,
    /// Events that producers put on a queue, and that nobody took in yet.
    pub intake: u64,
    /// What producers put there, and could not be taken.
    pub rejected: u64,
    /// What found no queue, until it is put back.
    pub unrouted: u64,
    /// Whether something is due, and nobody there to take it.
    pub is_deserted: bool,
    /// The age of the oldest that is due.
    pub oldest_due: Option<Duration>,
}
