//! Two callbacks to try out with, at the place where ConceptShare has them: one writes down what it is sent, the other
//! answers with it.
//!
//! Anybody may call them, for whoever sends a callback has no API key. So that nobody can write into another account's
//! log, a request belongs to an account only if it bears the signature of a callback of that account; the rest belongs to
//! nobody, is seen by the instance alone, and comes at a bounded rate.

mod echo;
mod senders;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use ringback_api::{Caller, PageAnswer, PageQuery, Problem, Query, read_body};
use ringback_core::secret::Secret;
use ringback_core::signature::TOLERANCE;
use ringback_core::{Account, Callback, CallbackId, LoggedRequestId, Timestamp};
use ringback_store::{LoggedRequest, LoggedRequestQuery, Page};
use tokio::sync::Semaphore;

use self::senders::Senders;
use crate::state::{Console, random};
use crate::wire::sink::LoggedRequestAnswer;

/// What is kept of a body.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// What is read of a body: a signature holds for the whole of it. An event as large as they may be by default has room in
/// any format.
const READ_BYTES_MAX: usize = 1024 * 1024;
/// How long a body may take: each that is waited for holds a place.
const READ_PATIENCE: Duration = Duration::from_secs(10);
/// Requests at once. Nobody has to be known to come in, so this and the size of a body bound what they take of the memory.
const PLACES: usize = 64;
/// How many requests of nobody known are written down within one second.
const UNKNOWN_PER_SECOND: u32 = 20;

/// What the handlers here share.
pub(crate) struct Sink {
    places: Semaphore,
    senders: Senders,
    /// Requests of nobody known that were written down.
    unknown: Mutex<PerSecond>,
}

/// How often something was done within one second.
#[derive(Default)]
struct PerSecond {
    second: i64,
    count: u32,
}

impl Default for Sink {
    fn default() -> Self {
        Self {
            places: Semaphore::new(PLACES),
            senders: Senders::default(),
            unknown: Mutex::default(),
        }
    }
}

/// A callback to try out with: `f=lp` writes down what it is sent, `f=ep` answers with it.
///
/// What is written down is read with `GET /v1/sink/log`. The answer is text: a form's fields line by line, and any other
/// body as it came.
#[utoipa::path(
    method(get, post), path = "/system.ashx", tag = "sink", security(()),
    params(("f" = String, Query, description = "`lp`: log; `ep`: echo", pattern = "^(lp|ep)$")),
    responses((status = 200, description = "Taken", body = String, content_type = "text/plain"), Problem)
)]
pub(crate) async fn take(
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Problem> {
    let _place = console.sink.places.acquire().await.expect("never closed");
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default();
    let function = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "f");
    let function = function.map(|(_, value)| value.into_owned()).unwrap_or_default();
    if !matches!(function.as_str(), "lp" | "ep") {
        return Err(Problem::not_found("function here: f=lp logs, f=ep echoes"));
    }
    let read = tokio::time::timeout(READ_PATIENCE, read_body(&head.headers, body, READ_BYTES_MAX));
    let body = read.await.map_err(|_| Problem::malformed("the body takes too long"))??;
    if function == "ep" {
        return Ok(text(echo::of(&head.headers, query, &body)));
    }
    log(&console, &head.method, query, &head.headers, &body).await?;
    Ok(text("logged\n".to_owned()))
}

/// What the log callback was sent, newest first.
///
/// An account key sees what its account's callbacks sent, an instance key sees all. Of each account the last 1,000 are
/// kept.
#[utoipa::path(
    get, path = "/v1/sink/log", tag = "sink",
    params(
        ("account" = Option<String>, Query, description = "Those of this account only"),
        ("limit" = Option<u32>, Query, description = "1 to 200, 50 unless said", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page of them", body = PageAnswer<LoggedRequestAnswer>), Problem)
)]
pub(crate) async fn logged(
    State(console): State<Console>,
    caller: Caller,
    mut query: Query,
) -> Result<Json<PageAnswer<LoggedRequestAnswer>>, Problem> {
    let account = query.take::<Account>("account")?;
    let page = PageQuery::take(&mut query)?;
    query.end()?;
    let found = found(&console, &caller, account, &page).await?;
    Ok(Json(PageAnswer::of(found, LoggedRequestAnswer::of)))
}

/// A page of what the log callback was sent.
///
/// # Errors
/// 403 for another account than the caller's, and if it can't be read.
pub(crate) async fn found(
    console: &Console,
    caller: &Caller,
    account: Option<Account>,
    page: &PageQuery,
) -> Result<Page<LoggedRequest>, Problem> {
    let wanted = LoggedRequestQuery { account: caller.account_for(account)? };
    Ok(console.store.logged_requests(&wanted, page.limit, page.after.as_ref()).await?)
}

/// Text, whatever it looks like: what was sent must not become a page or a script of ours.
fn text(body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, body).into_response()
}

async fn log(
    console: &Console,
    method: &Method,
    query: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(), Problem> {
    let now = console.clock.now();
    let sender = sender(console, headers, body, now).await?;
    if sender.is_none() {
        console.sink.admit_unknown(now)?;
    }
    let request = LoggedRequest {
        id: LoggedRequestId::from_parts(now, random()?),
        account: sender.as_ref().and_then(|callback| callback.account.clone()),
        callback: sender.map(|callback| callback.id),
        received_at: now,
        method: method.as_str().to_owned(),
        query: query.to_owned(),
        headers: shown(headers),
        body: body[..body.len().min(KEPT_BYTES_MAX)].to_vec(),
        body_truncated: body.len() > KEPT_BYTES_MAX,
    };
    console.store.log_request(&request).await?;
    Ok(())
}

impl Sink {
    fn admit_unknown(&self, now: Timestamp) -> Result<(), Problem> {
        let mut unknown = self.unknown.lock().expect("nobody panics holding it");
        if !unknown.admit(now, UNKNOWN_PER_SECOND) {
            return Err(Problem::too_many_requests(
                "too many requests that bear no signature of a callback",
                Duration::from_secs(1),
            ));
        }
        Ok(())
    }
}

impl PerSecond {
    /// Counts it, unless that makes more than `max` within this second.
    fn admit(&mut self, now: Timestamp, max: u32) -> bool {
        if self.second != now.seconds() {
            *self = Self { second: now.seconds(), count: 0 };
        }
        let is_admitted = self.count < max;
        self.count += u32::from(is_admitted);
        is_admitted
    }
}

/// The callback whose signature the request bears, if it does and the time it was made is not long ago.
async fn sender(
    console: &Console,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<Option<Arc<Callback>>, Problem> {
    let value = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(callback), Some(webhook_id), Some(time), Some(signature)) = (
        value("ringback-callback").and_then(|id| id.parse::<CallbackId>().ok()),
        value("webhook-id"),
        value("webhook-timestamp").and_then(|seconds| seconds.parse::<i64>().ok()),
        value("webhook-signature"),
    ) else {
        return Ok(None);
    };
    if time.abs_diff(now.seconds()) > TOLERANCE.as_secs() {
        return Ok(None);
    }
    let time = Timestamp::from_ms(time.saturating_mul(1_000));
    let found = console.sink.senders.find(&*console.store, &*console.clock, callback).await?;
    Ok(found.filter(|callback| {
        // Not by the time that the request says: whoever got hold of a secret that has ended could say any.
        let mut secrets = callback.signing_secrets_at(now);
        secrets.any(|secret| secret.signed(webhook_id, time, body, signature))
    }))
}

/// The headers, those masked that are likely to hold a secret.
fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    const SECRET: [&str; 7] =
        ["authorization", "cookie", "password", "secret", "token", "api-key", "apikey"];
    let show = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        let is_secret = SECRET.iter().any(|word| name.as_str().contains(word));
        let value = match is_secret {
            true => Secret::MASK.to_owned(),
            false => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        };
        (name.as_str().to_owned(), value)
    };
    headers.iter().map(show).collect()
}
