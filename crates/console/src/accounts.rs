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
    caller.account_for(Some(account.clone()))?;
    let settings = console.store.account_settings().await?;
    let settings = settings.into_iter().find(|settings| settings.account == account);
    let unknown_types = settings.map(|settings| settings.unknown_types).unwrap_or_default();
    Ok(Json(AccountAnswer { account, strict: unknown_types == UnknownTypes::Refused }))
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
    caller.require_instance()?;
    let strict = body.strict;
    let unknown_types = if strict { UnknownTypes::Refused } else { UnknownTypes::Accepted };
    let settings = AccountSettings { account, unknown_types };
    console.store.put_account_settings(&settings, console.clock.now()).await?;
    Ok(Json(AccountAnswer { account: settings.account, strict }))
}
