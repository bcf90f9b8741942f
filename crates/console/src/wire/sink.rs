//! What the log callback was sent, as it is shown.

use ringback_core::{Account, Timestamp};
use ringback_store::LoggedRequest;
use serde::Serialize;
use utoipa::ToSchema;

use super::delivery::HeaderAnswer;

/// A request that the log callback was sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct LoggedRequestAnswer {
    #[schema(format = "uuid")]
    id: String,
    /// Whose callback sent it; null: an instance callback, or nobody that is known.
    #[schema(required)]
    account: Option<String>,
    /// The callback whose signature it bears; null: it bears none that holds.
    #[schema(required, format = "uuid")]
    callback: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    method: String,
    /// What stood after the `?`.
    query: String,
    /// Secrets masked.
    headers: Vec<HeaderAnswer>,
    /// Its first 64 KiB as text: bytes that are not UTF-8 show as U+FFFD.
    body: String,
    /// Whether there was more of it.
    truncated: bool,
}

impl LoggedRequestAnswer {
    pub(crate) fn of(request: LoggedRequest) -> Self {
        Self {
            id: request.id.to_string(),
            account: request.account.as_ref().map(Account::to_string),
            callback: request.callback.map(|id| id.to_string()),
            received_at: request.received_at,
            method: request.method,
            query: request.query,
            headers: HeaderAnswer::all(&request.headers),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            truncated: request.body_truncated,
        }
    }
}
