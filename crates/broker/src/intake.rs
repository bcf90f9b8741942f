//! The port for producers that put events on a queue themselves: what ingest takes from them.

use async_trait::async_trait;

use crate::{Error, PublishError};

/// Events as their producers published them, checked by nobody yet.
#[async_trait]
pub trait Intake: Send + Sync + 'static {
    /// Begins to take messages. Several consumers share the messages between them.
    ///
    /// # Errors
    /// [`Error`] if the queue can't be reached.
    async fn consume(&self) -> Result<Box<dyn IntakeConsumer>, Error>;
}

/// Takes producers' messages.
#[async_trait]
pub trait IntakeConsumer: Send + Sync {
    /// The next messages, as many as have come and `limit` allows, at least one; none after the queue was shut down.
    ///
    /// # Cancel safety
    /// Safe: a message is either returned or still on the queue.
    async fn next(&mut self, limit: usize) -> Vec<Incoming>;

    /// Says that a message is taken over: it is not handed out again.
    fn ack(&self, receipt: IntakeReceipt);

    /// Sets a message aside as it came, with the reason why, and acks it once that is durable. It is then on the queue
    /// of rejected messages, for people to look at.
    ///
    /// # Errors
    /// [`PublishError`] if it can't be set aside now: it stays unacked.
    async fn reject(&self, incoming: &Incoming, why: &Rejection) -> Result<(), PublishError>;

    /// Takes no more: what was fetched and not handed out goes back at once. What was handed out can still be acked.
    async fn stop(&mut self);

    /// Lets go, after [`stop`](Self::stop): acks take effect, and what is not acked goes back.
    async fn finish(self: Box<Self>);
}

/// A message as its producer published it.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// What it says.
    pub body: Vec<u8>,
    /// What it says that its body is.
    pub content_type: Option<String>,
    /// How its producer names it.
    pub message_id: Option<String>,
    /// Its headers that begin with `cloudEvents:`, `cloudEvents_` or `ce-`, as texts and without that.
    pub cloud_event: Vec<(String, String)>,
    /// Its header `traceparent`, whatever it says.
    pub traceparent: Option<String>,
    /// Its header `tracestate`, likewise.
    pub tracestate: Option<String>,
    /// Where it was published to: `<account>.<name>` by the contract.
    pub routing_key: String,
    /// It may have been handed out before.
    pub redelivered: bool,
    /// To ack it with.
    pub receipt: IntakeReceipt,
}

/// Names a message that was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IntakeReceipt(pub(crate) u64);

/// Why a message is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// A word for programs, such as `not_json`, `invalid` or `too_large`.
    pub reason: &'static str,
    /// A sentence for people.
    pub detail: String,
}
