//! One event on its way to one callback, as the history tells it.

use std::borrow::Cow;
use std::time::Duration;

use crate::callback::{Format, Method};
use crate::retry::{AttemptNumber, Position};
use crate::{Account, CallbackId, DeliveryId, EventId, EventName, Outcome, Timestamp};

/// One event on its way to one callback.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// See [`DeliveryId::of`].
    pub id: DeliveryId,
    /// What is delivered.
    pub event: EventId,
    /// The event's name, so that a list needs no second look-up.
    pub event_name: EventName,
    /// The account it belongs to.
    pub account: Account,
    /// Whom it is delivered to.
    pub callback: CallbackId,
    /// 0, or the number of the replay that made it.
    pub generation: u32,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts made so far.
    pub attempts: u32,
    /// The number of the first attempt of the series that it is in, see [`Position`].
    pub series_start: AttemptNumber,
    /// When the event was accepted.
    pub created_at: Timestamp,
    /// When this was last written.
    pub updated_at: Timestamp,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// Not settled yet.
    Pending {
        /// The next attempt is made then, or is being made.
        next_attempt_at: Timestamp,
        /// Why it waits; none: it does not, an attempt is under way.
        waits: Option<WaitReason>,
    },
    /// A 2xx came.
    Delivered,
    /// The policy is spent, or the endpoint is gone.
    Exhausted,
    /// Given up on without being spent.
    Cancelled(CancelReason),
}

/// Why a pending delivery waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The last attempt failed.
    Retry,
    /// As many requests as its callback allows are under way.
    Concurrency,
    /// Its callback gets as many requests a second as it wants.
    RateLimit,
    /// Its callback's endpoint fails, and is left alone for a while.
    CircuitOpen,
    /// Its callback is paused. No dispatch is on the queue: resuming makes one.
    Paused,
    /// Its event is to be delivered later.
    Scheduled,
}

/// Why a delivery was given up on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// The callback was disabled meanwhile.
    CallbackDisabled,
    /// The callback was deleted meanwhile.
    CallbackDeleted,
    /// Somebody asked for it. What is on its way of it then does not bring it back.
    Requested,
}

impl CancelReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::CallbackDisabled, Self::CallbackDeleted, Self::Requested];
}

impl WaitReason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Retry,
        Self::Concurrency,
        Self::RateLimit,
        Self::CircuitOpen,
        Self::Paused,
        Self::Scheduled,
    ];
}

impl Delivery {
    /// The attempt that would come next, and the series it would be in.
    #[must_use]
    pub fn next_position(&self) -> Position {
        let attempt = AttemptNumber::MIN.saturating_add(self.attempts);
        Position { attempt, series_start: self.series_start }
    }

    /// The attempt that somebody asks for: it begins a series.
    ///
    /// A delivery that was settled before its first attempt goes on with 2: an attempt 1 would be taken for the one that
    /// was cancelled, should it be handed out again after a crash. One that was cancelled on request leaves out two
    /// numbers: of what was on its way then, which may have been asked for as well, and of the retry that it may lead to
    /// yet. What is asked for now is told from both. One whose first attempt waits for its circuit goes on with 2, too: with 1
    /// it would be that attempt, and wait on.
    #[must_use]
    pub fn position_by_hand(&self) -> Position {
        let next = self.next_position().attempt;
        let attempt = match self.state {
            DeliveryState::Cancelled(CancelReason::Requested) => next.saturating_add(2),
            DeliveryState::Pending { waits: Some(WaitReason::CircuitOpen), .. }
            | DeliveryState::Delivered
            | DeliveryState::Exhausted
            | DeliveryState::Cancelled(_) => next.max(AttemptNumber::MIN.saturating_add(1)),
            DeliveryState::Pending { .. } => next,
        };
        Position { attempt, series_start: attempt }
    }
}

impl DeliveryState {
    /// The word that stands in rows and answers.
    #[must_use]
    pub const fn status(self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
            Self::Cancelled(_) => "cancelled",
        }
    }

    /// Whether no attempt follows by itself.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Pending { .. })
    }
}

impl WaitReason {
    /// The word that stands in rows and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Concurrency => "concurrency",
            Self::RateLimit => "rate_limit",
            Self::CircuitOpen => "circuit_open",
            Self::Paused => "paused",
            Self::Scheduled => "scheduled",
        }
    }
}

impl CancelReason {
    /// The word that stands in rows and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallbackDisabled => "callback_disabled",
            Self::CallbackDeleted => "callback_deleted",
            Self::Requested => "requested",
        }
    }
}

/// One HTTP request of a delivery, and what it met.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Which delivery it belongs to.
    pub delivery: DeliveryId,
    /// 1 is the first.
    pub number: AttemptNumber,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, to the last byte kept of the response.
    pub duration: Duration,
    /// What was sent.
    pub request: SentRequest,
    /// What it met.
    pub outcome: Outcome,
    /// What came back, if anything did.
    pub response: Option<Response>,
}

/// A request as it was sent, but for its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentRequest {
    /// GET or POST.
    pub method: Method,
    /// The whole URL, tags replaced.
    pub url: String,
    /// Name and value of each header, secrets masked.
    pub headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    /// The format of the body: the body itself follows from it and the event, and is not kept twice. None with GET.
    pub format: Option<Format>,
}

/// What a receiver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Name and value of each header, bytes outside ASCII replaced.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body.
    pub body: Vec<u8>,
    /// Whether there was more of it.
    pub body_truncated: bool,
}

/// How much of a response's body is kept: 16 KiB.
pub const RESPONSE_BODY_BYTES_MAX: usize = 16 * 1024;
