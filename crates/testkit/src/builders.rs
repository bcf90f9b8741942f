//! Valid domain values, for tests to change what they are about: `Callback { retry, ..callback(url) }`.

use ringback_core::callback::{
    Authorization, CallbackState, CircuitPolicy, Format, Headers, MAX_IN_FLIGHT_DEFAULT, Method,
    TIMEOUT_DEFAULT,
};
use ringback_core::filter::EventFilter;
use ringback_core::retry::RetryPolicy;
use ringback_core::signature::SigningSecret;
use ringback_core::{Account, Callback, CallbackId, Event, EventId, Timestamp, Variables};

/// When the values of this module say they were made: 2026-01-02T03:04:05.678Z, as [`ManualClock`](crate::ManualClock).
pub const MADE_AT: Timestamp = Timestamp::from_ms(1_767_323_045_678);

/// An account of this name.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn account(name: &str) -> Account {
    name.parse().expect("tests give valid accounts")
}

/// An id that no other call gives.
#[must_use]
pub fn event_id() -> EventId {
    EventId::from_parts(MADE_AT, random())
}

/// An id that no other call gives.
#[must_use]
pub fn callback_id() -> CallbackId {
    CallbackId::from_parts(MADE_AT, random())
}

/// An event of this name of account `acme`, with two variables and an id of its own.
///
/// # Panics
/// If `name` is none.
#[must_use]
pub fn event(name: &str) -> Event {
    Event {
        id: event_id(),
        name: name.parse().expect("tests give valid names"),
        account: account("acme"),
        time: MADE_AT,
        accepted_at: MADE_AT,
        deliver_at: None,
        variables: variables(r#"{"COMMENT_ID":178,"COMMENT":"Needs more cowbell"}"#),
        trace: None,
    }
}

/// Variables of this JSON text.
///
/// # Panics
/// If it is no JSON object.
#[must_use]
pub fn variables(json: &str) -> Variables {
    serde_json::from_str(json).expect("tests give a JSON object")
}

/// A callback of every account for every event to this URL, as the API makes one that is told nothing else.
///
/// # Panics
/// If `url` can't be taken.
#[must_use]
pub fn callback(url: &str) -> Callback {
    Callback {
        id: callback_id(),
        description: String::new(),
        url: url.parse().expect("tests give valid URLs"),
        method: Method::Post,
        format: Format::Form,
        authorization: Authorization::None,
        headers: Headers::default(),
        state: CallbackState::Enabled,
        account: None,
        events: EventFilter::all(),
        retry: RetryPolicy::default(),
        timeout: TIMEOUT_DEFAULT,
        max_in_flight: MAX_IN_FLIGHT_DEFAULT,
        rate_limit: None,
        circuit: CircuitPolicy::default(),
        signing_secret: SigningSecret::from_random([7; 32]),
        previous_secret: None,
        created_at: MADE_AT,
        updated_at: MADE_AT,
        resumed_at: None,
    }
}

fn random() -> [u8; 10] {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    bytes
}
