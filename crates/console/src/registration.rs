//! The registration of callbacks as Conga Sign's clients know it: one for each account, under an id that is computed from
//! the account. For all else it is a callback like others, to be seen and changed by `/v1/callbacks/{id}` too.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringback_api::{BasicOrBearer, Caller, JsonBody, Problem, Query};
use ringback_core::callback::{Callback, CallbackState, DisabledReason};
use ringback_core::delivery::CancelReason;
use ringback_core::signature::SigningSecret;
use ringback_core::{Account, CallbackId};

use crate::callbacks::{base_of, cancel_pending, change_stored};
use crate::state::{Console, random};
use crate::wire::registration::Registration;
use crate::wire::settings::{Base, Rules};

/// Register where an account's notifications go, as Conga Sign takes it.
///
/// There is one for each account; registering again changes it. Each notification is a POST in the format `conga-sign`.
/// All members of the `authType` are required each time. With an empty `callbackUrl` nothing is sent any more, and
/// the callback keeps its settings and its history. The answer is what was sent, secrets included.
///
/// The key may stand behind `Basic` too, as it is.
#[utoipa::path(
    put, path = "/api/callback/register", tag = "conga-sign",
    params(("account" = Option<String>, Query, description = "Which account's; an instance key has to say")),
    request_body = Registration,
    responses((status = 200, description = "Registered: what was sent", body = Registration), Problem)
)]
pub(crate) async fn register(
    State(console): State<Console>,
    BasicOrBearer(caller): BasicOrBearer,
    query: Query,
    JsonBody(registration): JsonBody<Registration>,
) -> Result<Response, Problem> {
    let account = account(&caller, query)?;
    put(&console, &caller, (&account, None), &registration).await?;
    Ok(secret(registration))
}

/// Why nothing is registered, for who has filled in a form that is out of date.
pub(crate) const CHANGED: &str = "this registration was changed after you opened the form. What you typed is still here: \
    save again to put it in the place of that change";

/// Registers where an account's notifications go, or that they go nowhere. The account is one that the caller may speak
/// for, see [`account_of`].
///
/// `as_of` is when it was last changed as far as the caller knows, and empty if that is never; none: that does not matter.
///
/// # Errors
/// What is wrong with the registration; 409 if others change it all the time, and with [`CHANGED`] if it was changed
/// since `as_of`.
pub(crate) async fn put(
    console: &Console,
    caller: &Caller,
    (account, as_of): (&Account, Option<&str>),
    registration: &Registration,
) -> Result<(), Problem> {
    let id = CallbackId::of_registration(account);
    if registration.disables() {
        registration.check_disabling()?;
        disable(console, caller, id).await
    } else {
        save(console, caller, (account, as_of), registration).await
    }
}

/// Where an account's notifications go.
///
/// Secrets show as `***`. `callbackUrl` is empty while nothing is sent.
#[utoipa::path(
    get, path = "/api/callback/register", tag = "conga-sign",
    params(("account" = Option<String>, Query, description = "Which account's; an instance key has to say")),
    responses((status = 200, description = "What is registered", body = Registration), Problem)
)]
pub(crate) async fn show(
    State(console): State<Console>,
    BasicOrBearer(caller): BasicOrBearer,
    query: Query,
) -> Result<Response, Problem> {
    let account = account(&caller, query)?;
    let found = console.store.callback(CallbackId::of_registration(&account)).await?;
    let callback = found.ok_or_else(|| Problem::not_found("registration: none was made yet"))?;
    Ok(secret(Registration::of(&callback)?))
}

fn account(caller: &Caller, mut query: Query) -> Result<Account, Problem> {
    let named = query.take::<Account>("account")?;
    query.end()?;
    account_of(caller, named)?.ok_or_else(|| {
        Problem::malformed(
            "this is an instance key, and a registration is an account's: name it, ?account=…, or use its key",
        )
    })
}

/// The account whose registration is meant. None: the caller may speak for all, and has named none.
///
/// # Errors
/// 400 if it is one that has no registration, 403 if it is another than the caller's.
pub(crate) fn account_of(
    caller: &Caller,
    named: Option<Account>,
) -> Result<Option<Account>, Problem> {
    if named.as_ref().is_some_and(Account::is_reserved) {
        return Err(Problem::malformed("account: this one is Ringback's own"));
    }
    caller.account_for(named)
}

fn secret(registration: Registration) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(registration)).into_response()
}

/// How often it is begun anew if others make, change or delete it at the same time.
const TRIES: usize = 4;

async fn save(
    console: &Console,
    caller: &Caller,
    (account, as_of): (&Account, Option<&str>),
    registration: &Registration,
) -> Result<(), Problem> {
    let id = CallbackId::of_registration(account);
    let rules = Rules { address_policy: &console.address_policy };
    for _ in 0..TRIES {
        if console.store.callback(id).await?.is_none() {
            let callback = registration.apply(&rules, new(console, id, account)?, None)?;
            match console.store.create_callback(&callback).await {
                Ok(()) => return Ok(()),
                // Another registration was quicker: this one comes after it.
                Err(_) if console.store.callback(id).await?.is_some() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let changed = change_stored(console, caller, id, |stored, updated_at| {
            if as_of.is_some_and(|as_of| stored.updated_at.to_string() != as_of) {
                return Err(Problem::conflict(CHANGED));
            }
            let base = base_of(stored.clone(), updated_at);
            registration.apply(&rules, base, Some(stored)).map(Some)
        });
        match changed.await {
            // It was deleted meanwhile.
            Err(problem) if problem.status() == StatusCode::NOT_FOUND => {}
            changed => return changed.map(|_| ()),
        }
    }
    Err(Problem::conflict("the registration is being changed by others all the time: try again"))
}

fn new(console: &Console, id: CallbackId, account: &Account) -> Result<Base, Problem> {
    let now = console.clock.now();
    Ok(Base {
        id,
        account: Some(account.clone()),
        state: CallbackState::Enabled,
        authorization: None,
        signing_secret: SigningSecret::from_random(random()?),
        previous_secret: None,
        created_at: now,
        updated_at: now,
        resumed_at: None,
    })
}

/// Nothing is said where there is nothing to disable: what was asked for is so.
async fn disable(console: &Console, caller: &Caller, id: CallbackId) -> Result<(), Problem> {
    let changed = change_stored(console, caller, id, |stored, updated_at| {
        let state = CallbackState::Disabled(DisabledReason::ByOwner);
        let disabled = || Callback { state, updated_at, ..stored.clone() };
        Ok(stored.state.is_enabled().then(disabled))
    });
    match changed.await {
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => Ok(()),
        Err(problem) => Err(problem),
        Ok(_) => cancel_pending(console, id, CancelReason::CallbackDisabled).await,
    }
}
