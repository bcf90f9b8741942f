//! Deliveries and their attempts as they are shown.

use ringback_core::delivery::{
    Attempt, Delivery, DeliveryState, Response, SentRequest, WaitReason,
};
use ringback_core::{Event, Timestamp, render};
use serde::Serialize;
use utoipa::ToSchema;

/// One event on its way to one callback.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryAnswer {
    #[schema(format = "uuid")]
    id: String,
    /// The event's id.
    #[schema(format = "uuid")]
    event: String,
    event_name: String,
    account: String,
    /// The callback's id.
    #[schema(format = "uuid")]
    callback: String,
    /// `pending`, `delivered`, `exhausted` or `cancelled`.
    status: &'static str,
    /// While pending: when the next attempt is made; in the past, it is being made. Null if it is kept because its
    /// callback is paused: nobody knows.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    /// While pending: why it waits (`retry`, `rate_limit`, `concurrency`, `circuit_open`, `paused`, `scheduled`); null: it does not.
    #[schema(required)]
    waits_for: Option<&'static str>,
    /// If cancelled, why: `callback_disabled`, `callback_deleted` or `requested`.
    #[schema(required)]
    cancel_reason: Option<&'static str>,
    /// How many attempts were made.
    attempts_made: u32,
    /// 0, or the number of the replay that made it: replays of one event count from 1, a bulk replay has a number of its
    /// own above 2147483647, and 4294967295 is a test.
    generation: u32,
    /// When the event was accepted.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// A delivery with every attempt.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryWithAttempts {
    #[serde(flatten)]
    pub(crate) delivery: DeliveryAnswer,
    /// First one first.
    pub(crate) attempts: Vec<AttemptAnswer>,
}

/// One HTTP request of a delivery, and what it met.
///
/// An account key does not see where an instance callback sends to, nor what came back: `request`, `response` and
/// `error` are null then.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AttemptAnswer {
    /// 1 is the first.
    number: u32,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    duration_ms: u64,
    /// `success`, `http_error`, `timeout`, `connection` or `blocked`.
    outcome: &'static str,
    #[schema(required)]
    request: Option<RequestAnswer>,
    #[schema(required)]
    response: Option<ResponseAnswer>,
    /// What went wrong where there is no whole response.
    #[schema(required)]
    error: Option<String>,
}

/// A request as it was sent, its secrets masked.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RequestAnswer {
    method: &'static str,
    url: String,
    headers: Vec<HeaderAnswer>,
    /// Made again from the event; null with GET, in the live stream, and once the event's history is gone.
    #[schema(required)]
    body: Option<String>,
}

/// What a receiver answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ResponseAnswer {
    status: u16,
    headers: Vec<HeaderAnswer>,
    /// Its first 16 KiB as text: bytes that are not UTF-8 show as U+FFFD.
    body: String,
    /// Whether there was more of it.
    truncated: bool,
}

/// A header; the same name may come more than once.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct HeaderAnswer {
    name: String,
    value: String,
}

/// An attempt as it was recorded, with the delivery as it stood after it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveAttemptAnswer {
    pub(crate) delivery: DeliveryAnswer,
    pub(crate) attempt: AttemptAnswer,
}

/// A retry by hand that is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetryAnswer {
    /// The delivery's id.
    #[schema(format = "uuid")]
    pub(crate) delivery: String,
    /// The number of the attempt that is to be made now.
    pub(crate) attempt: u32,
    /// `accepted`.
    pub(crate) status: &'static str,
}

/// How much of an attempt the caller may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// All of it.
    Full,
    /// That it was made, and how it went.
    Outcome,
}

impl DeliveryAnswer {
    pub(crate) fn of(delivery: &Delivery) -> Self {
        let (next_attempt_at, waits_for, cancel_reason) = match delivery.state {
            DeliveryState::Pending { next_attempt_at, waits } => {
                let due = (waits != Some(WaitReason::Paused)).then_some(next_attempt_at);
                (due, waits.map(|reason| reason.as_str()), None)
            }
            DeliveryState::Cancelled(reason) => (None, None, Some(reason.as_str())),
            DeliveryState::Delivered | DeliveryState::Exhausted => (None, None, None),
        };
        Self {
            id: delivery.id.to_string(),
            event: delivery.event.to_string(),
            event_name: delivery.event_name.to_string(),
            account: delivery.account.to_string(),
            callback: delivery.callback.to_string(),
            status: delivery.state.status(),
            next_attempt_at,
            waits_for,
            cancel_reason,
            attempts_made: delivery.attempts,
            generation: delivery.generation,
            created_at: delivery.created_at,
            updated_at: delivery.updated_at,
        }
    }
}

impl AttemptAnswer {
    /// An attempt, the body of its request made again from the event if there is one.
    pub(crate) fn of(attempt: &Attempt, event: Option<&Event>, detail: Detail) -> Self {
        let shown = detail == Detail::Full;
        Self {
            number: attempt.number.get(),
            started_at: attempt.started_at,
            duration_ms: u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX),
            outcome: attempt.outcome.kind(),
            request: shown.then(|| RequestAnswer::of(&attempt.request, event)),
            response: attempt.response.as_ref().filter(|_| shown).map(ResponseAnswer::of),
            error: attempt.outcome.error().filter(|_| shown).map(str::to_owned),
        }
    }
}

impl RequestAnswer {
    fn of(request: &SentRequest, event: Option<&Event>) -> Self {
        let body =
            event.zip(request.format).map(|(event, format)| render::body(format, event).text);
        Self {
            method: request.method.as_str(),
            url: request.url.clone(),
            headers: HeaderAnswer::all(&request.headers),
            body,
        }
    }
}

impl ResponseAnswer {
    fn of(response: &Response) -> Self {
        Self {
            status: response.status,
            headers: HeaderAnswer::all(&response.headers),
            body: String::from_utf8_lossy(&response.body).into_owned(),
            truncated: response.body_truncated,
        }
    }
}

impl HeaderAnswer {
    pub(super) fn all<N: AsRef<str>, V: AsRef<str>>(headers: &[(N, V)]) -> Vec<Self> {
        let show = |(name, value): &(N, V)| Self {
            name: name.as_ref().to_owned(),
            value: value.as_ref().to_owned(),
        };
        headers.iter().map(show).collect()
    }
}
