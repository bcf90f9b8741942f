//! What labels say, as types.

use ringback_core::Outcome;
use ringback_core::delivery::{DeliveryState, WaitReason};

/// A closed set of words, one of which is a label's value.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$of])* $variant,)+
        }

        impl $name {
            /// What its label says, in the order of the variants.
            pub const ALL: [&'static str; [$($word),+].len()] = [$($word),+];

            pub(crate) const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

words! {
    /// Which way an event came in.
    Source {
        /// `POST /v1/events`.
        Http = "http",
        /// What producers put on a queue themselves.
        Amqp = "amqp",
    }
}

words! {
    /// Why an event was not taken.
    Rejection {
        /// Its body can't be read, or a header is wrong.
        NotJson = "not_json",
        /// A field is wrong.
        Invalid = "invalid",
        /// It has too many bytes.
        TooLarge = "too_large",
        /// It is written in a form that is not taken.
        ContentType = "content_type",
        /// Nobody may send with this key.
        Unauthorized = "unauthorized",
        /// Another request with its id or key is being worked on, or had another body.
        Conflict = "conflict",
        /// The queue could not take it.
        Unavailable = "unavailable",
    }
}

words! {
    /// What a process can't do without, or not well.
    Dependency {
        /// The queue.
        Broker = "broker",
        /// Configuration and history.
        Store = "store",
        /// Claims, keys and rates.
        Idempotency = "idempotency",
    }
}

words! {
    /// Where messages wait.
    Queue {
        /// New events.
        Fresh = "fresh",
        /// What comes back, and is due.
        Returned = "returned",
        /// What comes back, and is not.
        Delayed = "delayed",
        /// What can't be read.
        Poison = "poison",
        /// What producers put on a queue, and nobody took in yet.
        Intake = "intake",
        /// What producers put on a queue and could not be taken.
        Rejected = "rejected",
        /// What no queue was bound for.
        Unrouted = "unrouted",
    }
}

/// The same array, for a `static`.
pub(crate) const fn values<const N: usize>(all: [&'static str; N]) -> [&'static str; N] {
    all
}

pub(crate) const OUTCOMES: usize = 5;
pub(crate) const STATUSES: usize = 3;
pub(crate) const CANCELLED: usize = 2;
pub(crate) const RETRY_REASONS: usize = 5;

/// Its place among the values of the label `outcome`.
pub(crate) const fn outcome(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Success { .. } => 0,
        Outcome::HttpError { .. } => 1,
        Outcome::Timeout { .. } => 2,
        Outcome::Connection { .. } => 3,
        Outcome::Blocked { .. } => 4,
    }
}

/// Its place among the values of the label `status`; none: it is not settled.
pub(crate) const fn status(state: DeliveryState) -> Option<usize> {
    match state {
        DeliveryState::Pending { .. } => None,
        DeliveryState::Delivered => Some(0),
        DeliveryState::Exhausted => Some(1),
        DeliveryState::Cancelled(_) => Some(CANCELLED),
    }
}

/// Its place among the values of the label `reason`; none: it is neither a retry nor put off.
pub(crate) const fn retry_reason(waits: WaitReason) -> Option<usize> {
    match waits {
        WaitReason::Retry => Some(0),
        WaitReason::RateLimit => Some(1),
        WaitReason::Concurrency => Some(2),
        WaitReason::Paused => Some(3),
        WaitReason::CircuitOpen => Some(4),
        WaitReason::Scheduled => None,
    }
}
