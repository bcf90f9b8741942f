//! A sender that does not wait for the answer.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, header};
use ringback_api::{Keys, Types};
use ringback_broker::embedded::Embedded;
use ringback_broker::{Broker, Consumer, Delayed, Depth, Error, PublishError, Receipt};
use ringback_core::Dispatch;
use ringback_core::secret::Secret;
use ringback_ingest::{Ingest, Rules};
use ringback_metrics::Metrics;
use ringback_runtime::{Shutdown, TaskGroup};
use ringback_sqlite::Database;
use ringback_store::sqlite::SqliteStore;
use ringback_store::{KeyHash, MasterKey};
use ringback_testkit::{ManualClock, builders};
use tokio::sync::{Notify, Semaphore};
use tower::ServiceExt as _;

const KEY: &str = "rbk_an-administrator-of-tests-and-nothing-else";
const SOON: Duration = Duration::from_secs(10);

/// The queue, which has what was published and does not say so yet.
struct Hesitant {
    queue: Arc<Embedded>,
    has_it: Notify,
    may_say_so: Semaphore,
}

#[async_trait]
impl Broker for Hesitant {
    async fn publish(&self, dispatches: Vec<Dispatch>) -> Result<(), PublishError> {
        self.queue.publish(dispatches).await?;
        self.has_it.notify_one();
        let _permit = self.may_say_so.acquire().await.expect("never closed");
        Ok(())
    }

    async fn publish_after(&self, delayed: Vec<Delayed>) -> Result<(), PublishError> {
        self.queue.publish_after(delayed).await
    }

    async fn consume(&self) -> Result<Box<dyn Consumer>, Error> {
        self.queue.consume().await
    }

    fn ack(&self, receipt: Receipt) {
        self.queue.ack(receipt);
    }

    async fn ready(&self) -> Result<(), Error> {
        self.queue.ready().await
    }

    async fn depth(&self) -> Result<Depth, Error> {
        self.queue.depth().await
    }
}

#[tokio::test]
async fn event_whose_sender_hangs_up_is_counted_once_it_is_on_the_queue() {
    let directory = tempfile::tempdir().expect("a directory for tests");
    let database = Database::open(directory.path()).await.expect("opens");
    let clock = Arc::new(ManualClock::new(builders::MADE_AT));
    let master_key = MasterKey::from_random([7; 32]);
    let store = SqliteStore::open(database.clone(), master_key, clock.clone()).await;
    let store = store.expect("opens");
    let queue = Embedded::open(database.clone(), clock.clone()).await.expect("opens");
    let idempotency =
        ringback_idempotency::embedded::Embedded::open(database.clone(), clock.clone()).await;
    let (shutdown, tasks) = (Shutdown::new(), TaskGroup::new());
    let (writer, moving) =
        (database.run_writer(shutdown.clone()), queue.clone().run(shutdown.clone()));
    tasks.start(async move { writer.await.expect("never fails") });
    tasks.start(async move { moving.await.expect("never fails") });

    let metrics = Metrics::default();
    let (has_it, may_say_so) = (Notify::new(), Semaphore::new(0));
    let hesitant = Arc::new(Hesitant { queue, has_it, may_say_so });
    let rules = Rules {
        keys: Keys::new(store.clone(), Some(KeyHash::of(&Secret::new(KEY)))),
        types: Types::new(store),
        event_bytes_max: 100_000,
        metrics: metrics.intake(),
    };
    let ingest = Ingest::new(hesitant.clone(), idempotency.expect("opens"), clock, rules);
    let request = Request::post("/v1/events")
        .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(r#"{"name": "A", "account": "acme"}"#))
        .expect("a request");
    tokio::select! {
        answer = ringback_ingest::router(Arc::new(ingest)).oneshot(request) => panic!("{answer:?}"),
        () = hesitant.has_it.notified() => {}
        () = tokio::time::sleep(SOON) => panic!("it is not published"),
    }
    hesitant.may_say_so.add_permits(1);

    let counted = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while !metrics.to_text().contains("ringback_events_accepted_total{source=\"http\"} 1") {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(SOON, counted).await.expect("it is counted");
    shutdown.request();
    tasks.drained().await;
}
