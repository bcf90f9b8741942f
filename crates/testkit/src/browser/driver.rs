//! What is said to chromedriver: JSON over HTTP.
//!
//! A client of ours: the library for it brings twenty crates along, second versions of what we have among them, which
//! `cargo xtask` would have to be built with as well; what it does for us are the hundred lines below.
//!
//! # Source
//! <https://www.w3.org/TR/webdriver2/>, and Chromium's extensions to it (`goog/…`, `se/…`).

use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::servers::Chromedriver;

/// The name under which an element's reference stands in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A session with a browser, which ends with this.
#[derive(Debug)]
pub(super) struct Driver {
    chromedriver: Chromedriver,
    session: String,
}

/// An element of the page that is open.
#[derive(Clone, Debug)]
pub(super) struct Element(String);

/// What the browser would not do.
#[derive(Debug, thiserror::Error)]
#[error("{error}: {message}")]
pub(super) struct Refused {
    /// A word of the standard, such as `stale element reference`.
    pub(super) error: String,
    message: String,
}

impl Driver {
    /// Starts a browser with these options of Chromium.
    pub(super) async fn start(
        chromedriver: Chromedriver,
        chromium: &Value,
    ) -> anyhow::Result<Self> {
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": chromium,
            "goog:loggingPrefs": {"browser": "ALL"},
            // A dialog that nobody answers is a fault that shows in the next step.
            "unhandledPromptBehavior": "ignore",
        });
        let body = json!({"capabilities": {"alwaysMatch": capabilities}});
        let started = send(&chromedriver.address(), Method::POST, "/session", Some(&body)).await;
        let started = started.context("starting a browser (Debian package chromium)")?;
        let session = started["sessionId"].as_str().context("a session has an id")?.to_owned();
        Ok(Self { chromedriver, session })
    }

    /// Where everything of it is kept.
    pub(super) fn directory(&self) -> &Path {
        self.chromedriver.directory()
    }

    pub(super) async fn get(&self, command: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, command, None).await
    }

    pub(super) async fn post(&self, command: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::POST, command, Some(body)).await
    }

    pub(super) async fn delete(&self, command: &str) -> anyhow::Result<Value> {
        self.call(Method::DELETE, command, None).await
    }

    /// Runs a function's body in the page, with these `arguments`, and gives what it returns. It works where the page may
    /// run none of its own.
    pub(super) async fn run(&self, body: &str, arguments: &[Value]) -> anyhow::Result<Value> {
        self.post("execute/sync", &json!({"script": body, "args": arguments})).await
    }

    /// The same, of what calls its last argument with what it returns.
    pub(super) async fn run_and_wait(&self, body: &str) -> anyhow::Result<Value> {
        self.post("execute/async", &json!({"script": body, "args": []})).await
    }

    /// A command of the DevTools protocol.
    pub(super) async fn devtools(&self, command: &str, parameters: Value) -> anyhow::Result<Value> {
        self.post("goog/cdp/execute", &json!({"cmd": command, "params": parameters})).await
    }

    async fn call(
        &self,
        method: Method,
        command: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let path = format!("/session/{}/{command}", self.session);
        send(&self.chromedriver.address(), method, &path, body).await
    }
}

impl Element {
    /// The element that a script has returned.
    pub(super) fn of(returned: &Value) -> Option<Self> {
        Some(Self(returned.get(ELEMENT)?.as_str()?.to_owned()))
    }

    /// As a script takes it.
    pub(super) fn reference(&self) -> Value {
        json!({ELEMENT: self.0})
    }

    /// A command that is for this element.
    pub(super) fn command(&self, command: &str) -> String {
        format!("element/{}/{command}", self.0)
    }
}

/// One request on a connection of its own, and the value of its answer.
async fn send(
    address: &str,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<Value> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, address)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let stream = TcpStream::connect(address).await.context("connecting to chromedriver")?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the connection: after the answer.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.context("asking chromedriver")?;
    let status = response.status();
    let answer = response.into_body().collect().await?.to_bytes();
    let mut answer: Value = serde_json::from_slice(&answer).context("chromedriver's answer")?;
    let value = answer["value"].take();
    if status.is_success() {
        return Ok(value);
    }
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    Err(Refused { error: text("error"), message: text("message") }.into())
}
