//! API keys: for instance keys only.

use axum::Json;
use std::sync::Arc;

use axum::extract::{FromRef as _, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ringback_api::{
    Caller, FieldError, JsonBody, Keys, PageAnswer, PageQuery, PathId, Problem, Query,
};
use ringback_core::secret::Secret;
use ringback_core::{Account, ApiKeyId};
use ringback_store::{ApiKey, Cursor, KeyHash, LastKey, Page, Scope};

use crate::state::{Console, random};
use crate::wire::api_key::{ApiKeyAnswer, MadeApiKey, NewApiKey};

const DESCRIPTION_CHARS_MAX: usize = 1_000;

/// Make a key.
///
/// The answer shows it, once.
#[utoipa::path(
    post, path = "/v1/api-keys", tag = "api keys",
    request_body = NewApiKey,
    responses((status = 201, description = "Made", body = MadeApiKey), Problem)
)]
pub(crate) async fn create(
    State(console): State<Console>,
    caller: Caller,
    JsonBody(new): JsonBody<NewApiKey>,
) -> Result<Response, Problem> {
    let (text, key) = make(&console, &caller, new).await?;
    let made = MadeApiKey { key: text.reveal().to_owned(), about: ApiKeyAnswer::of(&key) };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(made)).into_response())
}

/// Makes a key, and gives it: it is kept nowhere.
///
/// # Errors
/// 403 for an account's key, 422 for what is not taken, and if it can't be kept.
pub(crate) async fn make(
    console: &Console,
    caller: &Caller,
    new: NewApiKey,
) -> Result<(Secret, ApiKey), Problem> {
    caller.require_instance()?;
    if new.description.chars().count() > DESCRIPTION_CHARS_MAX {
        let error =
            FieldError::new("/description", format!("at most {DESCRIPTION_CHARS_MAX} characters"));
        return Err(Problem::invalid(vec![error]));
    }
    refuse_reserved(new.account.as_ref())?;
    let now = console.clock.now();
    let text = Secret::new(format!("rbk_{}", URL_SAFE_NO_PAD.encode(random::<32>()?)));
    let key = ApiKey {
        id: ApiKeyId::from_parts(now, random()?),
        description: new.description,
        scope: new.account.map_or(Scope::Instance, Scope::Account),
        hash: KeyHash::of(&text),
        created_at: now,
    };
    console.store.create_api_key(&key).await?;
    Ok((text, key))
}

/// Refuses an account that nobody may act for.
///
/// # Errors
/// 422.
pub(crate) fn refuse_reserved(account: Option<&Account>) -> Result<(), Problem> {
    let Some(reserved) = account.filter(|account| account.is_reserved()) else { return Ok(()) };
    let detail = format!("the account `{reserved}` is Ringback's own");
    Err(Problem::invalid(vec![FieldError::new("/account", detail)]))
}

/// List keys, newest first.
#[utoipa::path(
    get, path = "/v1/api-keys", tag = "api keys",
    params(
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 200, description = "50 unless given"),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = PageAnswer<ApiKeyAnswer>), Problem)
)]
pub(crate) async fn list(
    State(console): State<Console>,
    caller: Caller,
    mut query: Query,
) -> Result<Json<PageAnswer<ApiKeyAnswer>>, Problem> {
    let asked = PageQuery::take(&mut query)?;
    query.end()?;
    let found = found(&console, &caller, &asked).await?;
    Ok(Json(PageAnswer::of(found, |key| ApiKeyAnswer::of(&key))))
}

/// A page of the keys, newest first.
///
/// # Errors
/// 403 for an account's key, and if they can't be read.
pub(crate) async fn found(
    console: &Console,
    caller: &Caller,
    asked: &PageQuery,
) -> Result<Page<ApiKey>, Problem> {
    caller.require_instance()?;
    // There are few, and all of them are in memory anyway: pages are cut here and not in the store.
    let keys = console.store.api_keys().await?;
    let place = |key: &ApiKey| Cursor { at: key.created_at, id: key.id.to_string() };
    let before = |key: &ApiKey, cursor: &Cursor| {
        (key.created_at, key.id.to_string()) < (cursor.at, cursor.id.clone())
    };
    let mut left =
        keys.into_iter().filter(|key| asked.after.as_ref().is_none_or(|after| before(key, after)));
    let items: Vec<_> = left.by_ref().take(asked.limit).collect();
    let next = left.next().and(items.last().map(place));
    Ok(Page { items, next })
}

/// Remove a key: it opens nothing from now on.
///
/// Neither do sessions of the console and links to it that came by it. The last key for the whole instance stays, unless
/// the setting `admin_key` is there to get in by.
#[utoipa::path(
    delete, path = "/v1/api-keys/{id}", tag = "api keys",
    params(("id" = String, Path, format = "uuid")),
    responses((status = 204, description = "Removed"), Problem)
)]
pub(crate) async fn remove(
    State(console): State<Console>,
    caller: Caller,
    PathId(id): PathId<ApiKeyId>,
) -> Result<StatusCode, Problem> {
    take_away(&console, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a key.
///
/// # Errors
/// 403 for an account's key, 404 if there is none, 409 if it [is the last one](is_the_last).
pub(crate) async fn take_away(
    console: &Console,
    caller: &Caller,
    id: ApiKeyId,
) -> Result<(), Problem> {
    caller.require_instance()?;
    let last = match Arc::<Keys>::from_ref(console).has_admin_key() {
        true => LastKey::Goes,
        false => LastKey::Stays,
    };
    if console.store.delete_api_key(id, last).await? {
        return Ok(());
    }
    match is_the_last(console, &console.store.api_keys().await?, id) {
        true => Err(Problem::conflict(THE_LAST)),
        false => Err(Problem::not_found("API key")),
    }
}

/// Why the last key stays.
pub(crate) const THE_LAST: &str = "it is the last key for the whole instance, and the setting admin_key is not given: \
     nobody could manage this instance any more. Make another one first";

/// Whether nobody could manage this instance without this one of its keys.
pub(crate) fn is_the_last(console: &Console, keys: &[ApiKey], id: ApiKeyId) -> bool {
    let mut of_instance = keys.iter().filter(|key| key.scope == Scope::Instance);
    !Arc::<Keys>::from_ref(console).has_admin_key()
        && of_instance.clone().any(|key| key.id == id)
        && of_instance.all(|key| key.id == id)
}
