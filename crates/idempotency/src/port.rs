//! The port: what Ringback asks of an idempotency store.

use std::time::Duration;

use async_trait::async_trait;
use ringback_core::rate::{Admission, Asking, RateLimit};
use ringback_core::retry::AttemptNumber;
use ringback_core::{Account, CallbackId, DeliveryId};

/// Claims on attempts, and the answers to requests that may come twice.
#[async_trait]
pub trait Idempotency: Send + Sync + 'static {
    /// Claims attempts, one answer for each in the same order, so that of two workers that hold the same dispatch only
    /// one sends. A granted claim is held for `lease`, then anybody may claim it.
    ///
    /// # Errors
    /// [`Error`] if the store can't be reached: nothing is claimed then.
    async fn claim(&self, attempts: &[AttemptKey], lease: Duration) -> Result<Vec<Claim>, Error>;

    /// Marks attempts as settled: who claims one from now on is told so. A claim that was meanwhile granted to
    /// somebody else (its fence is higher) is left alone.
    ///
    /// # Errors
    /// [`Error`] if the store can't be reached.
    async fn settle(&self, attempts: &[(AttemptKey, Fence)]) -> Result<(), Error>;

    /// Forgets claims and marks, once the message that carried the attempts is acked: memory follows the work in
    /// flight. A claim that was meanwhile granted to somebody else is left alone.
    ///
    /// # Errors
    /// [`Error`] if the store can't be reached.
    async fn forget(&self, attempts: &[(AttemptKey, Fence)]) -> Result<(), Error>;

    /// Begins a request that its sender may repeat. A publish made after this returned is never durable without the
    /// key being remembered.
    ///
    /// `fingerprint` tells requests with the same key and different contents apart. `keep` is how long the key is
    /// remembered, `mark` whatever the caller wants a repeat to be told that finds the request unfinished: it makes the
    /// same ids out of it, and another request with the same key, after `keep`, others.
    ///
    /// # Errors
    /// [`Error`] if the store can't be reached: nothing is begun then.
    async fn begin(
        &self,
        key: &RequestKey,
        fingerprint: &str,
        keep: Duration,
        mark: &str,
    ) -> Result<Begun, Error>;

    /// Ends a request that was [`begun`](Self::begin): repeats get this answer. If the process dies before this is
    /// durable, a repeat is told [`Begun::Unfinished`].
    ///
    /// # Errors
    /// [`Error`] if the store can't be reached.
    async fn complete(&self, key: &RequestKey, answer: &str) -> Result<(), Error>;

    /// Ends a request that came to nothing: a repeat is a first one.
    ///
    /// # Errors
    /// [`Error`] if the store can't be reached.
    async fn abandon(&self, key: &RequestKey) -> Result<(), Error>;

    /// Ends a request of which nobody knows what came of it, such as a publish that was not confirmed in time: a repeat
    /// is told [`Begun::Unfinished`].
    ///
    /// # Errors
    /// [`Error`] if the store can't be reached.
    async fn leave_open(&self, key: &RequestKey) -> Result<(), Error>;

    /// Asks for one request to a callback under its rate limit, counted over all processes that share this store.
    ///
    /// # Errors
    /// [`Error`] if the store can't be reached: nothing is counted then.
    async fn admit(
        &self,
        callback: CallbackId,
        limit: RateLimit,
        asking: Asking,
    ) -> Result<Admission, Error>;

    /// Whether the store could take a claim now.
    ///
    /// # Errors
    /// [`Error`] says what is missing.
    async fn ready(&self) -> Result<(), Error>;
}

/// One attempt of one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptKey {
    /// Which delivery.
    pub delivery: DeliveryId,
    /// Which attempt of it.
    pub attempt: AttemptNumber,
}

/// Grows with each grant of the same claim, so that who comes late is told apart from who holds it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub(crate) u64);

/// The answer to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is yours.
    Granted(Fence),
    /// Somebody else has it, at the longest for this long.
    Held {
        /// Until the lease ends.
        left: Duration,
    },
    /// It is done.
    Settled,
}

/// Names a request that its sender may repeat.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RequestKey {
    /// An event id that the producer chose.
    Event {
        /// Ids are unique within an account.
        account: Account,
        /// The id.
        id: ringback_core::EventId,
    },
    /// An `Idempotency-Key` header.
    Header {
        /// The scope: an account, or the instance for admin keys.
        account: Option<Account>,
        /// The header's value.
        key: String,
    },
}

/// The answer to beginning a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is the first.
    New,
    /// An earlier one was begun and never ended, because its process died: what it published may be on the queue.
    Unfinished {
        /// The mark of the first of them.
        mark: String,
    },
    /// An earlier one is still being worked on.
    InProgress,
    /// An earlier one was ended with this answer.
    Done {
        /// What was answered then.
        answer: String,
    },
    /// An earlier one had the same key and another fingerprint.
    Conflict,
}

/// The idempotency store can't be used.
#[derive(Debug, thiserror::Error)]
#[error("the idempotency store can't be used")]
pub struct Error(#[source] pub Box<dyn std::error::Error + Send + Sync>);
