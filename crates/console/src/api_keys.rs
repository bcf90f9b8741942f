//! API keys: for instance keys only.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ringback_api::{Caller, FieldError, JsonBody, PageAnswer, PageQuery, PathId, Problem, Query};
use ringback_core::ApiKeyId;
use ringback_core::secret::Secret;
use ringback_store::{ApiKey, Cursor, KeyHash, Page, Scope};

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
    caller.require_instance()?;
    if new.description.chars().count() > DESCRIPTION_CHARS_MAX {
        let error =
            FieldError::new("/description", format!("at most {DESCRIPTION_CHARS_MAX} characters"));
        return Err(Problem::invalid(vec![error]));
    }
    if let Some(reserved) = new.account.as_ref().filter(|account| account.is_reserved()) {
        let detail = format!("the account `{reserved}` is Ringback's own");
        return Err(Problem::invalid(vec![FieldError::new("/account", detail)]));
    }
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
    let made = MadeApiKey { key: text.reveal().to_owned(), about: ApiKeyAnswer::of(&key) };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(made)).into_response())
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
    caller.require_instance()?;
    let asked = PageQuery::take(&mut query)?;
    query.end()?;
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
    Ok(Json(PageAnswer::of(Page { items, next }, |key| ApiKeyAnswer::of(&key))))
}

/// Remove a key: it opens nothing from now on.
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
    caller.require_instance()?;
    if console.store.delete_api_key(id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("API key"))
    }
}
