//! What the log callback was sent.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Bind, Columns, Row, id_text};
use crate::{Error, LoggedRequest};

pub(crate) fn logged_request<R: Columns>(row: &R) -> Result<LoggedRequest, Error> {
    let row = Row::of("logged_request", row);
    let text = row.text("body")?;
    let body = match row.number::<i64>("body_is_base64")? {
        0 => text.as_bytes().to_vec(),
        _ => STANDARD.decode(text).map_err(|error| row.unreadable("body", error))?,
    };
    Ok(LoggedRequest {
        id: row.parsed("id")?,
        account: row.optional_parsed("account")?,
        callback: row.optional_parsed("callback_id")?,
        received_at: row.time("received_at_ms")?,
        method: row.text("method")?.to_owned(),
        query: row.text("query")?.to_owned(),
        headers: row.json("headers")?,
        body,
        body_truncated: row.number::<i64>("body_is_truncated")? != 0,
    })
}

/// The values of its row, in the order of [`crate::sql::LOGGED_REQUEST_COLUMNS`].
pub(crate) fn bind_logged_request(values: &mut impl Bind, request: &LoggedRequest) {
    // PostgreSQL's TEXT takes every character but the one numbered 0.
    let plain = std::str::from_utf8(&request.body).ok().filter(|text| !text.contains('\0'));
    let body: Cow<'_, str> = match plain {
        Some(text) => text.into(),
        None => STANDARD.encode(&request.body).into(),
    };
    let headers = serde_json::to_string(&request.headers).expect("texts always serialize");
    values.text(Some(id_text(request.id.uuid())));
    values.text(request.account.as_ref().map(ringback_core::Account::as_str));
    values.text(request.callback.map(|id| id_text(id.uuid())));
    values.number(Some(request.received_at.ms()));
    values.text(Some(request.method.as_str()));
    values.text(Some(request.query.as_str()));
    values.text(Some(headers));
    values.text(Some(body));
    values.number(Some(plain.is_none().into()));
    values.number(Some(request.body_truncated.into()));
}
