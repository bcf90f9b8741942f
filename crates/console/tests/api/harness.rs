//! An embedded Ringback without worker and port, and calls to its API.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use ringback_api::{Keys, with_fallbacks};
use ringback_broker::Broker;
use ringback_broker::embedded::Embedded;
use ringback_console::Console;
use ringback_core::address::AddressPolicy;
use ringback_core::delivery::{Attempt, Delivery, DeliveryState, Response, SentRequest};
use ringback_core::retry::AttemptNumber;
use ringback_core::secret::Secret;
use ringback_core::{Callback, DeliveryId, Event, Outcome, callback};
use ringback_runtime::{Shutdown, TaskGroup};
use ringback_sqlite::Database;
use ringback_store::sqlite::SqliteStore;
use ringback_store::{HistoryRecord, KeyHash, MasterKey, Store};
use ringback_testkit::{ManualClock, builders};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

/// The administrator's key.
pub(crate) const ADMIN: &str = "rbk_an-administrator-of-tests-and-nothing-else";

pub(crate) struct Api {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) broker: Arc<Embedded>,
    pub(crate) router: Router,
    pub(crate) console: Console,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) tasks: TaskGroup,
    shutdown: Shutdown,
    _directory: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

impl Api {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory for tests");
        let database = Database::open(directory.path()).await.expect("opens");
        let clock = Arc::new(ManualClock::new(builders::MADE_AT));
        let master_key = MasterKey::from_random([7; 32]);
        let store =
            SqliteStore::open(database.clone(), master_key, clock.clone()).await.expect("opens");
        let broker = Embedded::open(database.clone(), clock.clone()).await.expect("opens");
        let (shutdown, tasks) = (Shutdown::new(), TaskGroup::new());
        let (writer, queue) =
            (database.run_writer(shutdown.clone()), broker.clone().run(shutdown.clone()));
        tasks.start(async move { writer.await.expect("never fails") });
        tasks.start(async move { queue.await.expect("never fails") });
        let keys = Keys::new(store.clone(), Some(KeyHash::of(&Secret::new(ADMIN))));
        let policy = AddressPolicy::allowing(Vec::new());
        let console = Console::new(store.clone(), broker.clone(), clock.clone(), policy, keys);
        let router = with_fallbacks(ringback_console::router(console.clone()));
        Self { store, broker, router, console, clock, tasks, shutdown, _directory: directory }
    }

    /// A call of the administrator.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.call_as(ADMIN, method, path, body).await
    }

    pub(crate) async fn call_as(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .header(header::CONTENT_TYPE, "application/json");
        let body = body.map_or_else(Body::empty, |json| Body::from(json.to_string()));
        self.send(request.body(body).expect("a valid request")).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("a router never fails");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), 10_000_000).await.expect("a whole body");
        let json = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).expect("JSON")
        };
        if status >= 400 {
            assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
            assert_eq!(json["status"], status);
        }
        Answer { status, headers, json }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.json);
        answer.json
    }

    /// Makes a callback and returns the answer.
    pub(crate) async fn made(&self, settings: Value) -> Value {
        let answer = self.call("POST", "/v1/callbacks", Some(settings)).await;
        assert_eq!(answer.status, 201, "{}", answer.json);
        answer.json
    }

    /// A key of this account.
    pub(crate) async fn account_key(&self, account: &str) -> String {
        let answer = self.call("POST", "/v1/api-keys", Some(json!({ "account": account }))).await;
        assert_eq!(answer.status, 201, "{}", answer.json);
        answer.json["key"].as_str().expect("a key").to_owned()
    }

    /// The stored callback of this answer.
    pub(crate) async fn stored(&self, answer: &Value) -> Callback {
        let id = answer["id"].as_str().expect("an id").parse().expect("a UUID");
        self.store.callback(id).await.expect("readable").expect("there")
    }

    /// Records a delivery of this event to this callback, with one failed attempt.
    pub(crate) async fn delivery(
        &self,
        event: &Event,
        callback: &Callback,
        state: DeliveryState,
    ) -> DeliveryId {
        let records =
            vec![HistoryRecord::Event(Arc::new(event.clone())), record(event, callback, state)];
        self.store.record(records).await.expect("recorded");
        DeliveryId::of(&event.account, event.id, callback.id, 0)
    }

    /// The dispatch on the queue.
    pub(crate) async fn dispatched(&self) -> ringback_core::Dispatch {
        let mut consumer = self.broker.consume().await.expect("a consumer");
        let deadline = std::time::Duration::from_secs(10);
        let message = tokio::time::timeout(deadline, consumer.next())
            .await
            .expect("something is on the queue");
        let mut dispatches = message.expect("the queue is open").dispatches;
        assert_eq!(dispatches.len(), 1);
        dispatches.remove(0)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}

impl Answer {
    /// The pointers of what is wrong.
    pub(crate) fn pointers(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array().map_or(&[][..], Vec::as_slice);
        errors.iter().filter_map(|error| error["pointer"].as_str()).collect()
    }

    /// What is wrong in a place.
    pub(crate) fn detail_at(&self, pointer: &str) -> &str {
        let errors = self.json["errors"].as_array().map_or(&[][..], Vec::as_slice);
        let error = errors.iter().find(|error| error["pointer"] == pointer);
        error.and_then(|error| error["detail"].as_str()).unwrap_or_default()
    }
}

/// A delivery with one failed attempt.
pub(crate) fn record(event: &Event, callback: &Callback, state: DeliveryState) -> HistoryRecord {
    let delivery = delivery(event, callback, state, 1);
    let attempt = Some(Arc::new(attempt(delivery.id)));
    HistoryRecord::Delivery { delivery: Arc::new(delivery), attempt, first: false }
}

pub(crate) fn delivery(
    event: &Event,
    callback: &Callback,
    state: DeliveryState,
    attempts: u32,
) -> Delivery {
    Delivery {
        id: DeliveryId::of(&event.account, event.id, callback.id, 0),
        event: event.id,
        event_name: event.name.clone(),
        account: event.account.clone(),
        callback: callback.id,
        generation: 0,
        state,
        attempts,
        series_start: AttemptNumber::MIN,
        created_at: event.accepted_at,
        updated_at: event.accepted_at,
    }
}

fn attempt(delivery: DeliveryId) -> Attempt {
    Attempt {
        delivery,
        number: AttemptNumber::MIN,
        started_at: builders::MADE_AT,
        duration: std::time::Duration::from_millis(42),
        request: SentRequest {
            method: callback::Method::Post,
            url: "https://example.com/178".to_owned(),
            headers: vec![("authorization".into(), "***".into())],
            format: Some(callback::Format::Json),
        },
        outcome: Outcome::HttpError { status: 500, retry_after: None },
        response: Some(Response {
            status: 500,
            headers: vec![("x-a".to_owned(), "1".to_owned()), ("x-a".to_owned(), "2".to_owned())],
            body: b"no\xff".to_vec(),
            body_truncated: true,
        }),
    }
}
