//! Events: what came in, and where it went.

use axum::Json;
use axum::extract::State;
use ringback_api::{Caller, PageAnswer, PageQuery, PathId, Problem, Query};
use ringback_core::{Account, EventId};
use ringback_store::{DeliveryQuery, EventQuery};

use crate::Console;
use crate::wire::delivery::DeliveryAnswer;
use crate::wire::event::{EventAnswer, EventWithDeliveries};

/// List events, last accepted first.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    params(
        ("account" = Option<String>, Query, description = "Those of this account only"),
        ("name" = Option<String>, Query, description = "Those of this name only"),
        ("since" = Option<String>, Query, format = DateTime, description = "Accepted at this moment or later"),
        ("until" = Option<String>, Query, format = DateTime, description = "Accepted before this moment"),
        ("limit" = Option<u32>, Query, description = "1 to 200, 50 unless said", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page of them", body = PageAnswer<EventAnswer>), Problem)
)]
pub(crate) async fn list(
    State(console): State<Console>,
    caller: Caller,
    mut query: Query,
) -> Result<Json<PageAnswer<EventAnswer>>, Problem> {
    let account = query.take::<Account>("account")?;
    let mut wanted = EventQuery {
        account: None,
        name: query.take("name")?,
        since: query.take("since")?,
        until: query.take("until")?,
    };
    let page = PageQuery::take(&mut query)?;
    query.end()?;
    wanted.account = caller.account_for(account)?;
    let found = console.store.events(&wanted, page.limit, page.after.as_ref()).await?;
    Ok(Json(PageAnswer::of(found, EventAnswer::of)))
}

/// One event with its deliveries.
///
/// Ids are unique within an account: `account` tells equal ones apart; without it the newest is shown.
#[utoipa::path(
    get, path = "/v1/events/{id}", tag = "events",
    params(
        ("id" = String, Path, format = "uuid"),
        ("account" = Option<String>, Query, description = "The account it belongs to"),
    ),
    responses((status = 200, description = "The event", body = EventWithDeliveries), Problem)
)]
pub(crate) async fn show(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<EventId>,
    mut query: Query,
) -> Result<Json<EventWithDeliveries>, Problem> {
    let account = query.take::<Account>("account")?;
    query.end()?;
    let account = caller.account_for(account)?;
    let found = console.store.event(id, account.as_ref()).await?;
    let event = found.ok_or_else(|| Problem::not_found("event"))?;
    let of_event = DeliveryQuery {
        account: Some(event.account.clone()),
        event: Some(event.id),
        ..DeliveryQuery::default()
    };
    let deliveries = console.store.deliveries(&of_event, PageQuery::LIMIT_MAX, None).await?;
    let deliveries = PageAnswer::of(deliveries, |delivery| DeliveryAnswer::of(&delivery));
    Ok(Json(EventWithDeliveries {
        event: EventAnswer::of(event),
        deliveries: deliveries.data,
        deliveries_next_cursor: deliveries.next_cursor,
    }))
}
