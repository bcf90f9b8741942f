//! What accounts want that is not the default.

use axum::Json;
use axum::extract::State;
use ringback_api::{Caller, JsonBody, PathName, Problem};
use ringback_core::Account;
use ringback_store::{AccountSettings, UnknownTypes};

use crate::state::Console;
use crate::wire::event_type::{AccountAnswer, AccountSettingsBody};

/// What an account wants.
///
/// An account that nobody has heard of wants the default.
#[utoipa::path(
    get, path = "/v1/accounts/{account}", tag = "catalog",
    params(("account" = String, Path)),
    responses((status = 200, description = "The account", body = AccountAnswer), Problem)
)]
pub(crate) async fn show(
    State(console): State<Console>,
    caller: Caller,
    PathName(account): PathName<Account>,
) -> Result<Json<AccountAnswer>, Problem> {
    let strict = is_strict(&console, &caller, &account).await?;
    Ok(Json(AccountAnswer { account, strict }))
}

/// Whether an account's events are refused if the catalog does not know their type.
///
/// # Errors
/// 403 for another account than the caller's, and if it can't be read.
pub(crate) async fn is_strict(
    console: &Console,
    caller: &Caller,
    account: &Account,
) -> Result<bool, Problem> {
    caller.account_for(Some(account.clone()))?;
    let settings = console.store.account_settings().await?;
    let settings = settings.into_iter().find(|settings| settings.account == *account);
    let unknown_types = settings.map(|settings| settings.unknown_types).unwrap_or_default();
    Ok(unknown_types == UnknownTypes::Refused)
}

/// Set what an account wants.
#[utoipa::path(
    put, path = "/v1/accounts/{account}", tag = "catalog",
    params(("account" = String, Path)),
    request_body = AccountSettingsBody,
    responses((status = 200, description = "Set", body = AccountAnswer), Problem)
)]
pub(crate) async fn put(
    State(console): State<Console>,
    caller: Caller,
    PathName(account): PathName<Account>,
    JsonBody(body): JsonBody<AccountSettingsBody>,
) -> Result<Json<AccountAnswer>, Problem> {
    let strict = body.strict;
    let unknown_types = if strict { UnknownTypes::Refused } else { UnknownTypes::Accepted };
    let settings = AccountSettings { account, unknown_types };
    set(&console, &caller, &settings).await?;
    Ok(Json(AccountAnswer { account: settings.account, strict }))
}

/// Sets what an account wants.
///
/// # Errors
/// 403 for an account's key, and if it can't be written.
pub(crate) async fn set(
    console: &Console,
    caller: &Caller,
    settings: &AccountSettings,
) -> Result<(), Problem> {
    caller.require_instance()?;
    Ok(console.store.put_account_settings(settings, console.clock.now()).await?)
}
