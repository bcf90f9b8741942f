//! A callback, tried out: one event to it alone, and what came of it as the answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ringback_api::{Caller, OptionalJsonBody, PathId, Problem};
use ringback_core::callback::CallbackState;
use ringback_core::delivery::{Attempt, Delivery, DeliveryState, WaitReason};
use ringback_core::{
    Callback, CallbackId, DeliveryId, Dispatch, Event, EventId, EventName, Target, Timestamp,
    Variables, operational,
};
use ringback_store::LiveAttempt;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::callbacks::own;
use crate::state::{Console, random};
use crate::wire::delivery::{AttemptAnswer, Detail};
use crate::wire::replay::{TestAnswer, TestEvent};

/// How much longer than an attempt may take its result is waited for: it may stand behind others.
const MARGIN: Duration = Duration::from_secs(10);
/// The history is looked at so often: a process that watches is known to the others only after a moment.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What came of a test event.
pub(crate) struct Tried {
    /// As it was sent.
    pub(crate) event: Arc<Event>,
    /// On its way to the callback.
    pub(crate) delivery: DeliveryId,
    /// How the delivery stood in the end, with its attempt if there was one in time; none: nothing is known of it yet.
    pub(crate) seen: Option<(Delivery, Option<Attempt>)>,
}

/// Send a test event to this callback alone, whatever its filter, and wait for what comes of it.
///
/// Variables that are not given are the examples of the event's type, if it is known. It goes the way of every event, and
/// is in the history as they are; but it is tried once, and never again by itself. The rate limit and the circuit hold for
/// it as well: while it waits for them the answer says so at once. A pause does not: who has paused a callback wants to try it before it is resumed. An instance callback gets it as an event of account `_ringback`.
#[utoipa::path(
    post, path = "/v1/callbacks/{id}/test", tag = "callbacks",
    params(("id" = String, Path, format = "uuid")),
    request_body(content = Option<TestEvent>),
    responses(
        (status = 200, description = "It was tried", body = TestAnswer),
        (status = 202, description = "It waits (`waits_for`), or was not tried in time: look at its delivery later", body = TestAnswer),
        Problem
    )
)]
pub(crate) async fn test(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<CallbackId>,
    OptionalJsonBody(wanted): OptionalJsonBody<TestEvent>,
) -> Result<(StatusCode, Json<TestAnswer>), Problem> {
    let Tried { event, delivery, seen } = try_out(&console, &caller, id, &wanted).await?;
    let (delivery_now, attempt) = seen.unzip();
    let attempt = attempt.flatten();
    let (status, waits_for) = match delivery_now.map(|delivery| delivery.state) {
        Some(DeliveryState::Pending { waits, .. }) => ("pending", waits.map(|it| it.as_str())),
        Some(settled) => (settled.status(), None),
        None => ("pending", None),
    };
    let code = if attempt.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let answer = TestAnswer {
        event: event.id.to_string(),
        delivery: delivery.to_string(),
        status,
        waits_for,
        attempt: attempt.map(|attempt| AttemptAnswer::of(&attempt, Some(&event), Detail::Full)),
    };
    Ok((code, Json(answer)))
}

/// Sends a test event to one callback, and waits for what comes of it.
///
/// # Errors
/// 404 if the caller manages no such callback, 409 if it is disabled, 422 for a name that is none.
pub(crate) async fn try_out(
    console: &Console,
    caller: &Caller,
    id: CallbackId,
    wanted: &TestEvent,
) -> Result<Tried, Problem> {
    let callback = own(console, caller, id).await?;
    if let CallbackState::Disabled(_) = callback.state {
        return Err(Problem::conflict("it is disabled: enable it first"));
    }
    let event = Arc::new(event(console, &callback, wanted).await?);
    let target = Target { generation: Target::TRIAL, ..Target::first(callback.id) };
    let delivery = target.delivery(&event);
    // Before it is sent: what comes of it may be there sooner than this goes on.
    let live = console.store.live_attempts();
    console.broker.publish(vec![Dispatch::to_target(event.clone(), target)]).await?;
    let until = console.clock.now() + callback.timeout + MARGIN;
    let seen = wait(console, delivery, live, until).await?;
    Ok(Tried { event, delivery, seen })
}

async fn event(
    console: &Console,
    callback: &Callback,
    wanted: &TestEvent,
) -> Result<Event, Problem> {
    let now = console.clock.now();
    let name = wanted.name().map_err(Problem::invalid)?;
    let variables = match (&wanted.variables, &name) {
        (Some(variables), _) => variables.clone(),
        (None, Some(name)) => console.reference.sample(name).await.unwrap_or_else(some_variables),
        (None, None) => some_variables(),
    };
    let account = callback.account.clone();
    Ok(Event {
        id: EventId::from_parts(now, random()?),
        name: name.unwrap_or_else(test_name),
        account: account.unwrap_or_else(operational::instance_account),
        time: now,
        accepted_at: now,
        deliver_at: None,
        variables,
        trace: None,
    })
}

fn test_name() -> EventName {
    "ringback.test".parse().expect("a valid name")
}

fn some_variables() -> Variables {
    let text = r#"{"MESSAGE":"A test event: this callback can be reached."}"#;
    serde_json::from_str(text).expect("an object")
}

/// How the delivery stands once it was tried, with the attempt; or as far as it is when the time is over.
async fn wait(
    console: &Console,
    id: DeliveryId,
    mut live: broadcast::Receiver<Arc<LiveAttempt>>,
    until: Timestamp,
) -> Result<Option<(Delivery, Option<Attempt>)>, Problem> {
    let clock = &console.clock;
    let mut next_look = clock.now() + LOOK_EVERY;
    loop {
        tokio::select! {
            heard = live.recv() => match heard {
                Ok(heard) if heard.delivery.id == id => {
                    let attempt = (*heard.attempt).clone();
                    return Ok(Some(((*heard.delivery).clone(), Some(attempt))));
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return look(console, id).await,
            },
            () = clock.sleep_until(next_look.min(until)) => {
                let now = clock.now();
                let seen = look(console, id).await?;
                let is_over = |(delivery, attempt): &(Delivery, Option<Attempt>)| {
                    attempt.is_some() || delivery.state.is_settled() || waits_for(delivery).is_some()
                };
                if now >= until || seen.as_ref().is_some_and(is_over) {
                    return Ok(seen);
                }
                next_look = now + LOOK_EVERY;
            }
        }
    }
}

/// Why it is not tried for now, as far as nobody can say how long that takes.
pub(crate) const fn waits_for(delivery: &Delivery) -> Option<WaitReason> {
    match delivery.state {
        DeliveryState::Pending { waits, .. } => match waits {
            Some(WaitReason::Retry | WaitReason::Scheduled) => None,
            waits => waits,
        },
        _ => None,
    }
}

async fn look(
    console: &Console,
    id: DeliveryId,
) -> Result<Option<(Delivery, Option<Attempt>)>, Problem> {
    let found = console.store.delivery_with_attempts(id).await?;
    Ok(found.map(|(delivery, mut attempts)| (delivery, attempts.pop())))
}
