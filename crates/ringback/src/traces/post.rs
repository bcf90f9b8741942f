//! Requests to the collector, and what is said of it: that it is away, once, and that it is back; and that traces are lost
//! though it is there, once for each stretch of losses.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::Client;
use ringback_runtime::Outage;
use url::Url;

/// A connection that takes longer is no connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The most that is read of an answer, so that its connection can be used again. Nothing is made of it.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// A loss that comes so long after the one before is news.
const CALM: Duration = Duration::from_secs(60);

/// Posts to one collector. Clones share what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Post(Arc<Shared>);

struct Shared {
    client: Client,
    /// May hold a password.
    url: Url,
    outage: Outage,
    losses: Mutex<Losses>,
}

/// Spans that were lost.
#[derive(Default)]
struct Losses {
    /// And nobody was told.
    untold: u64,
    last: Option<Instant>,
}

impl Post {
    /// # Errors
    /// If the certificates to trust can't be read.
    pub(super) fn to(url: Url, timeout: Duration, ca_files: &[PathBuf]) -> anyhow::Result<Self> {
        // Fails only if somebody installed one before: as good.
        let _already_there = rustls::crypto::ring::default_provider().install_default();
        let trusted = match url.scheme() {
            "https" => ringback_worker::trusted_certificates(ca_files)?,
            _ => Vec::new(),
        };
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .tls_certs_only(trusted)
            .build()
            .context("otlp_endpoint")?;
        let (outage, losses) = (Outage::default(), Mutex::default());
        Ok(Self(Arc::new(Shared { client, url, outage, losses })))
    }

    /// Where it posts to, for others to see.
    pub(super) fn shown(&self) -> String {
        let mut url = self.0.url.clone();
        // Neither fails: it has a host.
        let _has_a_host = (url.set_username(""), url.set_password(None));
        url.into()
    }

    /// Spans are lost, because the collector does not take them, or not fast enough.
    pub(super) fn tell_lost(&self, spans: u64) {
        let mut losses = self.losses();
        let is_news = losses.add(spans, Instant::now());
        if is_news && !self.0.outage.lasts() {
            let spans = std::mem::take(&mut losses.untold);
            tracing::warn!(spans, "traces are lost: the collector does not take them fast enough");
        }
    }

    fn tell_away(&self, error: &(dyn std::error::Error + 'static)) {
        let collector = self.shown();
        if self.0.outage.begins() {
            tracing::warn!(error, collector, "the collector (otlp_endpoint) takes no traces");
        } else {
            tracing::debug!(error, collector, "still: the collector takes no traces");
        }
    }

    fn tell_back(&self) {
        if self.0.outage.ends() {
            let lost = std::mem::take(&mut *self.losses()).untold;
            tracing::info!(lost, "the collector takes traces again");
        }
    }

    fn losses(&self) -> MutexGuard<'_, Losses> {
        self.0.losses.lock().expect("nobody panics holding it")
    }

    async fn post(&self, request: Request<Bytes>) -> Result<Response<Bytes>, reqwest::Error> {
        let (head, body) = request.into_parts();
        // The URL as it is known here: with what it says before the `@`.
        let post = self.0.client.post(self.0.url.clone()).headers(head.headers).body(body);
        let mut answer = post.send().await?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        let mut read = 0;
        while read < ANSWER_BYTES_MAX
            && let Some(chunk) = answer.chunk().await?
        {
            read += chunk.len();
        }
        Ok(response)
    }
}

impl Losses {
    /// Returns whether these are the first after a calm.
    fn add(&mut self, spans: u64, now: Instant) -> bool {
        let last = self.last.replace(now);
        self.untold += spans;
        last.is_none_or(|last| now.saturating_duration_since(last) >= CALM)
    }
}

/// The collector answered, and does not take what it was sent.
#[derive(Debug, thiserror::Error)]
#[error("it answered {0}")]
struct Refused(http::StatusCode);

#[async_trait::async_trait]
impl HttpClient for Post {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        match self.post(request).await {
            Ok(response) if response.status().is_success() => {
                self.tell_back();
                Ok(response)
            }
            Ok(response) => {
                self.tell_away(&Refused(response.status()));
                Ok(response)
            }
            Err(error) => {
                let error = error.without_url();
                self.tell_away(&error);
                Err(error.into())
            }
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a collector")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_news_again_after_a_calm() {
        let mut losses = Losses::default();
        let mut now = Instant::now();
        assert!(losses.add(1, now), "the first");
        for _ in 0..3 {
            now += CALM - Duration::from_secs(1);
            assert!(!losses.add(1, now), "it goes on");
        }
        now += CALM;
        assert!(losses.add(1, now), "another stretch");
        assert_eq!(losses.untold, 5);
    }
}
