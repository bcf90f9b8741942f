//! The HTTP API as the commands see it.

use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use url::Url;

use super::answer::{Answer, Page};
use super::failure::{Failure, Problem};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take. A batch of events waits for the server's disk.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The server may have died without a word while nothing is to be told.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Items asked for at once.
const PAGE_ITEMS: usize = 200;

/// A server, and the key it is called with.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    key: Key,
}

/// An API key.
pub(super) struct Key {
    pub(super) value: String,
    /// Where it came from, for the hint when the server refuses it.
    pub(super) origin: String,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// The query of a URL: only what is given.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(&'static str, String)>);

impl Query {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.0.extend(value.map(|value| (name, value.to_string())));
        self
    }
}

/// How many items of a list are wanted: all of them.
pub(super) struct All;

/// A list as far as it was wanted.
#[derive(Debug)]
pub(super) struct List {
    pub(super) items: Vec<Answer>,
    /// Whether the server has more.
    pub(super) rest: Rest,
}

/// What follows the items wanted.
#[derive(Debug, PartialEq)]
pub(super) enum Rest {
    Nothing,
    More,
}

impl From<All> for Option<NonZeroUsize> {
    fn from(_: All) -> Self {
        None
    }
}

impl Client {
    /// # Errors
    /// If the URL is none of HTTP, or the TLS library can't be set up.
    pub(super) fn new(url: &Url, key: Key) -> anyhow::Result<Self> {
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(Failure::usage(format!(
                "{url} is no URL of a server: http://… or https://…"
            )));
        }
        if key.value.is_empty() || !key.value.bytes().all(|b| b.is_ascii_graphic()) {
            let message =
                format!("the API key (from {}) is no key: rbk_ and letters or digits", key.origin);
            return Err(Failure::usage(message));
        }
        // Whoever was first has set the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Without proxies: the server is usually this very machine.
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(KEEPALIVE);
        if url.scheme() == "http" {
            // The system's certificates are not needed, and a small container may have none.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().context("the TLS library can't be set up")?;
        Ok(Self { http, base: url.clone(), key })
    }

    /// # Errors
    /// [`Failure::Unreachable`] or [`Failure::Refused`], as with all calls.
    pub(super) async fn get(&self, path: &[&str]) -> anyhow::Result<Answer> {
        self.get_with(path, &Query::new()).await
    }

    pub(super) async fn get_with(&self, path: &[&str], query: &Query) -> anyhow::Result<Answer> {
        self.call(self.request(Method::GET, self.url_with(path, query))).await
    }

    pub(super) async fn post(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> anyhow::Result<Answer> {
        self.call(with_json(self.request(Method::POST, self.url(path)), body)?).await
    }

    /// A call whose answer may take so long.
    pub(super) async fn post_patiently(
        &self,
        path: &[&str],
        body: &impl Serialize,
        patience: Duration,
    ) -> anyhow::Result<Answer> {
        let request = with_json(self.request(Method::POST, self.url(path)), body)?;
        let text = self.ask_patiently(request, patience).await?;
        Answer::parse(&text).with_context(|| self.not_understood())
    }

    pub(super) async fn post_with(
        &self,
        path: &[&str],
        query: &Query,
        body: &impl Serialize,
    ) -> anyhow::Result<Answer> {
        let request = self.request(Method::POST, self.url_with(path, query));
        self.call(with_json(request, body)?).await
    }

    /// With a key that makes the call safe to repeat.
    pub(super) async fn post_once(
        &self,
        path: &[&str],
        body: &impl Serialize,
        idempotency_key: &str,
    ) -> anyhow::Result<Answer> {
        let request = self.request(Method::POST, self.url(path));
        let request = request.header("idempotency-key", idempotency_key);
        self.call(with_json(request, body)?).await
    }

    /// For calls that say everything with their path.
    pub(super) async fn post_empty(&self, path: &[&str]) -> anyhow::Result<Answer> {
        self.call(self.request(Method::POST, self.url(path))).await
    }

    pub(super) async fn put(&self, path: &[&str], body: &impl Serialize) -> anyhow::Result<Answer> {
        self.call(with_json(self.request(Method::PUT, self.url(path)), body)?).await
    }

    pub(super) async fn patch(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> anyhow::Result<Answer> {
        self.call(with_json(self.request(Method::PATCH, self.url(path)), body)?).await
    }

    pub(super) async fn delete(&self, path: &[&str]) -> anyhow::Result<()> {
        self.ask(self.request(Method::DELETE, self.url(path))).await.map(drop)
    }

    /// Follows the pages of a list until there are as many items as wanted.
    pub(super) async fn list(
        &self,
        path: &[&str],
        query: &Query,
        limit: impl Into<Option<NonZeroUsize>>,
    ) -> anyhow::Result<List> {
        let limit = limit.into().map_or(usize::MAX, NonZeroUsize::get);
        let mut items = Vec::new();
        let mut cursor = None;
        loop {
            let mut url = self.url(path);
            let page_items = PAGE_ITEMS.min(limit - items.len()).to_string();
            url.query_pairs_mut()
                .extend_pairs(&query.0)
                .append_pair("limit", &page_items)
                .extend_pairs(cursor.map(|cursor: String| ("cursor", cursor)));
            let text = self.ask(self.request(Method::GET, url)).await?;
            let page: Page = serde_json::from_str(&text).with_context(|| self.not_understood())?;
            items.extend(page.data);
            cursor = page.next_cursor;
            let rest = if cursor.is_some() { Rest::More } else { Rest::Nothing };
            if rest == Rest::Nothing || items.len() >= limit {
                return Ok(List { items, rest });
            }
        }
    }

    /// Opens a stream of server-sent events.
    pub(super) async fn stream(&self, path: &[&str]) -> anyhow::Result<Response> {
        let request = self.request(Method::GET, self.url(path));
        let request = request.header(ACCEPT, "text/event-stream");
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refused(response.status(), &self.body(response).await?))
    }

    /// The whole address of what the server has at this path.
    pub(super) fn address_of(&self, path: &str) -> String {
        format!("{}{path}", self.base.as_str().trim_end_matches('/'))
    }

    /// A failure to reach the server, also in the middle of a stream.
    pub(super) fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        let cause = cause_of(error);
        Failure::Unreachable { url: self.base.to_string(), cause }.into()
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .expect("a URL of HTTP has a path")
            .pop_if_empty()
            .push("v1")
            .extend(path);
        url
    }

    fn url_with(&self, path: &[&str], query: &Query) -> Url {
        let mut url = self.url(path);
        if !query.0.is_empty() {
            url.query_pairs_mut().extend_pairs(&query.0);
        }
        url
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url).bearer_auth(&self.key.value)
    }

    async fn call(&self, request: RequestBuilder) -> anyhow::Result<Answer> {
        let text = self.ask(request).await?;
        Answer::parse(&text).with_context(|| self.not_understood())
    }

    async fn ask(&self, request: RequestBuilder) -> anyhow::Result<String> {
        self.ask_patiently(request, ANSWER_TIMEOUT).await
    }

    async fn ask_patiently(
        &self,
        request: RequestBuilder,
        patience: Duration,
    ) -> anyhow::Result<String> {
        let request = request.timeout(patience);
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let text = self.body(response).await?;
        if status.is_success() { Ok(text) } else { Err(self.refused(status, &text)) }
    }

    async fn body(&self, response: Response) -> anyhow::Result<String> {
        response.text().await.map_err(|error| self.unreachable(&error))
    }

    fn refused(&self, status: StatusCode, body: &str) -> anyhow::Error {
        let problem = Problem::read(status, body);
        let problem = match status {
            StatusCode::UNAUTHORIZED => problem.with_hint(format!(
                "The key came from {}. Does it belong to the server at {}?",
                self.key.origin, self.base
            )),
            _ => problem,
        };
        Failure::Refused(problem).into()
    }

    fn not_understood(&self) -> String {
        format!("the answer of {} is not one of Ringback's", self.base)
    }
}

/// Why there was no answer, or no more of it. The outer layers say "error sending request for url": the innermost says
/// why.
pub(super) fn cause_of(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn with_json(request: RequestBuilder, body: &impl Serialize) -> anyhow::Result<RequestBuilder> {
    let body = serde_json::to_vec(body).context("the request can't be written as JSON")?;
    Ok(request.header(CONTENT_TYPE, "application/json").body(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> anyhow::Result<Client> {
        let key = Key { value: "rbk_hush".to_owned(), origin: "a test".to_owned() };
        Client::new(&url.parse().expect("a URL"), key)
    }

    #[test]
    fn paths_go_under_the_servers_own_path_and_are_encoded() {
        let at_root = client("http://127.0.0.1:8080").expect("a client");
        assert_eq!(
            at_root.url(&["callbacks", "a/b?"]).as_str(),
            "http://127.0.0.1:8080/v1/callbacks/a%2Fb%3F"
        );
        let below = client("https://a.example/ringback/").expect("a client");
        assert_eq!(below.url(&["events"]).as_str(), "https://a.example/ringback/v1/events");
    }

    #[test]
    fn a_client_shows_no_key_and_takes_http_only() {
        let client_of = client("http://a.example").expect("a client");
        assert!(!format!("{client_of:?}").contains("rbk_hush"));
        assert!(client("ftp://a.example").is_err());
        assert!(client("mailto:a@example").is_err());
    }
}
