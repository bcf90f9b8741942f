//! Links that let somebody into the console without an API key. Each opens one session.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef as _, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use ringback_api::{Caller, JsonBody, Keys, Problem};
use ringback_core::secret::Secret;
use ringback_store::{KeyHash, Pass, Scope};

use crate::api_keys::refuse_reserved;
use crate::pages::{ROOT, new_token};
use crate::state::Console;
use crate::wire::console_link::{MadeConsoleLink, NewConsoleLink};

/// Make a link to the console.
///
/// It opens the console for an account, or for the whole instance, once. It is worth nothing any more once the key is
/// removed that it was made with.
#[utoipa::path(
    post, path = "/v1/console-links", tag = "console",
    request_body = NewConsoleLink,
    responses((status = 201, description = "Made", body = MadeConsoleLink), Problem)
)]
pub(crate) async fn create(
    State(console): State<Console>,
    caller: Caller,
    JsonBody(new): JsonBody<NewConsoleLink>,
) -> Result<Response, Problem> {
    let made = make(&console, &caller, new).await?;
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(made)).into_response())
}

/// Makes a link.
///
/// # Errors
/// 403 for another account than the caller's, 422 for a time that is too short or too long, and if it can't be kept.
pub(crate) async fn make(
    console: &Console,
    caller: &Caller,
    new: NewConsoleLink,
) -> Result<MadeConsoleLink, Problem> {
    let lasts = new.lasts().map_err(Problem::invalid)?;
    let account = caller.account_for(new.account)?;
    refuse_reserved(account.as_ref())?;
    let (now, token) = (console.clock.now(), new_token()?);
    let link = Pass {
        hash: KeyHash::of(&token),
        key: caller.key,
        scope: account.map_or(Scope::Instance, Scope::Account),
        created_at: now,
        expires_at: now + lasts,
    };
    console.store.create_console_link(&link).await?;
    let path = format!("{ROOT}/enter/{}", token.reveal());
    let url = console.address_policy.own().map(|own| format!("{own}{path}"));
    Ok(MadeConsoleLink { path, url, expires_at: link.expires_at })
}

impl Console {
    /// The path of a link to the console that opens what this key does, once and within an hour.
    ///
    /// # Errors
    /// If the key is not known, or the link can't be kept.
    pub async fn link_for(&self, key: &Secret) -> Result<String, Problem> {
        let caller = Arc::<Keys>::from_ref(self).caller(key).await?;
        Ok(make(self, &caller, NewConsoleLink::default()).await?.path)
    }
}
