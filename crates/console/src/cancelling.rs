//! Deliveries that are not to be made any more.
//!
//! Nothing is taken off the queue: what it still holds finds the delivery cancelled when it comes off. An attempt that is
//! under way ends as it ends; see `Store::cancel_delivery` for what becomes of the delivery then.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use ringback_api::{Caller, PathId, Problem, Query};
use ringback_core::delivery::{CancelReason, Delivery};
use ringback_core::{Account, CallbackId, DeliveryId, Event, EventId};
use ringback_store::DeliveryKey;

use crate::Console;
use crate::callbacks::count_cancelled;
use crate::deliveries::visible;
use crate::state::manages;
use crate::wire::delivery::DeliveryAnswer;
use crate::wire::replay::EventCancelAnswer;

/// Cancelled in one transaction: a few milliseconds of the writer's time.
const STEP_LEN_MAX: usize = 500;

/// Cancel a pending delivery: no further attempt is made.
///
/// A request that is under way ends as it ends: if it succeeds, the delivery is delivered all the same. An account key
/// cancels no deliveries to callbacks that are not its account's.
#[utoipa::path(
    post, path = "/v1/deliveries/{id}/cancel", tag = "deliveries",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, description = "It is cancelled", body = DeliveryAnswer), Problem)
)]
pub(crate) async fn one(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<DeliveryId>,
) -> Result<Json<DeliveryAnswer>, Problem> {
    let delivery = cancel(&console, &caller, id).await?;
    Ok(Json(DeliveryAnswer::of(&delivery)))
}

/// Cancels a pending delivery, and returns it as it stands then.
///
/// # Errors
/// 404 if the caller sees no such delivery, 403 if its callback is not theirs, 409 if it is not pending.
pub(crate) async fn cancel(
    console: &Console,
    caller: &Caller,
    id: DeliveryId,
) -> Result<Delivery, Problem> {
    let delivery = visible(console, caller, id).await?;
    // Nothing more is sent to one that was deleted: that this is recorded harms nobody.
    let callback = console.store.callback(delivery.callback).await?;
    if callback.is_some_and(|callback| !manages(caller, &callback)) {
        return Err(Problem::forbidden("its callback is not one of this key's account"));
    }
    let key = DeliveryKey { id, created_at: delivery.created_at };
    let (reason, now) = (CancelReason::Requested, console.clock.now());
    let cancelled = console.store.cancel_delivery(key, reason, now).await?;
    count_cancelled(console, delivery.callback, reason, cancelled.into()).await;
    let delivery = visible(console, caller, id).await?;
    if !cancelled {
        return Err(Problem::conflict(format!("it is {} already", delivery.state.status())));
    }
    Ok(delivery)
}

/// Cancel what is pending of an event: a scheduled one is not sent, a failed one is not tried again.
///
/// Ids are unique within an account: `account` tells equal ones apart; without it the newest is meant.
#[utoipa::path(
    post, path = "/v1/events/{id}/cancel", tag = "events",
    params(
        ("id" = String, Path, format = "uuid"),
        ("account" = Option<String>, Query, description = "The account it belongs to"),
    ),
    responses((status = 200, description = "How many deliveries were cancelled", body = EventCancelAnswer), Problem)
)]
pub(crate) async fn of_event(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<EventId>,
    mut query: Query,
) -> Result<Json<EventCancelAnswer>, Problem> {
    let account = query.take::<Account>("account")?;
    query.end()?;
    let account = caller.account_for(account)?;
    let found = console.store.event(id, account.as_ref()).await?;
    let event = found.ok_or_else(|| Problem::not_found("event"))?;
    let cancelled = cancel_pending_of(&console, &event).await?;
    Ok(Json(EventCancelAnswer { event: id.to_string(), cancelled }))
}

/// Cancels what is pending of an event of the caller's, and says how many deliveries that were.
///
/// # Errors
/// If it can't be written.
pub(crate) async fn cancel_pending_of(console: &Console, event: &Event) -> Result<usize, Problem> {
    let (reason, now) = (CancelReason::Requested, console.clock.now());
    let mut cancelled = 0;
    loop {
        let step = console.store.cancel_event(event, reason, now, STEP_LEN_MAX).await?;
        let mut of_each = HashMap::<CallbackId, usize>::new();
        step.iter().for_each(|callback| *of_each.entry(*callback).or_default() += 1);
        for (callback, deliveries) in of_each {
            count_cancelled(console, callback, reason, deliveries).await;
        }
        cancelled += step.len();
        if step.len() < STEP_LEN_MAX {
            return Ok(cancelled);
        }
    }
}
