//! What the log callback was sent.

use ringback_core::{Account, CallbackId, LoggedRequestId, Timestamp};

use crate::port::LOGGED_REQUESTS_KEPT;
use crate::rows::Bind;
use crate::sql;

/// A request that the log callback was sent, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRequest {
    /// Names it.
    pub id: LoggedRequestId,
    /// Whose callback sent it; none: an instance callback, or nobody that is known.
    pub account: Option<Account>,
    /// The callback whose signature it bears; none: it bears none that holds.
    pub callback: Option<CallbackId>,
    /// When it came.
    pub received_at: Timestamp,
    /// Its method.
    pub method: String,
    /// What stood after the `?`; empty: nothing.
    pub query: String,
    /// Name and value of each header, secrets masked.
    pub headers: Vec<(String, String)>,
    /// Its body, or the beginning of it.
    pub body: Vec<u8>,
    /// Whether there was more of it.
    pub body_truncated: bool,
}

/// The statement that leaves the newest of those it is kept with, and its values. Three kinds are kept apart: an account's,
/// those of instance callbacks, and those of nobody known, so that nobody pushes out what is another's.
pub(crate) fn trim<B: Bind + Default>(request: &LoggedRequest) -> (&'static str, B) {
    let mut values = B::default();
    values.number(Some(i64::from(LOGGED_REQUESTS_KEPT) - 1));
    let sql = match (&request.account, request.callback) {
        (Some(account), _) => {
            values.text(Some(account.as_str()));
            sql::TRIM_LOGGED_REQUESTS_OF_ACCOUNT
        }
        (None, Some(_)) => sql::TRIM_LOGGED_REQUESTS_OF_INSTANCE,
        (None, None) => sql::TRIM_LOGGED_REQUESTS_OF_NOBODY,
    };
    (sql, values)
}
