//! What goes wrong with a queue.

/// A cause from an adapter.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why dispatches were not taken. None of them is on the queue for certain; some may be, so a publish that is tried
/// again can make an event come twice: the dispatch carries the event's id for that.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// No disk space: it will be refused until there is some.
    #[error("the queue's disk is full")]
    Full(#[source] Cause),
    /// The queue can't be reached or does not confirm; it may later.
    #[error("the queue does not take messages now")]
    Unavailable(#[source] Cause),
}

/// Why the queue can't be used otherwise.
#[derive(Debug, thiserror::Error)]
#[error("the queue can't be used")]
pub struct Error(#[source] pub Cause);
