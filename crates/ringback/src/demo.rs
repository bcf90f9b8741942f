//! `ringback demo`: a receiver, a callback to it, and twenty events of which some fail at first, all in one process and
//! over in ten seconds.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use axum::Router;
use axum::extract::{Form, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use ringback_core::delivery::DeliveryState;
use ringback_core::{EventId, Outcome};
use ringback_runtime::TaskGroup;
use ringback_store::LiveAttempt;
use tokio::net::TcpListener;
use tokio::sync::broadcast;

use crate::exit::Failure;
use crate::key_files;
use crate::process::{self, Process, Role};
use crate::settings::{Given, Openness, Settings};

const EVENTS: usize = 20;

/// Far shorter than the 300 s of real life, so that there is something to see.
const RETRY_DELAY_SECONDS: f64 = 1.5;

/// Longer than the whole takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the demonstration.
///
/// # Errors
/// If it can't be set up, or not all events are delivered.
pub(crate) async fn run() -> Result<(), Failure> {
    let directory = TemporaryDirectory::new()?;
    let given = Given::data_dir(directory.0.clone());
    let settings = given.check(Openness::Loopback).map_err(Failure::Usage)?;
    let key = key_files::admin_key(&settings.data_dir)?;
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings =
        Settings { admin_key: Some(key.clone()), listen, log: "warn".to_owned(), ..settings };
    process::start_logs(&settings)?;

    let receiver = start_receiver().await?;
    let process = Process::open(Role::All, settings).await?;
    let attempts = process.ports().store.live_attempts();
    let listening = process.listen().await?;
    let api = Api {
        url: format!("http://{}", listening.address()),
        authorization: format!("Bearer {}", key.reveal()),
        client: client()?,
    };
    let mut shown = Err(anyhow::anyhow!("interrupted"));
    let show = async {
        tokio::select! {
            ended = tokio::time::timeout(PATIENCE, show(&api, receiver, attempts)) => {
                shown = ended.unwrap_or_else(|_| Err(anyhow::anyhow!("not done after {PATIENCE:?}")));
            }
            () = process::stop_signal() => {}
        }
    };
    listening.run(show).await?;
    Ok(shown?)
}

async fn show(
    api: &Api,
    receiver: SocketAddr,
    mut attempts: broadcast::Receiver<Arc<LiveAttempt>>,
) -> anyhow::Result<()> {
    print("\nRingback demo: one receiver, one callback, twenty events. Some fail at first.\n");
    print(&format!(
        "Retries come after {RETRY_DELAY_SECONDS} s here, so that you can watch; the default is 300 s.\n\n"
    ));
    let callback = serde_json::json!({
        "url": format!("http://{receiver}/comments/{{COMMENT_ID}}"),
        "account": "demo",
        "retry": { "delay_seconds": RETRY_DELAY_SECONDS },
    });
    api.post("/v1/callbacks", &callback).await?;
    let events: Vec<_> = (1..=EVENTS)
        .map(|number| {
            serde_json::json!({
                "name": "COMMENT_CREATED",
                "account": "demo",
                "variables": { "COMMENT_ID": number, "COMMENT": "Needs more cowbell" },
            })
        })
        .collect();
    let accepted = api.post("/v1/events", &serde_json::Value::from(events)).await?;
    let numbers = numbers_of(&accepted)?;

    let (mut delivered, mut requests) = (0, 0);
    while delivered < EVENTS {
        let live = attempts.recv().await.context("attempts can't be followed")?;
        let number = numbers.get(&live.delivery.event).copied().unwrap_or_default();
        print(&line(&live, number));
        requests += 1;
        match live.delivery.state {
            DeliveryState::Delivered => delivered += 1,
            DeliveryState::Pending { .. } => {}
            DeliveryState::Exhausted | DeliveryState::Cancelled(_) => {
                bail!("event {number} was given up on")
            }
        }
    }
    print(&format!(
        "\n{EVENTS} events, {requests} requests, {} retries: all {delivered} delivered. Nothing is left behind: the \
         demo's data is deleted.\nNext: ringback dev\n",
        requests - EVENTS,
    ));
    Ok(())
}

fn line(live: &LiveAttempt, number: usize) -> String {
    let met = match &live.attempt.outcome {
        Outcome::Success { status } => format!("{status} delivered"),
        Outcome::HttpError { status, .. } => format!("{status} failed"),
        Outcome::Timeout { reason }
        | Outcome::Connection { reason }
        | Outcome::Blocked { reason } => reason.clone(),
    };
    let next = match live.delivery.state {
        DeliveryState::Pending { next_attempt_at, .. } => {
            let wait = next_attempt_at.since(live.attempt.started_at);
            format!(" · next attempt in {:.1} s", wait.as_secs_f64())
        }
        DeliveryState::Delivered | DeliveryState::Exhausted | DeliveryState::Cancelled(_) => {
            String::new()
        }
    };
    let duration = live.attempt.duration.as_secs_f64() * 1_000.0;
    let started_at = live.attempt.started_at.to_string();
    // The time of day is enough for ten seconds.
    let time = started_at.get(11..23).unwrap_or(&started_at);
    format!(
        "{time}  {} {number:<2}  attempt {}  {met} in {duration:.1} ms{next}\n",
        live.delivery.event_name, live.attempt.number
    )
}

/// Which event is which, by its place in the request.
fn numbers_of(accepted: &serde_json::Value) -> anyhow::Result<HashMap<EventId, usize>> {
    let answers = accepted["data"].as_array().context("no answers")?;
    let number = |(index, answer): (usize, &serde_json::Value)| {
        let id = answer["id"].as_str().context("an event was not accepted")?;
        Ok((id.parse()?, index + 1))
    };
    answers.iter().enumerate().map(number).collect()
}

/// The demo's own HTTP client of the API.
struct Api {
    url: String,
    authorization: String,
    client: reqwest::Client,
}

impl Api {
    async fn post(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> anyhow::Result<serde_json::Value> {
        let answer = self
            .client
            .post(format!("{}{path}", self.url))
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.to_string())
            .send()
            .await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path} answered {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }
}

fn client() -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10));
    Ok(builder.tls_certs_only([]).build()?)
}

/// How often each comment came.
type Visits = Arc<Mutex<HashMap<u32, u32>>>;

/// A receiver that is not always well: every fourth comment fails once, the tenth twice, the seventh asks for patience.
async fn start_receiver() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no port for the receiver")?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/comments/{id}", post(receive)).with_state(Visits::default());
    // Ends with the process: the demo has nothing to wait for once its own part is over.
    TaskGroup::new().start(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the demo's receiver failed");
        }
    });
    Ok(address)
}

async fn receive(
    State(visits): State<Visits>,
    Form(fields): Form<HashMap<String, String>>,
) -> Response {
    let id: u32 = fields.get("COMMENT_ID").and_then(|id| id.parse().ok()).unwrap_or_default();
    let visit = {
        let mut visits = visits.lock().expect("nobody panics holding it");
        let visit = visits.entry(id).or_default();
        *visit += 1;
        *visit
    };
    match (id, visit) {
        (7, 1) => (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "3")]).into_response(),
        (10, 1 | 2) => StatusCode::BAD_GATEWAY.into_response(),
        (id, 1) if id % 4 == 0 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

/// Deleted when the demo ends.
struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("ringback-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .with_context(|| format!("{} can't be made", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _left_to_the_system = std::fs::remove_dir_all(&self.0);
    }
}

fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _nobody_listens = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
