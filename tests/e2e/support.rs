//! A running Ringback, and its API as a client sees it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use ringback_testkit::{Launch, Process, ringback_binary};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Long enough for a loaded machine; a test that passes waits for a small part of it.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// Opens everything.
pub(crate) const ADMIN_KEY: &str = "rbk_0123456789abcdef0123456789abcdef";
/// What the process says once it takes requests; its URL follows.
pub(crate) const READY: &str = "ringback is ready on ";

/// A `ringback serve` with a data directory of its own, which may send to loopback addresses.
pub(crate) struct Ringback {
    pub(crate) process: Process,
    pub(crate) api: Api,
    pub(crate) launch: Launch,
    pub(crate) directory: Arc<TempDir>,
}

impl Ringback {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        Self::start_with(|launch| launch).await
    }

    /// Starts one with other settings.
    pub(crate) async fn start_with(change: impl FnOnce(Launch) -> Launch) -> Self {
        let directory = Arc::new(tempfile::tempdir().expect("a directory"));
        let launch = change(serve(directory.path()));
        let (process, rest) = launch.start_ready(READY, SOON).await.expect("it starts");
        // As JSON, the line goes on.
        let url = rest.split('"').next().unwrap_or_default().to_owned();
        let api = Api::new(url, ADMIN_KEY);
        Self { process, api, launch, directory }
    }

    /// Starts it again on the same data, at another port, after its process has ended.
    pub(crate) async fn restart(&mut self) {
        let (process, url) = self.launch.start_ready(READY, SOON).await.expect("it starts again");
        self.process = process;
        self.api = Api { url, ..self.api.clone() };
    }

    /// Asks it to stop and waits until it has, with exit code 0.
    pub(crate) async fn stop(&mut self) {
        self.process.terminate().await.expect("it runs");
        let status = self.process.wait_exit(SOON).await.expect("it stops");
        assert_eq!(status.code(), Some(0), "{}", self.process.output());
    }
}

/// How `ringback serve` is started in a directory.
pub(crate) fn serve(directory: &Path) -> Launch {
    with_settings(
        Launch::new(ringback_binary().expect("the binary is built"), directory).arg("serve"),
        directory,
    )
}

/// The settings of all tests: a free port, a data directory below this one, loopback allowed.
pub(crate) fn with_settings(launch: Launch, directory: &Path) -> Launch {
    launch
        .env("RINGBACK_LISTEN", "127.0.0.1:0")
        .env("RINGBACK_DATA_DIR", directory.join("data"))
        .env("RINGBACK_ADMIN_KEY", ADMIN_KEY)
        .env("RINGBACK_ALLOW_NETWORKS", "127.0.0.0/8")
}

/// The API, with one key.
#[derive(Clone)]
pub(crate) struct Api {
    client: reqwest::Client,
    url: String,
    key: String,
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    /// What `Retry-After` says; empty if there is none.
    pub(crate) retry_after: String,
    /// Null if it is no JSON.
    pub(crate) body: Value,
}

impl Answer {
    /// The body, if the status is this one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// The problem, if the status is this one.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16) -> Value {
        assert_eq!(self.content_type, "application/problem+json", "{} {}", self.status, self.body);
        assert_eq!(self.body["status"], self.status, "{}", self.body);
        self.expect(status)
    }
}

impl Api {
    /// The API at this URL.
    pub(crate) fn new(url: String, key: &str) -> Self {
        // A client is made for each test, and the first one wins.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().timeout(SOON).build().expect("a client");
        Self { client, url, key: key.to_owned() }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The same with another key.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    /// Any request with a body of JSON or what claims to be.
    ///
    /// # Errors
    /// If no whole answer comes.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        headers: &[(&str, &str)],
    ) -> reqwest::Result<Answer> {
        let mut request =
            self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key);
        if let Some(body) = body {
            if headers.iter().all(|(name, _)| *name != "content-type") {
                request = request.header("content-type", "application/json");
            }
            request = request.body(body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let header = |name| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (content_type, retry_after) = (header("content-type"), header("retry-after"));
        let body = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
        Ok(Answer { status, content_type, retry_after, body })
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let answer = self.request(method, path, body.map(Value::to_string), &[]).await;
        answer.expect("the API answers")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// What is answered where no JSON is, with status 200.
    pub(crate) async fn text(&self, path: &str) -> String {
        let response = self.client.get(format!("{}{path}", self.url)).send().await;
        let response = response.and_then(reqwest::Response::error_for_status);
        response.expect("it answers").text().await.expect("whole")
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// Makes a callback and gives its id.
    pub(crate) async fn create_callback(&self, callback: &Value) -> String {
        let created = self.post("/v1/callbacks", callback).await.expect(201);
        text(&created["id"])
    }

    /// Has an event accepted and gives its id.
    pub(crate) async fn send(&self, event: &Value) -> String {
        let accepted = self.post("/v1/events", event).await.expect(202);
        assert_eq!(accepted["status"], "accepted", "{accepted}");
        text(&accepted["id"])
    }

    /// A new key for one account, or for the instance.
    pub(crate) async fn create_key(&self, account: Option<&str>) -> String {
        let body = json!({"account": account, "description": "test"});
        text(&self.post("/v1/api-keys", &body).await.expect(201)["key"])
    }

    /// All items of a list, page by page.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let first = format!("{path}{separator}limit=200");
        let mut items = Vec::new();
        let mut next = first.clone();
        loop {
            let mut page = self.get(&next).await.expect(200);
            items.append(page["data"].as_array_mut().expect("a list has data"));
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("{first}&cursor={cursor}"),
                None => return items,
            }
        }
    }

    /// The one delivery of an event with all its attempts, as soon as `ready` says so of it.
    pub(crate) async fn delivery_when(&self, event: &str, ready: impl Fn(&Value) -> bool) -> Value {
        let what = format!("delivery of {event} as expected");
        eventually(&what, SOON, async || {
            let deliveries = self.list(&format!("/v1/deliveries?event={event}")).await;
            let id = text(&deliveries.first()?["id"]);
            let delivery = self.get(&format!("/v1/deliveries/{id}")).await.expect(200);
            ready(&delivery).then_some(delivery)
        })
        .await
    }

    /// The one delivery of an event with all its attempts, once it is settled.
    pub(crate) async fn settled_delivery(&self, event: &str) -> Value {
        self.delivery_when(event, |delivery| delivery["status"] != "pending").await
    }
}

/// A callback to this URL which is retried after a second, twice.
pub(crate) fn callback(url: &str) -> Value {
    json!({"url": url, "retry": {"delay_seconds": 1, "max_retries": 2}})
}

/// A callback to this URL which is never retried.
pub(crate) fn callback_once(url: &str) -> Value {
    json!({"url": url, "retry": {"enabled": false}})
}

/// An event of account `acme`.
pub(crate) fn event(name: &str) -> Value {
    json!({"name": name, "account": "acme", "variables": {"COMMENT_ID": 178, "COMMENT": "Needs more cowbell"}})
}

/// The same JSON object with these members changed or added.
pub(crate) fn with(mut object: Value, changes: Value) -> Value {
    let members = object.as_object_mut().expect("a JSON object");
    let Value::Object(changes) = changes else { panic!("changes are a JSON object") };
    members.extend(changes);
    object
}

/// A JSON string's text.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a string, not {value}")).to_owned()
}

/// The outcomes of a delivery's attempts, in order.
pub(crate) fn outcomes(delivery: &Value) -> Vec<&str> {
    attempts(delivery)
        .iter()
        .map(|attempt| attempt["outcome"].as_str().unwrap_or_default())
        .collect()
}

/// A delivery's attempts, in order.
pub(crate) fn attempts(delivery: &Value) -> &[Value] {
    delivery["attempts"].as_array().unwrap_or_else(|| panic!("no attempts: {delivery}"))
}

/// What `look` finds as soon as it finds something: the API tells how things stand and not when they change.
pub(crate) async fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let found = tokio::time::timeout(deadline, async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("no {what} after {deadline:?}"))
}
