//! One event, delivered again.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ringback_api::{Caller, FieldError, OptionalJsonBody, PageQuery, PathId, Problem, Query};
use ringback_broker::Delayed;
use ringback_core::{Account, Callback, CallbackId, DeliveryId, Dispatch, Event, EventId, Target};
use ringback_store::CallbackQuery;

use crate::state::{Console, manages};
use crate::wire::replay::{EventReplay, EventReplayAnswer, place};

/// Deliver an event again: new deliveries, whatever became of those before.
///
/// To all enabled callbacks that match now, or to those that are named. An account key delivers to its account's
/// callbacks alone. Each call is a replay of its own. Ids are unique within an account: `account` tells equal ones apart.
#[utoipa::path(
    post, path = "/v1/events/{id}/replay", tag = "events",
    params(
        ("id" = String, Path, format = "uuid"),
        ("account" = Option<String>, Query, description = "The account it belongs to"),
    ),
    request_body(content = Option<EventReplay>),
    responses((status = 202, description = "On its way", body = EventReplayAnswer), Problem)
)]
pub(crate) async fn replay(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<EventId>,
    mut query: Query,
    OptionalJsonBody(wanted): OptionalJsonBody<EventReplay>,
) -> Result<(StatusCode, Json<EventReplayAnswer>), Problem> {
    let account = query.take::<Account>("account")?;
    query.end()?;
    let account = caller.account_for(account)?;
    let gone = || Problem::not_found("event");
    let event = console.store.event(id, account.as_ref()).await?.ok_or_else(gone)?;
    let Replayed { generation, deliveries } = again(&console, &caller, event, &wanted).await?;
    let answer = EventReplayAnswer {
        event: id.to_string(),
        generation,
        deliveries: deliveries.iter().map(ToString::to_string).collect(),
        status: "accepted",
    };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// An event that is on its way again.
pub(crate) struct Replayed {
    /// The number of this replay.
    pub(crate) generation: u32,
    /// The new deliveries.
    pub(crate) deliveries: Vec<DeliveryId>,
}

/// Delivers an event of the caller's again.
///
/// # Errors
/// 422 if it can't go to whom it is wanted to, 409 if nobody takes it.
pub(crate) async fn again(
    console: &Console,
    caller: &Caller,
    event: Event,
    wanted: &EventReplay,
) -> Result<Replayed, Problem> {
    let event = Arc::new(event);
    let callbacks = match wanted.callbacks().map_err(Problem::invalid)? {
        Some(named) => these(console, caller, &event, named).await?,
        None => matching(console, caller, &event).await?,
    };
    if callbacks.is_empty() {
        return Err(Problem::conflict("no enabled callback matches it"));
    }
    let generation = console.store.count_replay(&event).await?;
    let generation = generation.ok_or_else(|| Problem::not_found("event"))?;
    let targets: Vec<Target> =
        callbacks.into_iter().map(|id| Target { generation, ..Target::first(id) }).collect();
    let due = console.clock.now();
    let parts = Dispatch::to_targets(&event, &targets).map(|dispatch| Delayed { due, dispatch });
    // Among what comes back, and not before new events.
    console.broker.publish_after(parts.collect()).await?;
    let deliveries = targets.iter().map(|target| target.delivery(&event)).collect();
    Ok(Replayed { generation, deliveries })
}

/// Those that were named, each once. A callback of another account than the event's is none that it may go to, whoever
/// asks.
async fn these(
    console: &Console,
    caller: &Caller,
    event: &Event,
    named: Vec<CallbackId>,
) -> Result<Vec<CallbackId>, Problem> {
    let (mut seen, mut callbacks, mut errors) = (HashSet::new(), Vec::new(), Vec::new());
    for (index, id) in named.into_iter().enumerate() {
        if !seen.insert(id) {
            continue;
        }
        let found = console.store.callback(id).await?.filter(|found| manages(caller, found));
        let wrong = match found {
            None => "there is no such callback",
            Some(callback) if !takes(&callback, event) => "it belongs to another account",
            Some(callback) if !callback.state.is_enabled() => "it is disabled: enable it first",
            Some(_) => {
                callbacks.push(id);
                continue;
            }
        };
        errors.push(FieldError::new(place(index), wrong));
    }
    if errors.is_empty() { Ok(callbacks) } else { Err(Problem::invalid(errors)) }
}

/// All that match now, as a worker would find them.
async fn matching(
    console: &Console,
    caller: &Caller,
    event: &Event,
) -> Result<Vec<CallbackId>, Problem> {
    let query = CallbackQuery { account: caller.account().cloned() };
    let (mut callbacks, mut after) = (Vec::new(), None);
    loop {
        let page = console.store.callbacks(&query, PageQuery::LIMIT_MAX, after.as_ref()).await?;
        let matches = |callback: &&Callback| {
            callback.state.is_enabled()
                && takes(callback, event)
                && callback.events.matches(&event.name)
        };
        callbacks.extend(page.items.iter().filter(matches).map(|callback| callback.id));
        after = page.next;
        if after.is_none() {
            return Ok(callbacks);
        }
    }
}

/// Whether an event may go to a callback at all, wanted or not.
pub(crate) fn takes(callback: &Callback, event: &Event) -> bool {
    callback.account.as_ref().is_none_or(|account| *account == event.account)
}
