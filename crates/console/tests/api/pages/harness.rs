//! Somebody at a browser without script.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream, to_bytes};
use axum::http::{HeaderMap, Request, header};
use ringback_broker::Broker as _;
use ringback_core::delivery::DeliveryState;
use ringback_core::{Callback, Event, Outcome, Timestamp};
use ringback_store::{HistoryRecord, Step, TrafficOf, TrafficStore as _};
use ringback_testkit::builders;
use tower::ServiceExt as _;

use crate::harness::{ADMIN, Api, record};

/// What an attempt met at an endpoint that does well, and at one that does not.
pub(crate) const WORKS: Outcome = Outcome::Success { status: 200 };
pub(crate) const FAILS: Outcome = Outcome::HttpError { status: 500, retry_after: None };

/// A browser: it keeps the session's cookie.
pub(crate) struct Visitor<'a> {
    api: &'a Api,
    cookie: String,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) html: String,
}

impl<'a> Visitor<'a> {
    /// Nobody that is known.
    pub(crate) fn stranger(api: &'a Api) -> Self {
        Self { api, cookie: String::new() }
    }

    /// The administrator, signed in.
    pub(crate) async fn administrator(api: &'a Api) -> Self {
        Self::with_key(api, ADMIN).await
    }

    /// Somebody of this account, signed in.
    pub(crate) async fn of_account(api: &'a Api, account: &str) -> Self {
        Self::with_key(api, &api.account_key(account).await).await
    }

    pub(crate) async fn with_key(api: &'a Api, key: &str) -> Self {
        let mut visitor = Self::stranger(api);
        let page = visitor.send("/console/login", &[("key", key)]).await;
        assert_eq!(page.status, 303, "{}", page.html);
        visitor.keep(&page);
        visitor
    }

    /// Takes the session that an answer gives.
    pub(crate) fn keep(&mut self, page: &Page) {
        let cookie = page.headers[header::SET_COOKIE].to_str().expect("text");
        self.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    }

    /// Asks for a page, whatever is answered.
    pub(crate) async fn get(&self, path: &str) -> Page {
        self.request(Request::get(path), Body::empty()).await
    }

    /// Asks for a page that is there.
    pub(crate) async fn sees(&self, path: &str) -> String {
        let page = self.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.html);
        page.html
    }

    /// Sends a form, as a page of this visitor's would.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let settings = self.sees("/console/settings").await;
        let token = between(&settings, "name=\"form-token\" value=\"", "\"");
        let mut fields = fields.to_vec();
        fields.push(("form-token", token));
        self.send(path, &fields).await
    }

    /// Sends a form and follows to where that leads.
    pub(crate) async fn does(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let page = self.post(path, fields).await;
        assert_eq!(page.status, 303, "{path}: {}", page.html);
        self.sees(page.leads_to()).await
    }

    /// Sends a form as it is.
    pub(crate) async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin");
        self.request(request, Body::from(form)).await
    }

    /// Is told of changes from now on.
    pub(crate) async fn watches(&self) -> BodyDataStream {
        let request = Request::get("/console/live").header(header::COOKIE, &self.cookie);
        let request = request.body(Body::empty()).expect("a request");
        let response = self.api.router.clone().oneshot(request).await.expect("never fails");
        assert_eq!(response.status(), 200);
        response.into_body().into_data_stream()
    }

    pub(crate) async fn request(&self, request: axum::http::request::Builder, body: Body) -> Page {
        let request = request.header(header::COOKIE, &self.cookie).body(body).expect("a request");
        let response = self.api.router.clone().oneshot(request).await.expect("never fails");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), 10_000_000).await.expect("a whole body");
        let html = String::from_utf8(bytes.to_vec()).expect("text");
        Page { status, headers, html }
    }
}

impl Page {
    /// Where a redirect leads.
    pub(crate) fn leads_to(&self) -> &str {
        self.headers[header::LOCATION].to_str().expect("text")
    }
}

/// What stands between these two for the first time.
pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).map_or(rest, |(inner, _)| inner)
}

/// Where a list goes on.
pub(crate) fn next_page(list: &str) -> String {
    between(list, "rel=\"next\" href=\"", "\"").replace("&amp;", "&")
}

/// An event of this account.
pub(crate) fn of_account(account: &str, name: &str) -> Event {
    Event { account: builders::account(account), ..builders::event(name) }
}

/// Asserts that nothing is on its way: what was refused has sent nothing.
pub(crate) async fn assert_nothing_was_sent(api: &Api) {
    let queue = api.broker.depth().await.expect("known");
    assert_eq!(queue.fresh + queue.returned + queue.delayed, 0, "something is on the queue");
}

/// Returns once the sums for charts are written, of so many attempts.
pub(crate) async fn traffic_is_written(api: &Api, attempts: u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        // They are written some seconds later: the timers are moved on instead of waiting.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::time::resume();
        let found = api.store.traffic(&TrafficOf::All, Step::Hour, Timestamp::EPOCH).await;
        let found = found.expect("readable");
        if found.iter().map(|(_, traffic)| traffic.attempts()).sum::<u64>() >= attempts {
            return;
        }
        assert!(Instant::now() < deadline, "not written: {found:?}");
    }
}

/// A delivery with one attempt that met this.
pub(crate) fn tried(
    event: &Event,
    callback: &Callback,
    state: DeliveryState,
    outcome: Outcome,
) -> [HistoryRecord; 2] {
    let mut record = record(event, callback, state);
    if let HistoryRecord::Delivery { attempt: Some(attempt), .. } = &mut record {
        Arc::make_mut(attempt).outcome = outcome;
    }
    [HistoryRecord::Event(Arc::new(event.clone())), record]
}
