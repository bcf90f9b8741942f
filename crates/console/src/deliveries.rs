//! Deliveries: how each stands, every attempt of it, and another one by hand.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ringback_api::{Caller, PageAnswer, PageQuery, PathId, Problem, Query};
use ringback_core::delivery::{Attempt, Delivery, DeliveryState};
use ringback_core::retry::AttemptNumber;
use ringback_core::{Account, Callback, DeliveryId, Dispatch, Event, Target};
use ringback_store::{DeliveryQuery, Scope, StatusFilter};

use crate::state::{Console, manages};
use crate::wire::delivery::{
    AttemptAnswer, DeliveryAnswer, DeliveryWithAttempts, Detail, RetryAnswer,
};

/// List deliveries, those of last accepted events first.
#[utoipa::path(
    get, path = "/v1/deliveries", tag = "deliveries",
    params(
        ("callback" = Option<String>, Query, format = "uuid", description = "Those to this callback only"),
        ("event" = Option<String>, Query, format = "uuid", description = "Those of this event only"),
        ("account" = Option<String>, Query, description = "Those of this account only"),
        ("status" = Option<String>, Query, description = "`pending`, `delivered`, `exhausted` or `cancelled`"),
        ("since" = Option<String>, Query, format = DateTime, description = "Of events accepted at this moment or later"),
        ("until" = Option<String>, Query, format = DateTime, description = "Of events accepted before this moment"),
        ("limit" = Option<u32>, Query, description = "1 to 200, 50 unless said", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page of them", body = PageAnswer<DeliveryAnswer>), Problem)
)]
pub(crate) async fn list(
    State(console): State<Console>,
    caller: Caller,
    mut query: Query,
) -> Result<Json<PageAnswer<DeliveryAnswer>>, Problem> {
    let account = query.take::<Account>("account")?;
    let mut wanted = DeliveryQuery {
        account: None,
        callback: query.take("callback")?,
        event: query.take("event")?,
        status: query.take("status")?.map(|Status(status)| status),
        since: query.take("since")?,
        until: query.take("until")?,
    };
    let page = PageQuery::take(&mut query)?;
    query.end()?;
    wanted.account = caller.account_for(account)?;
    let found = console.store.deliveries(&wanted, page.limit, page.after.as_ref()).await?;
    Ok(Json(PageAnswer::of(found, |delivery| DeliveryAnswer::of(&delivery))))
}

/// One delivery with every attempt.
#[utoipa::path(
    get, path = "/v1/deliveries/{id}", tag = "deliveries",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, description = "The delivery", body = DeliveryWithAttempts), Problem)
)]
pub(crate) async fn show(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<DeliveryId>,
) -> Result<Json<DeliveryWithAttempts>, Problem> {
    let History { delivery, event, attempts, detail } = history(&console, &caller, id).await?;
    let attempts =
        attempts.iter().map(|attempt| AttemptAnswer::of(attempt, event.as_ref(), detail)).collect();
    Ok(Json(DeliveryWithAttempts { delivery: DeliveryAnswer::of(&delivery), attempts }))
}

/// A delivery, and what is known of it.
pub(crate) struct History {
    pub(crate) delivery: Delivery,
    /// None: it is no longer in the history.
    pub(crate) event: Option<Event>,
    /// First one first.
    pub(crate) attempts: Vec<Attempt>,
    /// How much of them the caller may see.
    pub(crate) detail: Detail,
}

/// A delivery that the caller may see, and what is known of it.
///
/// # Errors
/// 404 if there is none.
pub(crate) async fn history(
    console: &Console,
    caller: &Caller,
    id: DeliveryId,
) -> Result<History, Problem> {
    let found = console.store.delivery_with_attempts(id).await?;
    let seen = found.filter(|(delivery, _)| caller.may_see(&delivery.account));
    let (delivery, attempts) = seen.ok_or_else(|| Problem::not_found("delivery"))?;
    let event = console.store.event(delivery.event, Some(&delivery.account)).await?;
    let detail = match caller.scope {
        Scope::Instance => Detail::Full,
        Scope::Account(_) => {
            let callback = console.store.callback(delivery.callback).await?;
            detail_for(caller, callback.as_ref())
        }
    };
    Ok(History { delivery, event, attempts, detail })
}

/// Make another attempt now.
///
/// Of a pending delivery it is the next attempt, before its time. A new series of attempts begins with it, with the
/// callback's whole retry policy before it again. If the callback is paused, it is made once that is resumed.
#[utoipa::path(
    post, path = "/v1/deliveries/{id}/retry", tag = "deliveries",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 202, description = "On its way", body = RetryAnswer), Problem)
)]
pub(crate) async fn retry(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<DeliveryId>,
) -> Result<(StatusCode, Json<RetryAnswer>), Problem> {
    let attempt = retry_now(&console, &caller, id).await?;
    let answer =
        RetryAnswer { delivery: id.to_string(), attempt: attempt.get(), status: "accepted" };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Has another attempt made now, and says which it is.
///
/// # Errors
/// 404 if the caller sees no such delivery, 403 if its callback is not theirs, 409 if none can be made.
pub(crate) async fn retry_now(
    console: &Console,
    caller: &Caller,
    id: DeliveryId,
) -> Result<AttemptNumber, Problem> {
    let delivery = visible(console, caller, id).await?;
    if delivery.state == DeliveryState::Delivered {
        return Err(Problem::conflict("it is delivered already"));
    }
    let callback = console.store.callback(delivery.callback).await?;
    let callback = callback.ok_or_else(|| Problem::conflict("its callback was deleted"))?;
    if !manages(caller, &callback) {
        return Err(Problem::forbidden("its callback is not one of this key's account"));
    }
    if !callback.state.is_enabled() {
        return Err(Problem::conflict("its callback is disabled: enable it first"));
    }
    let event = console.store.event(delivery.event, Some(&delivery.account)).await?;
    let event = event.ok_or_else(|| Problem::conflict("its event is no longer in the history"))?;
    // Now is what was asked for, also of an event that is to be delivered later.
    let event = Event { deliver_at: None, ..event };
    let position = delivery.position_by_hand();
    let target = Target::of(&delivery, position);
    // Nothing is recorded here: the attempt will be. A record before it, and a crash in between, would leave a pending
    // delivery that nobody works on.
    // The dispatch that waits on the queue makes the same attempt: the second of the two finds the first recorded.
    let dispatch = Dispatch::to_target(Arc::new(event), target).in_doubt();
    console.broker.publish(vec![dispatch]).await?;
    Ok(position.attempt)
}

/// A delivery that the caller may see.
pub(crate) async fn visible(
    console: &Console,
    caller: &Caller,
    id: DeliveryId,
) -> Result<Delivery, Problem> {
    let found = console.store.delivery(id).await?;
    let seen = found.filter(|delivery| caller.may_see(&delivery.account));
    seen.ok_or_else(|| Problem::not_found("delivery"))
}

/// How much the caller may see of the attempts at a callback; none: it was deleted, and nobody knows any more whose it
/// was.
pub(crate) fn detail_for(caller: &Caller, callback: Option<&Callback>) -> Detail {
    let own = match callback {
        Some(callback) => manages(caller, callback),
        None => caller.account().is_none(),
    };
    if own { Detail::Full } else { Detail::Outcome }
}

/// A status in a query.
pub(crate) struct Status(pub(crate) StatusFilter);

/// The word is no status.
pub(crate) struct InvalidStatus;

impl FromStr for Status {
    type Err = InvalidStatus;

    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        use StatusFilter::{Cancelled, Delivered, Exhausted, Pending};
        let all = [Pending, Delivered, Exhausted, Cancelled];
        all.into_iter().find(|status| status.as_str() == text).map(Self).ok_or(InvalidStatus)
    }
}

impl fmt::Display for InvalidStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pending, delivered, exhausted or cancelled")
    }
}
