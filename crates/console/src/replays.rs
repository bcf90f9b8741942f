//! Bulk replays: asked for, seen, ended. What works on them is in `replaying`.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringback_api::{Caller, FieldError, JsonBody, PageAnswer, PageQuery, PathId, Problem, Query};
use ringback_core::ReplayId;
use ringback_store::{Replay, ReplayStatus};

use crate::state::{Console, manages, random};
use crate::wire::replay::{ReplayAnswer, ReplayRequest};

/// Deliver again what a filter finds, as a job: by default all that is exhausted.
///
/// Of what is exhausted or cancelled it makes the next attempt, with the whole retry policy before it again; what is
/// delivered is delivered once more, as new deliveries. It goes on after a restart, oldest events first, `per_second` at a
/// time, and never before new events. An account key's job sees its account's deliveries to its account's callbacks.
#[utoipa::path(
    post, path = "/v1/replays", tag = "replays",
    request_body = ReplayRequest,
    responses((status = 202, description = "The job", body = ReplayAnswer), Problem)
)]
pub(crate) async fn create(
    State(console): State<Console>,
    caller: Caller,
    JsonBody(request): JsonBody<ReplayRequest>,
) -> Result<Response, Problem> {
    let id = ReplayId::from_parts(console.clock.now(), random()?);
    let replay = begin(&console, &caller, id, &request).await?;
    let location = [(header::LOCATION, format!("/v1/replays/{}", replay.id))];
    Ok((StatusCode::ACCEPTED, location, Json(ReplayAnswer::of(&replay))).into_response())
}

/// Begins a bulk replay. If the caller has one of this id, it is left as it is.
///
/// # Errors
/// 422 if what is asked for is not valid, 403 if it is about another account.
pub(crate) async fn begin(
    console: &Console,
    caller: &Caller,
    id: ReplayId,
    request: &ReplayRequest,
) -> Result<Replay, Problem> {
    let now = console.clock.now();
    let (mut filter, per_second) = request.read(now).map_err(Problem::invalid)?;
    filter.account = caller.account_for(filter.account)?;
    if let Some(callback) = filter.callback {
        let callback = console.store.callback(callback).await?;
        if !callback.is_some_and(|callback| manages(caller, &callback)) {
            let error = FieldError::new("/filter/callback", "there is no such callback");
            return Err(Problem::invalid(vec![error]));
        }
    }
    let replay = Replay {
        id,
        account: caller.account().cloned(),
        filter,
        per_second,
        status: ReplayStatus::Running,
        cursor: None,
        total: None,
        replayed: 0,
        skipped: 0,
        error: None,
        created_at: now,
        updated_at: now,
        finished_at: None,
    };
    if let Err(error) = console.store.create_replay(&replay).await {
        // A form that was sent twice has begun it already.
        return visible(console, caller, id).await.map_err(|_| error.into());
    }
    console.replay_asked.notify_one();
    Ok(replay)
}

/// List bulk replays, newest first. An account key sees those that its account's keys asked for.
#[utoipa::path(
    get, path = "/v1/replays", tag = "replays",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 200, 50 unless said", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page of them", body = PageAnswer<ReplayAnswer>), Problem)
)]
pub(crate) async fn list(
    State(console): State<Console>,
    caller: Caller,
    mut query: Query,
) -> Result<Json<PageAnswer<ReplayAnswer>>, Problem> {
    let page = PageQuery::take(&mut query)?;
    query.end()?;
    let found = console.store.replays(caller.account(), page.limit, page.after.as_ref()).await?;
    Ok(Json(PageAnswer::of(found, |replay| ReplayAnswer::of(&replay))))
}

/// One bulk replay: how far it is.
#[utoipa::path(
    get, path = "/v1/replays/{id}", tag = "replays",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, description = "The bulk replay", body = ReplayAnswer), Problem)
)]
pub(crate) async fn show(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<ReplayId>,
) -> Result<Json<ReplayAnswer>, Problem> {
    Ok(Json(ReplayAnswer::of(&visible(&console, &caller, id).await?)))
}

/// End a bulk replay. What it has put on the queue is delivered; of the rest nothing changes.
#[utoipa::path(
    post, path = "/v1/replays/{id}/cancel", tag = "replays",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, description = "It is cancelled", body = ReplayAnswer), Problem)
)]
pub(crate) async fn cancel(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<ReplayId>,
) -> Result<Json<ReplayAnswer>, Problem> {
    Ok(Json(ReplayAnswer::of(&end(&console, &caller, id).await?)))
}

/// Ends a bulk replay, and returns it as it stands then.
///
/// # Errors
/// 404 if the caller sees no such bulk replay, 409 if it is not running.
pub(crate) async fn end(
    console: &Console,
    caller: &Caller,
    id: ReplayId,
) -> Result<Replay, Problem> {
    visible(console, caller, id).await?;
    let cancelled = console.store.cancel_replay(id, console.clock.now()).await?;
    let replay = visible(console, caller, id).await?;
    if !cancelled {
        return Err(Problem::conflict(format!("it is {} already", replay.status.as_str())));
    }
    Ok(replay)
}

/// A bulk replay that the caller may see.
///
/// # Errors
/// 404 if there is none.
pub(crate) async fn visible(
    console: &Console,
    caller: &Caller,
    id: ReplayId,
) -> Result<Replay, Problem> {
    let found = console.store.replay(id).await?;
    let seen = found.filter(|replay| match caller.account() {
        None => true,
        own => replay.account.as_ref() == own,
    });
    seen.ok_or_else(|| Problem::not_found("bulk replay"))
}
