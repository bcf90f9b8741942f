//! Errors as the caller sees them: RFC 9457 problem details.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::map_response_with_state;
use axum::response::{IntoResponse, Response};
use ringback_broker::PublishError;
use ringback_runtime::with_causes;
use serde::{Deserialize, Serialize};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::refusals::{Refusals, Refused};

/// Why a request was not served, as it is told to the caller.
///
/// It never says what is inside Ringback: causes go to the log, when the problem is made or when it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    refused: Option<Refused>,
}

/// What is wrong in one place of a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the place in the request's body; empty: the whole of it.
    #[schema(example = "/retry/max_retries")]
    pub pointer: String,
    /// What is wrong there, and what is taken.
    #[schema(example = "a whole number from 0 to 100")]
    pub detail: String,
}

impl FieldError {
    /// This is wrong there.
    #[must_use]
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// The body of every error: problem details (RFC 9457), `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemDetails {
    /// Names the kind of problem, for programs.
    #[schema(value_type = String, example = "/problems/invalid")]
    r#type: &'static str,
    /// Names the kind of problem, for people.
    #[schema(value_type = String, example = "Invalid content")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// What is wrong with this request.
    detail: String,
    /// For invalid content: each place that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Malformed,
    Invalid,
    KeyReused,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Conflict,
    TooLarge,
    TooManyRequests,
    UnsupportedMediaType,
    Unavailable,
    DiskFull,
    Internal,
}

impl Kind {
    const fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Invalid | Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A path that stays the same for good: programs compare it. No page is behind it yet.
    const fn type_uri(self) -> &'static str {
        match self {
            Self::Malformed => "/problems/malformed",
            Self::Invalid => "/problems/invalid",
            Self::KeyReused => "/problems/idempotency-key-reused",
            Self::Unauthorized => "/problems/unauthorized",
            Self::Forbidden => "/problems/forbidden",
            Self::NotFound => "/problems/not-found",
            Self::MethodNotAllowed => "/problems/method-not-allowed",
            Self::Conflict => "/problems/conflict",
            Self::TooLarge => "/problems/too-large",
            Self::TooManyRequests => "/problems/too-many-requests",
            Self::UnsupportedMediaType => "/problems/unsupported-media-type",
            Self::Unavailable => "/problems/unavailable",
            Self::DiskFull => "/problems/disk-full",
            Self::Internal => "/problems/internal",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Malformed => "Malformed request",
            Self::Invalid => "Invalid content",
            Self::KeyReused => "Idempotency key used for another request",
            Self::Unauthorized => "No valid API key",
            Self::Forbidden => "Not allowed with this API key",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::Conflict => "Not possible as things stand",
            Self::TooLarge => "Too large",
            Self::TooManyRequests => "Too many requests",
            Self::UnsupportedMediaType => "Unsupported media type",
            Self::Unavailable => "Not available now",
            Self::DiskFull => "Disk full",
            Self::Internal => "Internal error",
        }
    }
}

impl Problem {
    fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (errors, retry_after, refused) = (Vec::new(), None, None);
        Self { kind, detail: detail.into(), errors, retry_after, refused }
    }

    /// 400: the request can't be read at all (no JSON, a broken query).
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Kind::Malformed, detail)
    }

    /// 422: the body can be read, but its content is not taken. The errors say where and why.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] if one.pointer.is_empty() => one.detail.clone(),
            [one] => format!("{}: {}", one.pointer, one.detail),
            several => format!("{} fields are not valid, see errors", several.len()),
        };
        Self { errors, ..Self::new(Kind::Invalid, detail) }
    }

    /// 422: an `Idempotency-Key` that came with another request before.
    #[must_use]
    pub fn idempotency_key_reused() -> Self {
        let detail =
            "this Idempotency-Key came before, with another body: take a new key for a new request";
        Self::new(Kind::KeyReused, detail)
    }

    /// 401: no key, or none that is known.
    #[must_use]
    pub fn unauthorized() -> Self {
        let detail = "send a valid API key as `Authorization: Bearer rbk_…`";
        Self::new(Kind::Unauthorized, detail)
    }

    /// 403: the key is known, and does not open this.
    #[must_use]
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, detail)
    }

    /// 404: there is none, or none that the caller may see. Both sound the same, so that nobody can find out by asking
    /// what others have.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, format!("there is no such {what}"))
    }

    /// 405: the path takes other methods.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let detail = "this path does not take this method; the Allow header names those it takes";
        Self::new(Kind::MethodNotAllowed, detail)
    }

    /// 409: a valid request that things as they stand do not allow.
    #[must_use]
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, detail)
    }

    /// 413: a body of more bytes than this.
    #[must_use]
    pub fn too_large(bytes_max: usize) -> Self {
        Self::new(Kind::TooLarge, format!("the body is larger than {bytes_max} bytes"))
    }

    /// 429: more than is taken at once. The same may be taken after the wait.
    #[must_use]
    pub fn too_many_requests(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Kind::TooManyRequests, detail) }
    }

    /// 415: the body is of another kind than those taken.
    #[must_use]
    pub fn unsupported_media_type(taken: &str) -> Self {
        Self::new(Kind::UnsupportedMediaType, format!("send the body as `Content-Type: {taken}`"))
    }

    /// 503: it may work later. Whoever knows the cause logs it.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Kind::Unavailable, detail) }
    }

    /// 507: nothing can be written. The cause is logged here.
    #[must_use]
    pub fn disk_full(error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = with_causes(error), "disk full, request refused");
        Self::new(Kind::DiskFull, "there is no disk space left, so nothing was written")
    }

    /// 500: our fault. The cause is logged here, and the answer says nothing of it.
    #[must_use]
    pub fn internal(error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = with_causes(error), "request failed");
        Self::new(Kind::Internal, "Ringback could not do this; its log says why")
    }

    /// The same, with a wait to suggest.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// The same, with what the log is told once it is answered.
    fn for_want_of(self, for_want_of: &'static str, error: &(dyn Error + 'static)) -> Self {
        let error = with_causes(error);
        tracing::debug!(error, "{for_want_of} unavailable, request refused");
        Self { refused: Some(Refused { for_want_of, error }), ..self }
    }

    /// What is wrong where, for invalid content.
    #[must_use]
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// What is wrong where: of a body that can't be read at all, with its whole.
    #[must_use]
    pub fn into_field_errors(self) -> Vec<FieldError> {
        if self.errors.is_empty() { vec![FieldError::new("", self.detail)] } else { self.errors }
    }

    /// What is wrong.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.kind.status()
    }
}

/// What a caller is asked to wait before trying again, where nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl From<ringback_store::Error> for Problem {
    fn from(error: ringback_store::Error) -> Self {
        match &error {
            ringback_store::Error::Full(_) => Self::disk_full(&error),
            ringback_store::Error::Unavailable(_) => {
                let detail = "the store can't be used now";
                Self::unavailable(detail, RETRY_AFTER).for_want_of("store", &error)
            }
            ringback_store::Error::WrongMasterKey
            | ringback_store::Error::TooNew { .. }
            | ringback_store::Error::Refused { .. }
            | ringback_store::Error::Unreadable { .. } => Self::internal(&error),
        }
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match &error {
            PublishError::Full(_) => Self::disk_full(&error),
            PublishError::Unavailable(_) => {
                let detail = "the queue does not take messages now";
                Self::unavailable(detail, RETRY_AFTER).for_want_of("queue", &error)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let details = ProblemDetails {
            r#type: self.kind.type_uri(),
            title: self.kind.title(),
            status: status.as_u16(),
            detail: self.detail,
            errors: self.errors,
        };
        let body = serde_json::to_vec(&details).expect("texts and numbers always serialize");
        let mut response = (status, body).into_response();
        if let Some(refused) = self.refused {
            response.extensions_mut().insert(refused);
        }
        let headers = response.headers_mut();
        let media_type = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, media_type);
        if self.kind == Kind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            // Whole seconds, rounded up: sooner would be too soon.
            let seconds = wait.as_millis().div_ceil(1_000).max(1);
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Every call of the API may answer with one: the document says so once for all statuses.
impl IntoResponses for Problem {
    fn responses() -> std::collections::BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let content =
            ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemDetails"))).build();
        let response = ResponseBuilder::new()
            .description("What is wrong, as problem details (RFC 9457)")
            .content("application/problem+json", content)
            .build();
        [("default".to_owned(), RefOr::T(response))].into()
    }
}

/// Makes unknown paths and methods answer with problem details too, and has the log told what requests are refused for
/// want of. To be called on the whole router, once: a router that has a fallback can't be merged into another one.
pub fn with_fallbacks<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    let unknown_path = async |uri: Uri| {
        Problem::new(Kind::NotFound, format!("there is nothing at {}", uri.path()))
    };
    let refusals = Arc::new(Refusals::default());
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(map_response_with_state(refusals, Refusals::look))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(problem: Problem) -> (Response, serde_json::Value) {
        let mut response = problem.into_response();
        let body = std::mem::take(response.body_mut());
        let bytes = axum::body::to_bytes(body, 10_000).await.expect("a whole body");
        (response, serde_json::from_slice(&bytes).expect("JSON"))
    }

    #[tokio::test]
    async fn invalid_content_is_told_as_the_contract_says() {
        let error = FieldError::new("/retry/max_retries", "a whole number from 0 to 100");
        let (response, json) = answer(Problem::invalid(vec![error])).await;
        assert_eq!(response.status(), 422);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let expected = serde_json::json!({
            "type": "/problems/invalid", "title": "Invalid content", "status": 422,
            "detail": "/retry/max_retries: a whole number from 0 to 100",
            "errors": [{ "pointer": "/retry/max_retries", "detail": "a whole number from 0 to 100" }],
        });
        assert_eq!(json, expected);
    }

    #[tokio::test]
    async fn cause_stays_inside() {
        let cause = || "disk I/O error at /var/lib/ringback".into();
        for (error, status) in [
            (ringback_store::Error::Full(cause()), 507),
            (ringback_store::Error::Unavailable(cause()), 503),
            (ringback_store::Error::WrongMasterKey, 500),
            (ringback_store::Error::Unreadable { table: "callback", detail: "hush".into() }, 500),
        ] {
            let (response, json) = answer(error.into()).await;
            assert_eq!(response.status(), status);
            let text = json.to_string();
            assert!(
                !text.contains("/var") && !text.contains("hush") && !text.contains("master"),
                "{text}"
            );
        }
        for (error, status) in
            [(PublishError::Full(cause()), 507), (PublishError::Unavailable(cause()), 503)]
        {
            let (response, json) = answer(error.into()).await;
            assert_eq!(response.status(), status);
            assert!(!json.to_string().contains("/var"), "{json}");
        }
    }

    #[tokio::test]
    async fn wait_is_told_in_whole_seconds_and_never_none() {
        for (wait_ms, seconds) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2")] {
            let wait = Duration::from_millis(wait_ms);
            let (response, _) = answer(Problem::unavailable("later", wait)).await;
            assert_eq!(response.headers()["retry-after"], seconds, "{wait_ms}");
        }
    }
}
