//! Callbacks: paused and resumed.

use axum::Json;
use axum::extract::State;
use ringback_api::{Caller, PathId, Problem};
use ringback_core::callback::{Callback, CallbackState};
use ringback_core::{CallbackId, Timestamp};

use crate::callbacks::change_stored;
use crate::state::Console;
use crate::wire::callback::CallbackAnswer;

/// Pause a callback: its deliveries are kept and not sent.
///
/// New events go on matching. Attempts under way end, and what is left to do then is kept as well. Nothing is lost, and
/// no attempt is used up. To pause what is paused changes nothing.
#[utoipa::path(
    post, path = "/v1/callbacks/{id}/pause", tag = "callbacks",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, description = "It is paused", body = CallbackAnswer), Problem)
)]
pub(crate) async fn pause(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<CallbackId>,
) -> Result<Json<CallbackAnswer>, Problem> {
    let callback = keep(&console, &caller, id).await?;
    Ok(Json(CallbackAnswer::of(&callback)))
}

/// Keeps what is to be sent to a callback.
///
/// # Errors
/// 404 if the caller manages no such callback, 409 if it is disabled.
pub(crate) async fn keep(
    console: &Console,
    caller: &Caller,
    id: CallbackId,
) -> Result<Callback, Problem> {
    change_stored(console, caller, id, paused).await
}

/// Resume a callback: what was kept goes out, first accepted first, as fast as its rate limit allows.
///
/// To resume what is not paused changes nothing.
#[utoipa::path(
    post, path = "/v1/callbacks/{id}/resume", tag = "callbacks",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, description = "It is not paused", body = CallbackAnswer), Problem)
)]
pub(crate) async fn resume(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<CallbackId>,
) -> Result<Json<CallbackAnswer>, Problem> {
    let callback = let_go(&console, &caller, id).await?;
    Ok(Json(CallbackAnswer::of(&callback)))
}

/// Lets go what was kept for a callback.
///
/// # Errors
/// 404 if the caller manages no such callback, 409 if it is disabled.
pub(crate) async fn let_go(
    console: &Console,
    caller: &Caller,
    id: CallbackId,
) -> Result<Callback, Problem> {
    change_stored(console, caller, id, resumed).await
}

fn paused(stored: &Callback, now: Timestamp) -> Result<Option<Callback>, Problem> {
    match stored.state {
        CallbackState::Enabled => {
            let state = CallbackState::Paused;
            Ok(Some(Callback { state, updated_at: now, ..stored.clone() }))
        }
        CallbackState::Paused => Ok(None),
        CallbackState::Disabled(_) => Err(Problem::conflict(
            "it is disabled, so nothing comes that could be kept: enable it first",
        )),
    }
}

fn resumed(stored: &Callback, now: Timestamp) -> Result<Option<Callback>, Problem> {
    match stored.state {
        CallbackState::Paused => {
            let state = CallbackState::Enabled;
            let resumed_at = Some(now);
            Ok(Some(Callback { state, updated_at: now, resumed_at, ..stored.clone() }))
        }
        CallbackState::Enabled => Ok(None),
        CallbackState::Disabled(_) => {
            Err(Problem::conflict("it is disabled and not paused: enable it instead"))
        }
    }
}
