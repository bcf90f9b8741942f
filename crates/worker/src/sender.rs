//! One HTTP request: guarded, bounded in time and size, and never an error of ours.
//!
//! Rules that are easily lost, and what each is for:
//! - A host that is an IP literal never reaches the resolver, so literals are checked before sending, and names in the
//!   resolver (a check of the name beforehand could be answered differently a moment later).
//! - This instance's own log and echo callbacks may be sent to wherever it stands. They alone are, through a client
//!   whose resolver guards nothing; no other request ever gets to that client.
//! - No proxy from the environment: it would resolve the name itself, behind the guard's back.
//! - No redirects: the target would choose where event data goes.
//! - No retries within the client: one attempt is one request, and the history says so.
//! - No decompression: a small answer could grow without bounds.

mod classify;
mod guard;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client};
use ringback_core::address::{AddressPolicy, PublicUrl};
use ringback_core::delivery::{RESPONSE_BODY_BYTES_MAX, Response};
use ringback_core::{Outcome, Timestamp};

use crate::request::Request;

/// What a sender needs to know.
#[derive(Clone, Debug, Default)]
pub struct SenderSettings {
    /// Where requests may go.
    pub address_policy: AddressPolicy,
    /// PEM files of certificate authorities that are trusted besides the system's.
    pub ca_files: Vec<PathBuf>,
}

/// Sends requests over connections that all of a worker's callbacks share.
#[derive(Clone)]
pub struct Sender {
    client: Client,
    /// For this instance's own sink, and nothing else: its resolver guards nothing.
    own: Client,
    address_policy: AddressPolicy,
}

/// A setting of certificate authorities can't be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCaFile {
    /// The file can't be read.
    #[error("ca_files: {path} can't be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no certificate.
    #[error("ca_files: {path} holds no certificate in PEM form")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The TLS library refuses what it was given.
    #[error("ca_files: the certificates can't be used")]
    Refused(#[source] reqwest::Error),
}

/// What came of a request.
pub(crate) struct Exchange {
    pub(crate) outcome: Outcome,
    pub(crate) response: Option<Response>,
}

/// A connection that takes longer is no connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections kept for the next request to the same host: as many as one callback may have at once. With fewer, many
/// callbacks to one host would open a new one for every other request.
const IDLE_CONNECTIONS_MAX: usize = ringback_core::callback::MAX_IN_FLIGHT_MAX as usize;
/// How long the body of an answer is waited for: the status has decided already, the body is for people to read.
const BODY_PATIENCE: Duration = Duration::from_secs(2);
/// How much of the response's headers is kept.
const RESPONSE_HEADERS_BYTES_MAX: usize = 8 * 1024;

impl Sender {
    /// One with connections of its own.
    ///
    /// # Errors
    /// [`InvalidCaFile`].
    pub fn new(settings: SenderSettings) -> Result<Self, InvalidCaFile> {
        // Fails only if somebody installed one before: as good.
        let _already_there = rustls::crypto::ring::default_provider().install_default();
        let guard = guard::GuardedResolver::new(settings.address_policy.clone());
        let trusted = trusted_certificates(&settings.ca_files)?;
        let client = builder(trusted.clone()).dns_resolver(Arc::new(guard)).build();
        let own = builder(trusted).build();
        Ok(Self {
            client: client.map_err(InvalidCaFile::Refused)?,
            own: own.map_err(InvalidCaFile::Refused)?,
            address_policy: settings.address_policy,
        })
    }

    /// The same of an instance that is reached here: requests to its own log and echo callbacks are sent though its
    /// address may be private.
    #[must_use]
    pub fn reached_at(self, own: Option<PublicUrl>) -> Self {
        Self { address_policy: self.address_policy.reached_at(own), ..self }
    }

    /// Sends a request and reads the answer. `now` tells a `Retry-After` date from its distance.
    pub(crate) async fn send(
        &self,
        request: &Request,
        timeout: Duration,
        now: impl Fn() -> Timestamp,
    ) -> Exchange {
        let client = if self.address_policy.is_own_sink(&request.url) {
            &self.own
        } else if let Err(blocked) = self.address_policy.check_host(&request.url) {
            return Exchange::without_answer(Outcome::Blocked { reason: blocked.to_string() });
        } else {
            &self.client
        };
        // Not by its builder, which puts each header into a map of its own once more.
        let mut outgoing = reqwest::Request::new(request.method(), request.url.clone());
        *outgoing.headers_mut() = header_map(request);
        *outgoing.timeout_mut() = Some(timeout);
        *outgoing.body_mut() = request.body.clone().map(Into::into);
        match client.execute(outgoing).await {
            Ok(answer) => read(answer, now()).await,
            Err(error) => Exchange::without_answer(classify::outcome(error, timeout)),
        }
    }
}

fn builder(trusted: Vec<Certificate>) -> reqwest::ClientBuilder {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(Duration::from_secs(60))
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .tls_certs_only(trusted)
}

impl Exchange {
    pub(crate) fn without_answer(outcome: Outcome) -> Self {
        Self { outcome, response: None }
    }
}

/// The client copies the map more than once: a value that is known beforehand costs it nothing, and the others are parts
/// of one buffer that all copies share.
fn header_map(request: &Request) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(request.headers.len() + 3);
    let own_values = request.headers.iter().filter_map(|(_, value)| match value {
        Cow::Borrowed(_) => None,
        Cow::Owned(own) => Some(own.as_bytes()),
    });
    let mut own_values = Bytes::from(own_values.collect::<Vec<_>>().concat());
    for (name, value) in &request.headers {
        let name = match name {
            Cow::Borrowed(known) => HeaderName::from_static(known),
            Cow::Owned(own) => {
                HeaderName::from_bytes(own.as_bytes()).expect("checked when the callback was saved")
            }
        };
        let value = match value {
            Cow::Borrowed(known) => HeaderValue::from_static(known),
            Cow::Owned(own) => HeaderValue::from_maybe_shared(own_values.split_to(own.len()))
                .expect("checked when the callback was saved"),
        };
        map.append(name, value);
    }
    if let Some(value) = &request.authorization {
        let mut value = header_value(value.reveal());
        value.set_sensitive(true);
        map.append(AUTHORIZATION, value);
    }
    map
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("checked when the callback was saved")
}

async fn read(mut answer: reqwest::Response, now: Timestamp) -> Exchange {
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let outcome = Outcome::of_response(status, retry_after, now);
    let headers = kept_headers(answer.headers());
    let mut body = BytesMut::new();
    let mut body_truncated = false;
    // To its end if it is short: a connection with an unread answer can't be used again.
    let reading = async {
        loop {
            let chunk = match answer.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return,
                // It breaks off: the rest is missing.
                Err(_) => break body_truncated = true,
            };
            let room = RESPONSE_BODY_BYTES_MAX - body.len();
            if chunk.len() > room {
                body.extend_from_slice(&chunk[..room]);
                body_truncated = true;
                return;
            }
            body.extend_from_slice(&chunk);
        }
    };
    let in_time = tokio::time::timeout(BODY_PATIENCE, reading).await.is_ok();
    let body_truncated = body_truncated || !in_time;
    let body = body.to_vec();
    Exchange { outcome, response: Some(Response { status, headers, body, body_truncated }) }
}

fn kept_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut room = RESPONSE_HEADERS_BYTES_MAX;
    headers
        .iter()
        .map_while(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            room = room.checked_sub(name.as_str().len() + value.len())?;
            Some((name.as_str().to_owned(), value))
        })
        .collect()
}

/// The certificate authorities of the system, and those of these PEM files.
///
/// # Errors
/// [`InvalidCaFile`].
pub fn trusted_certificates(ca_files: &[PathBuf]) -> Result<Vec<Certificate>, InvalidCaFile> {
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "a certificate of the system can't be read");
    }
    let mut trusted: Vec<_> =
        system.certs.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
    if trusted.is_empty() {
        tracing::warn!(
            "the system has no certificate authorities (package ca-certificates): no https endpoint can be reached \
             unless ca_files names some"
        );
    }
    for path in ca_files {
        let pem = std::fs::read(path)
            .map_err(|source| InvalidCaFile::Unreadable { path: path.clone(), source })?;
        let certificates = Certificate::from_pem_bundle(&pem)
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .ok_or_else(|| InvalidCaFile::NoCertificate { path: path.clone() })?;
        trusted.extend(certificates);
    }
    Ok(trusted)
}
