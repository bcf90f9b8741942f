//! Callbacks and API keys.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ringback_core::callback::{
    Authorization, CallbackState, CircuitPolicy, DisabledReason, Format, Headers, Method,
};
use ringback_core::filter::EventFilter;
use ringback_core::rate::RateLimit;
use ringback_core::retry::RetryPolicy;
use ringback_core::secret::Secret;
use ringback_core::signature::{InvalidSigningSecret, PreviousSecret};
use ringback_core::{Callback, CallbackId, Timestamp};

use super::history::{format_of, method_of};
use super::json::{AuthorizationJson, CircuitJson, RateLimitJson, RetryJson};
use super::{Bind, Columns, Row, id_text};
use crate::api_key::{KeyHash, Scope};
use crate::port::Revision;
use crate::{ApiKey, Error, MasterKey};

/// The columns of `callback` in the order of [`bind_callback`].
pub(crate) fn callback<R: Columns>(
    row: &R,
    key: &MasterKey,
) -> Result<(Callback, Revision), Error> {
    let row = Row::of("callback", row);
    let id: CallbackId = row.parsed("id")?;
    let open = |column, secret, sealed| {
        key.open(&place(id, secret), sealed).map_err(|error| row.unreadable(column, error))
    };
    let signing_secret = |column, secret, sealed| {
        let opened = open(column, secret, sealed)?.reveal().parse();
        opened.map_err(|error: InvalidSigningSecret| row.unreadable(column, error))
    };
    let authorization = row.text("authorization_sealed")?;
    let authorization = open("authorization_sealed", AUTHORIZATION, authorization)?;
    let authorization: AuthorizationJson = serde_json::from_str(authorization.reveal())
        // What serde says may quote the text, and the text is a secret.
        .map_err(|_| row.unreadable("authorization_sealed", "it holds no authorization"))?;
    let previous_secret = match row.optional_text("previous_secret_sealed")? {
        Some(sealed) => Some(PreviousSecret {
            secret: signing_secret("previous_secret_sealed", PREVIOUS_SECRET, sealed)?,
            until: row.time("previous_secret_until_ms")?,
        }),
        None => None,
    };
    let sealed = row.text("signing_secret_sealed")?;
    let signing_secret = signing_secret("signing_secret_sealed", SIGNING_SECRET, sealed)?;
    let patterns: Vec<String> = row.json("events")?;
    let callback = Callback {
        id,
        description: row.text("description")?.to_owned(),
        url: row.parsed("url")?,
        method: row.word("method", method_of)?,
        format: row.word("format", format_of)?,
        authorization: Authorization::from(authorization),
        headers: headers(&row)?,
        state: state(&row)?,
        account: row.optional_parsed("account")?,
        events: EventFilter::parse(&patterns).map_err(|error| row.unreadable("events", error))?,
        retry: RetryPolicy::from(row.json::<RetryJson>("retry")?),
        timeout: Duration::from_millis(row.number("timeout_ms")?),
        max_in_flight: max_in_flight(&row)?,
        rate_limit: row.optional_json::<RateLimitJson>("rate_limit")?.map(RateLimit::from),
        circuit: row
            .optional_json::<CircuitJson>("circuit")?
            .map_or_else(CircuitPolicy::default, CircuitPolicy::from),
        signing_secret,
        previous_secret,
        created_at: row.time("created_at_ms")?,
        updated_at: row.time("updated_at_ms")?,
        resumed_at: row.optional_time("resumed_at_ms")?,
    };
    Ok((callback, Revision(row.number("revision")?)))
}

fn state<R: Columns>(row: &Row<'_, R>) -> Result<CallbackState, Error> {
    if row.optional_text("disabled_reason")?.is_some() {
        return Ok(CallbackState::Disabled(row.word("disabled_reason", disabled_reason_of)?));
    }
    Ok(match row.number::<i64>("paused")? {
        0 => CallbackState::Enabled,
        _ => CallbackState::Paused,
    })
}

fn headers<R: Columns>(row: &Row<'_, R>) -> Result<Headers, Error> {
    let pairs: Vec<(String, String)> = row.json("headers")?;
    let mut headers = Headers::default();
    for (name, value) in pairs {
        headers.push(&name, &value).map_err(|error| row.unreadable("headers", error))?;
    }
    Ok(headers)
}

fn max_in_flight<R: Columns>(row: &Row<'_, R>) -> Result<NonZeroU32, Error> {
    let number = row.number("max_in_flight")?;
    NonZeroU32::new(number).ok_or_else(|| row.unreadable("max_in_flight", "it is zero"))
}

fn disabled_reason_of(word: &str) -> Option<DisabledReason> {
    [DisabledReason::ByOwner, DisabledReason::Gone]
        .into_iter()
        .find(|reason| reason.as_str() == word)
}

/// The values of a callback's row: all columns in the order of [`crate::sql::CALLBACK_COLUMNS`], but for the revision,
/// with this time of change.
pub(crate) fn bind_callback(
    values: &mut impl Bind,
    callback: &Callback,
    updated_at: Timestamp,
    key: &MasterKey,
) {
    let authorization = serde_json::to_string(&AuthorizationJson::from(&callback.authorization))
        .expect("texts always serialize");
    let authorization = key.seal(&place(callback.id, AUTHORIZATION), &Secret::new(authorization));
    let signing_secret = callback.signing_secret.reveal();
    let signing_secret = key.seal(&place(callback.id, SIGNING_SECRET), &signing_secret);
    let previous = callback.previous_secret.as_ref();
    let previous_secret = previous
        .map(|previous| key.seal(&place(callback.id, PREVIOUS_SECRET), &previous.secret.reveal()));
    let headers: Vec<_> = callback.headers.iter().collect();
    let disabled_reason = match callback.state {
        CallbackState::Enabled | CallbackState::Paused => None,
        CallbackState::Disabled(reason) => Some(reason.as_str()),
    };
    values.text(Some(id_text(callback.id.uuid())));
    values.text(Some(callback.description.as_str()));
    values.text(Some(callback.url.as_str()));
    values.text(Some(Method::as_str(callback.method)));
    values.text(Some(Format::as_str(callback.format)));
    values.text(Some(authorization));
    values.text(Some(json(&headers)));
    values.text(disabled_reason);
    values.number(Some((callback.state == CallbackState::Paused).into()));
    values.text(callback.account.as_ref().map(ringback_core::Account::as_str));
    values.text(Some(json(&callback.events.patterns())));
    values.text(Some(json(&RetryJson::from(&callback.retry))));
    values.number(Some(i64::try_from(callback.timeout.as_millis()).unwrap_or(i64::MAX)));
    values.number(Some(callback.max_in_flight.get().into()));
    values.text(callback.rate_limit.map(|limit| json(&RateLimitJson::from(limit))));
    values.text(Some(json(&CircuitJson::from(callback.circuit))));
    values.text(Some(signing_secret));
    values.text(previous_secret);
    values.number(previous.map(|previous| previous.until.ms()));
    values.number(Some(callback.created_at.ms()));
    values.number(Some(updated_at.ms()));
    values.number(callback.resumed_at.map(Timestamp::ms));
}

fn json(value: &impl serde::Serialize) -> Arc<str> {
    serde_json::to_string(value).expect("texts and numbers always serialize").into()
}

pub(crate) const AUTHORIZATION: &str = "authorization";
pub(crate) const SIGNING_SECRET: &str = "signing_secret";
pub(crate) const PREVIOUS_SECRET: &str = "previous_secret";

pub(crate) fn place(callback: CallbackId, secret: &str) -> String {
    format!("callback/{callback}/{secret}")
}

pub(crate) fn deleted_callback<R: Columns>(row: &R) -> Result<(CallbackId, Revision), Error> {
    let row = Row::of("deleted_callback", row);
    Ok((row.parsed("id")?, Revision(row.number("revision")?)))
}

pub(crate) fn api_key<R: Columns>(row: &R) -> Result<ApiKey, Error> {
    let row = Row::of("api_key", row);
    Ok(ApiKey {
        id: row.parsed("id")?,
        description: row.text("description")?.to_owned(),
        scope: row.optional_parsed("account")?.map_or(Scope::Instance, Scope::Account),
        hash: row.word("hash", hash_of)?,
        created_at: row.time("created_at_ms")?,
    })
}

/// The values of an API key's row, in the order of [`crate::sql::API_KEY_COLUMNS`].
pub(crate) fn bind_api_key(values: &mut impl Bind, key: &ApiKey) {
    let account = match &key.scope {
        Scope::Instance => None,
        Scope::Account(account) => Some(account.as_str()),
    };
    values.text(Some(id_text(key.id.uuid())));
    values.text(Some(key.description.as_str()));
    values.text(account);
    values.text(Some(hash_text(key.hash)));
    values.number(Some(key.created_at.ms()));
}

pub(super) fn hash_text(hash: KeyHash) -> String {
    hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn hash_of(hex: &str) -> Option<KeyHash> {
    let mut hash = [0; 32];
    if hex.len() != 2 * hash.len() || !hex.is_ascii() {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(KeyHash(hash))
}
