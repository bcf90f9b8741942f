//! The outgoing request, complete, before it is sent: what goes out and what the history keeps of it.

use std::borrow::Cow;

use bytes::Bytes;
use ringback_core::callback::Method;
use ringback_core::delivery::SentRequest;
use ringback_core::retry::AttemptNumber;
use ringback_core::secret::Secret;
use ringback_core::template::InvalidExpansion;
use ringback_core::{Callback, Event, Timestamp, render};
use url::Url;

/// What every request says it comes from.
const USER_AGENT: &str = concat!("Ringback/", env!("CARGO_PKG_VERSION"));

/// A request ready to be sent.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) url: Url,
    pub(crate) headers: Vec<(Cow<'static, str>, String)>,
    pub(crate) authorization: Option<Secret>,
    pub(crate) body: Option<Bytes>,
    method: Method,
    format: Option<ringback_core::callback::Format>,
}

impl Request {
    /// The request of this attempt.
    ///
    /// # Errors
    /// If the URL's tags, replaced by the event's variables, give no URL that may be used.
    pub(crate) fn new(
        callback: &Callback,
        event: &Event,
        attempt: AttemptNumber,
        now: Timestamp,
    ) -> Result<Self, InvalidExpansion> {
        let url = callback.url.expand(event)?;
        let (format, body) = match callback.method {
            Method::Get => (None, None),
            Method::Post => (Some(callback.format), Some(render::body(callback.format, event))),
        };
        let webhook_id = event.id.to_string();
        let signed = body.as_ref().map_or(&[][..], |body| body.text.as_bytes());
        let signature = callback.signing_secret.sign(&webhook_id, now, signed);
        let mut headers = Vec::with_capacity(10);
        let mut header =
            |name: &'static str, value: String| headers.push((Cow::Borrowed(name), value));
        header("user-agent", USER_AGENT.to_owned());
        if !callback.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
            header("accept", "*/*".to_owned());
        }
        if let Some(body) = &body {
            header("content-type", body.content_type.to_owned());
        }
        header("webhook-id", webhook_id);
        header("webhook-timestamp", now.seconds().to_string());
        header("webhook-signature", signature);
        header("ringback-callback", callback.id.to_string());
        header("ringback-attempt", attempt.to_string());
        header("traceparent", traceparent(event));
        let own = callback.headers.iter();
        headers
            .extend(own.map(|(name, value)| (name.to_ascii_lowercase().into(), value.to_owned())));
        Ok(Self {
            url,
            headers,
            authorization: callback.authorization.header_value(),
            body: body.map(|body| body.text.into()),
            method: callback.method,
            format,
        })
    }

    /// What the history keeps: everything but the secret.
    pub(crate) fn into_sent(self) -> SentRequest {
        let mut headers = self.headers;
        if self.authorization.is_some() {
            headers.push((Cow::Borrowed("authorization"), Secret::MASK.to_owned()));
        }
        SentRequest { method: self.method, url: self.url.into(), headers, format: self.format }
    }

    pub(crate) fn method(&self) -> reqwest::Method {
        match self.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        }
    }
}

/// One trace for each event, a span for each request: a receiver that traces sees all attempts together. Not sampled,
/// for Ringback keeps no spans.
///
/// # Source
/// W3C Trace Context, section 3.2.
fn traceparent(event: &Event) -> String {
    // All zeros is no valid id. A UUID never is, and a span's is not by this.
    let span = getrandom::u64().unwrap_or(1).max(1);
    format!("00-{}-{span:016x}-00", event.id.uuid().as_simple())
}
