//! The outgoing request, complete, before it is sent: what goes out and what the history keeps of it.

use std::borrow::Cow;

use bytes::Bytes;
use ringback_core::callback::Method;
use ringback_core::delivery::SentRequest;
use ringback_core::retry::AttemptNumber;
use ringback_core::secret::Secret;
use ringback_core::template::InvalidExpansion;
use ringback_core::{Callback, Event, Timestamp, TraceContext, render};
use url::Url;

/// What every request says it comes from.
const USER_AGENT: &str = concat!("Ringback/", env!("CARGO_PKG_VERSION"));

/// A request ready to be sent.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) url: Url,
    pub(crate) headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
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
        trace: &TraceContext,
    ) -> Result<Self, InvalidExpansion> {
        let url = callback.url.expand(event)?;
        let (format, body) = match callback.method {
            Method::Get => (None, None),
            Method::Post => (Some(callback.format), Some(render::body(callback.format, event))),
        };
        let webhook_id = event.id.to_string();
        let signed = body.as_ref().map_or(&[][..], |body| body.text.as_bytes());
        let signature = callback.sign(&webhook_id, now, signed);
        let mut headers = Vec::with_capacity(11);
        let mut header =
            |name: &'static str, value: Cow<'static, str>| headers.push((name.into(), value));
        header("user-agent", USER_AGENT.into());
        if !callback.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
            header("accept", "*/*".into());
        }
        if let Some(body) = &body {
            header("content-type", body.content_type.into());
        }
        header("webhook-id", webhook_id.into());
        header("webhook-timestamp", now.seconds().to_string().into());
        header("webhook-signature", signature.into());
        header("ringback-callback", callback.id.to_string().into());
        header("ringback-attempt", attempt.to_string().into());
        header("traceparent", trace.traceparent().into());
        if let Some(state) = trace.tracestate()
            && !callback.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("tracestate"))
        {
            header("tracestate", state.to_owned().into());
        }
        let own = callback.headers.iter();
        let own =
            own.map(|(name, value)| (name.to_ascii_lowercase().into(), value.to_owned().into()));
        headers.extend(own);
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
            headers.push(("authorization".into(), Secret::MASK.into()));
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
