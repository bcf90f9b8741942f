//! Valid values to write and read back.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ringback_core::callback::{
    Authorization, CallbackState, CircuitPolicy, Format, Headers, Method,
};
use ringback_core::delivery::{
    Attempt, Delivery, DeliveryState, Response, SentRequest, WaitReason,
};
use ringback_core::filter::EventFilter;
use ringback_core::retry::RetryPolicy;
use ringback_core::signature::SigningSecret;
use ringback_core::{
    Account, Callback, CallbackId, DeliveryId, Event, EventId, Outcome, Timestamp,
};

use crate::HistoryRecord;

pub(super) fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(1_767_323_045_000 + ms)
}

pub(super) fn account(name: &str) -> Account {
    name.parse().expect("an account")
}

/// A callback like most: the one numbered `number`, made so many milliseconds after the beginning of time here.
pub(super) fn callback(number: u8) -> Callback {
    let created_at = at(number.into());
    Callback {
        id: CallbackId::from_parts(created_at, [number; 10]),
        description: String::new(),
        url: "https://example.com/hook".parse().expect("a URL"),
        method: Method::Post,
        format: Format::Form,
        authorization: Authorization::None,
        headers: Headers::default(),
        state: CallbackState::Enabled,
        account: None,
        events: EventFilter::all(),
        retry: RetryPolicy::default(),
        timeout: Duration::from_secs(15),
        max_in_flight: NonZeroU32::MIN,
        rate_limit: None,
        circuit: CircuitPolicy::default(),
        signing_secret: SigningSecret::from_random([number; 32]),
        previous_secret: None,
        created_at,
        updated_at: created_at,
        resumed_at: None,
    }
}

/// Callbacks have no equality of their own: what `Debug` shows is all fields but the secrets, which are compared besides.
pub(super) fn assert_same(left: &Callback, right: &Callback) {
    assert_eq!(format!("{left:?}"), format!("{right:?}"));
    assert_eq!(left.authorization, right.authorization);
    assert_eq!(left.signing_secret, right.signing_secret);
    assert_eq!(left.previous_secret, right.previous_secret);
}

/// The event numbered `number`, accepted so many milliseconds after the beginning of time here.
pub(super) fn event(number: u32, of: &str, name: &str) -> Event {
    let accepted_at = at(number.into());
    let mut random = [0; 10];
    random[6..].copy_from_slice(&number.to_be_bytes());
    Event {
        id: EventId::from_parts(accepted_at, random),
        name: name.parse().expect("a name"),
        account: account(of),
        time: accepted_at - Duration::from_millis(7),
        accepted_at,
        // Every third one comes later.
        deliver_at: number.is_multiple_of(3).then(|| accepted_at + Duration::from_secs(3_600)),
        variables: serde_json::from_str(r#"{"COMMENT_ID":178}"#).expect("an object"),
        trace: None,
    }
}

pub(super) fn delivery(
    event: &Event,
    to: &Callback,
    state: DeliveryState,
    attempts: u32,
) -> Delivery {
    Delivery {
        id: DeliveryId::of(&event.account, event.id, to.id, 0),
        event: event.id,
        event_name: event.name.clone(),
        account: event.account.clone(),
        callback: to.id,
        generation: 0,
        state,
        attempts,
        series_start: NonZeroU32::MIN,
        created_at: event.accepted_at,
        updated_at: event.accepted_at + Duration::from_millis(attempts.into()),
    }
}

pub(super) fn pending() -> DeliveryState {
    DeliveryState::Pending { next_attempt_at: at(300_000), waits: Some(WaitReason::Retry) }
}

pub(super) fn attempt(
    of: &Delivery,
    number: u32,
    outcome: Outcome,
    response: Option<Response>,
) -> Attempt {
    Attempt {
        delivery: of.id,
        number: NonZeroU32::new(number).expect("attempts begin at 1"),
        started_at: of.created_at + Duration::from_millis(u64::from(number) * 300),
        duration: Duration::from_millis(12),
        request: SentRequest {
            method: Method::Post,
            url: "https://example.com/hook?a=%C3%A9".to_owned(),
            headers: vec![
                ("authorization".into(), "***".into()),
                ("x-quote".into(), "\"'\\ ;--".into()),
            ],
            format: Some(Format::Form),
        },
        outcome,
        response,
    }
}

pub(super) fn response(status: u16, body: &[u8]) -> Response {
    Response {
        status,
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        body: body.to_vec(),
        body_truncated: false,
    }
}

pub(super) fn success() -> Outcome {
    Outcome::Success { status: 200 }
}

pub(super) fn event_record(event: &Event) -> HistoryRecord {
    HistoryRecord::Event(Arc::new(event.clone()))
}

pub(super) fn delivery_record(delivery: &Delivery, attempt: Option<Attempt>) -> HistoryRecord {
    HistoryRecord::Delivery {
        delivery: Arc::new(delivery.clone()),
        // Wrong wherever it is recorded twice, as a hint may be.
        first: attempt.is_some() && delivery.attempts == 1,
        attempt: attempt.map(Arc::new),
    }
}
