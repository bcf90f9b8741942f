//! Callbacks: made, seen, changed, removed.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringback_api::{Caller, JsonBody, PageAnswer, PageQuery, PathId, Problem, Query};
use ringback_core::callback::{Callback, CallbackState};
use ringback_core::delivery::CancelReason;
use ringback_core::signature::SigningSecret;
use ringback_core::{Account, CallbackId, Timestamp};
use ringback_store::CallbackQuery;
use serde_json::Value;

use crate::merge_patch;
use crate::operational::tell_disabled;
use crate::state::{Console, manages, random};
use crate::wire::callback::{CallbackAnswer, CallbackSettings, SavedCallback, SecretAnswer};
use crate::wire::settings::{Base, Rules};

/// Make a callback.
///
/// An account key makes callbacks of its own account. A signing secret is drawn; see its own call.
#[utoipa::path(
    post, path = "/v1/callbacks", tag = "callbacks",
    request_body = CallbackSettings,
    responses((status = 201, description = "Made", body = SavedCallback), Problem)
)]
pub(crate) async fn create(
    State(console): State<Console>,
    caller: Caller,
    JsonBody(settings): JsonBody<CallbackSettings>,
) -> Result<Response, Problem> {
    let id = CallbackId::from_parts(console.clock.now(), random()?);
    let callback = make(&console, &caller, id, &settings).await?;
    let location = [(header::LOCATION, format!("/v1/callbacks/{}", callback.id))];
    Ok((StatusCode::CREATED, location, Json(SavedCallback::of(&callback))).into_response())
}

/// Makes a callback of the caller's account, or of the one that the settings name. If the caller has one of this id, it is
/// left as it is.
///
/// # Errors
/// What is wrong with the settings; 403 if they name an account that is not the caller's.
pub(crate) async fn make(
    console: &Console,
    caller: &Caller,
    id: CallbackId,
    settings: &CallbackSettings,
) -> Result<Callback, Problem> {
    let callback = checked(console, caller, id, settings)?;
    match console.store.create_callback(&callback).await {
        Ok(()) => Ok(callback),
        // A form that was sent twice has made it already.
        Err(error) => own(console, caller, id).await.map_err(|_| error.into()),
    }
}

/// The callback that would be made of these settings.
///
/// # Errors
/// All that is wrong with the settings; 403 if they name an account that is not the caller's.
pub(crate) fn checked(
    console: &Console,
    caller: &Caller,
    id: CallbackId,
    settings: &CallbackSettings,
) -> Result<Callback, Problem> {
    let (account, mut errors) = match settings.account_for(caller) {
        Ok(account) => (account, Vec::new()),
        Err(problem) if problem.errors().is_empty() => return Err(problem),
        Err(problem) => (None, problem.into_field_errors()),
    };
    let now = console.clock.now();
    let base = Base {
        id,
        account,
        state: CallbackState::Enabled,
        authorization: None,
        signing_secret: SigningSecret::from_random(random()?),
        previous_secret: None,
        created_at: now,
        updated_at: now,
        resumed_at: None,
    };
    let rules = Rules { address_policy: &console.address_policy };
    match rules.apply(settings, base) {
        Ok(callback) if errors.is_empty() => Ok(callback),
        applied => {
            errors.extend(applied.err().unwrap_or_default());
            Err(Problem::invalid(errors))
        }
    }
}

/// List callbacks, newest first.
#[utoipa::path(
    get, path = "/v1/callbacks", tag = "callbacks",
    params(
        ("account" = Option<String>, Query, description = "Those of this account only"),
        ("limit" = Option<u32>, Query, description = "1 to 200, 50 unless said", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page of them", body = PageAnswer<CallbackAnswer>), Problem)
)]
pub(crate) async fn list(
    State(console): State<Console>,
    caller: Caller,
    mut query: Query,
) -> Result<Json<PageAnswer<CallbackAnswer>>, Problem> {
    let account = query.take::<Account>("account")?;
    let page = PageQuery::take(&mut query)?;
    query.end()?;
    let query = CallbackQuery { account: caller.account_for(account)? };
    let found = console.store.callbacks(&query, page.limit, page.after.as_ref()).await?;
    Ok(Json(PageAnswer::of(found, |callback| CallbackAnswer::of(&callback))))
}

/// One callback.
#[utoipa::path(
    get, path = "/v1/callbacks/{id}", tag = "callbacks",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, description = "The callback", body = CallbackAnswer), Problem)
)]
pub(crate) async fn show(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<CallbackId>,
) -> Result<Json<CallbackAnswer>, Problem> {
    let callback = own(&console, &caller, id).await?;
    Ok(Json(CallbackAnswer::of(&callback)))
}

/// Replace a callback's settings.
///
/// What is not said takes its default, but for the account, which never changes. A secret given as `***` stays what it
/// is, if the authorization is of the same type as before.
#[utoipa::path(
    put, path = "/v1/callbacks/{id}", tag = "callbacks",
    params(("id" = String, Path, format = "uuid")),
    request_body = CallbackSettings,
    responses((status = 200, description = "Replaced", body = SavedCallback), Problem)
)]
pub(crate) async fn replace(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<CallbackId>,
    JsonBody(settings): JsonBody<CallbackSettings>,
) -> Result<Json<SavedCallback>, Problem> {
    let callback = update(&console, &caller, id, |_| Ok(settings.clone())).await?;
    Ok(Json(SavedCallback::of(&callback)))
}

/// Change some of a callback's settings: a JSON Merge Patch (RFC 7396).
///
/// Secrets that are not named, or given as `***`, stay what they are. Another `authorization.type` or another
/// `retry.backoff` begins without what belongs to the one before.
#[utoipa::path(
    patch, path = "/v1/callbacks/{id}", tag = "callbacks",
    params(("id" = String, Path, format = "uuid")),
    request_body(content = Object, content_type = "application/merge-patch+json", description = "Members of the settings to change; null: back to the default"),
    responses((status = 200, description = "Changed", body = SavedCallback), Problem)
)]
pub(crate) async fn change(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<CallbackId>,
    JsonBody(patch): JsonBody<serde_json::Map<String, Value>>,
) -> Result<Json<SavedCallback>, Problem> {
    let callback = update(&console, &caller, id, |stored| patched(stored, patch.clone())).await?;
    Ok(Json(SavedCallback::of(&callback)))
}

/// Remove a callback.
///
/// Its history stays; its deliveries that are under way are cancelled.
#[utoipa::path(
    delete, path = "/v1/callbacks/{id}", tag = "callbacks",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 204, description = "Removed"), Problem)
)]
pub(crate) async fn remove(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<CallbackId>,
) -> Result<StatusCode, Problem> {
    delete(&console, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a callback, and cancels what was on its way to it.
///
/// # Errors
/// 404 if the caller manages no such callback.
pub(crate) async fn delete(
    console: &Console,
    caller: &Caller,
    id: CallbackId,
) -> Result<(), Problem> {
    let callback = own(console, caller, id).await?;
    if console.store.delete_callback(callback.id, console.clock.now()).await? {
        cancel_pending(console, callback.id, CancelReason::CallbackDeleted).await
    } else {
        Err(unknown())
    }
}

/// The secret that signs a callback's requests (Standard Webhooks).
#[utoipa::path(
    get, path = "/v1/callbacks/{id}/secret", tag = "callbacks",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 200, description = "The secret", body = SecretAnswer), Problem)
)]
pub(crate) async fn secret(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<CallbackId>,
) -> Result<Response, Problem> {
    let callback = own(&console, &caller, id).await?;
    let answer = SecretAnswer { secret: callback.signing_secret.reveal().reveal().to_owned() };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// A callback that the caller manages.
pub(crate) async fn own(
    console: &Console,
    caller: &Caller,
    id: CallbackId,
) -> Result<Callback, Problem> {
    let found = console.store.callback(id).await?;
    found.filter(|callback| manages(caller, callback)).ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::not_found("callback")
}

/// How often a change is applied anew to what somebody else changed in between.
const UPDATE_TRIES: usize = 3;

/// Gives a callback other settings, which are made of what is stored. One that is disabled by it has its pending
/// deliveries cancelled.
///
/// # Errors
/// What is wrong with the settings; 404 if the caller manages no such callback, 409 if others change it all the time.
pub(crate) async fn update(
    console: &Console,
    caller: &Caller,
    id: CallbackId,
    settings_for: impl Fn(&Callback) -> Result<CallbackSettings, Problem>,
) -> Result<Callback, Problem> {
    let changed = change_stored(console, caller, id, |stored, updated_at| {
        with_settings(console, stored, updated_at, &settings_for(stored)?).map(Some)
    });
    let callback = changed.await?;
    if !callback.state.is_enabled() {
        cancel_pending(console, callback.id, CancelReason::CallbackDisabled).await?;
    }
    Ok(callback)
}

/// What a callback becomes with these settings.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn with_settings(
    console: &Console,
    stored: &Callback,
    updated_at: Timestamp,
    settings: &CallbackSettings,
) -> Result<Callback, Problem> {
    settings
        .keeps_account(stored.account.as_ref())
        .map_err(|error| Problem::invalid(vec![error]))?;
    let rules = Rules { address_policy: &console.address_policy };
    rules.apply(settings, base_of(stored.clone(), updated_at)).map_err(Problem::invalid)
}

/// Changes a callback, anew if somebody else changed it in between. `change` is told what is stored and when it is
/// changed, and gives what it becomes; none: it is well as it is.
pub(crate) async fn change_stored(
    console: &Console,
    caller: &Caller,
    id: CallbackId,
    change: impl Fn(&Callback, Timestamp) -> Result<Option<Callback>, Problem>,
) -> Result<Callback, Problem> {
    for _ in 0..UPDATE_TRIES {
        let stored = own(console, caller, id).await?;
        let read_at = stored.updated_at;
        // Two changes within a millisecond must differ: the time is what tells a change from the one before.
        let updated_at = console.clock.now().max(read_at + Duration::from_millis(1));
        let Some(mut changed) = change(&stored, updated_at)? else {
            return Ok(stored);
        };
        // What signs no more need not be kept.
        changed.previous_secret =
            changed.previous_secret.filter(|secret| secret.until > updated_at);
        if console.store.update_callback(&changed, read_at).await? {
            tell_disabled(console, &stored, &changed).await;
            return Ok(changed);
        }
    }
    Err(Problem::conflict("the callback is being changed by others all the time: try again"))
}

/// Says at once that nothing more is sent. Should the process die before: each is cancelled when its time comes, and
/// those that are kept are found by whoever looks after them (`parked`).
pub(crate) async fn cancel_pending(
    console: &Console,
    callback: CallbackId,
    reason: CancelReason,
) -> Result<(), Problem> {
    /// Of one transaction: a few milliseconds of the writer's time.
    const STEP: usize = 500;
    let now = console.clock.now();
    loop {
        let step = console.store.cancel_pending(callback, reason, now, STEP).await?;
        count_cancelled(console, callback, reason, step).await;
        if step < STEP {
            return Ok(());
        }
    }
}

/// Those to a callback that is deleted count together: it has no series any more.
pub(crate) async fn count_cancelled(
    console: &Console,
    callback: CallbackId,
    reason: CancelReason,
    deliveries: usize,
) {
    let counts_for = match reason {
        CancelReason::CallbackDeleted => None,
        CancelReason::CallbackDisabled | CancelReason::Requested => Some(callback),
    };
    // Before anything is waited for: a sender may hang up.
    console.metrics.deliveries_cancelled(counts_for, deliveries);
    // Was it deleted meanwhile, then those who were told so let its series go before this made them again.
    if deliveries > 0
        && counts_for.is_some()
        && matches!(console.store.callback(callback).await, Ok(None))
    {
        console.metrics.callback_deleted(callback);
    }
}

pub(crate) fn base_of(stored: Callback, updated_at: Timestamp) -> Base {
    Base {
        id: stored.id,
        account: stored.account,
        state: stored.state,
        authorization: Some(stored.authorization),
        signing_secret: stored.signing_secret,
        previous_secret: stored.previous_secret,
        created_at: stored.created_at,
        updated_at,
        resumed_at: stored.resumed_at,
    }
}

/// The settings of a callback after a patch.
fn patched(
    stored: &Callback,
    patch: serde_json::Map<String, Value>,
) -> Result<CallbackSettings, Problem> {
    let settings = CallbackSettings::of(stored);
    let mut merged = serde_json::to_value(settings).expect("texts and numbers always serialize");
    // What belongs to another choice would be refused beside the new one, and nobody asked for it.
    if differs(&merged, &patch, "authorization", "type") {
        merged["authorization"] = Value::Object(serde_json::Map::new());
    }
    if differs(&merged, &patch, "retry", "backoff")
        && let Some(retry) = merged["retry"].as_object_mut()
    {
        retry.retain(|name, _| name != "factor" && name != "max_delay_seconds");
    }
    // A null would remove them, and so leave them as they are: it has to be refused instead.
    let kept = ["account", "paused"].map(|name| (name, patch.get(name).cloned()));
    merge_patch::apply(&mut merged, Value::Object(patch));
    for (name, given) in kept {
        if let Some(given) = given {
            merged[name] = given;
        }
    }
    let text = serde_json::to_vec(&merged).expect("it was JSON before");
    ringback_api::parse(&text)
}

/// Whether a patch sets a member to something else than it is.
fn differs(
    stored: &Value,
    patch: &serde_json::Map<String, Value>,
    object: &str,
    member: &str,
) -> bool {
    let new = patch.get(object).and_then(|object| object.get(member));
    new.is_some_and(|new| *new != stored[object][member])
}
