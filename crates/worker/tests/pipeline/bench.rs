//! A whole embedded Ringback without its HTTP side.

use std::sync::Arc;
use std::time::Duration;

use ringback_broker::Depth;
use ringback_core::delivery::{Delivery, DeliveryState, WaitReason};
use ringback_core::retry::{AttemptNumber, Position, RetryPolicy};
use ringback_core::{Callback, DeliveryId, Dispatch, Event, Target, Timestamp};
use ringback_metrics::Metrics;
use ringback_runtime::Shutdown;
use ringback_sqlite::Database;
use ringback_store::MasterKey;
use ringback_store::sqlite::SqliteStore;
use ringback_testkit::{ManualClock, Receiver, builders};
use ringback_worker::{Circuits, Ports, Sender, SenderSettings, Worker, WorkerSettings};

use crate::ports::{WatchedClaims, WatchedQueue, WatchedStore};

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A whole embedded Ringback without its HTTP side.
pub(crate) struct Bench {
    pub(crate) clock: ManualClock,
    pub(crate) receiver: Receiver,
    pub(crate) queue: Arc<WatchedQueue>,
    pub(crate) store: Arc<WatchedStore>,
    pub(crate) claims: Arc<WatchedClaims>,
    pub(crate) ports: Ports,
    shutdown: Shutdown,
    _directory: tempfile::TempDir,
}

/// A worker with threads of its own, that can be killed as if its process were.
pub(crate) struct Mortal(tokio::runtime::Runtime);

impl Bench {
    /// One with a worker at work.
    pub(crate) async fn start() -> Self {
        let bench = Self::without_worker().await;
        bench.start_worker();
        bench
    }

    pub(crate) async fn without_worker() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let clock = ManualClock::default();
        let shared: Arc<ManualClock> = Arc::new(clock.clone());
        let database = Database::open(directory.path()).await.expect("opened");
        let broker = ringback_broker::embedded::Embedded::open(database.clone(), shared.clone());
        let broker = broker.await.expect("opened");
        let key = MasterKey::from_random([7; 32]);
        let store = SqliteStore::open(database.clone(), key, shared.clone()).await.expect("opened");
        let claims =
            ringback_idempotency::embedded::Embedded::open(database.clone(), shared.clone());
        let claims = claims.await.expect("opened");
        let shutdown = Shutdown::new();
        tokio::spawn(database.run_writer(shutdown.clone()));
        tokio::spawn(broker.clone().run(shutdown.clone()));
        let queue = Arc::new(WatchedQueue::of(broker));
        let store = Arc::new(WatchedStore::of(store));
        let claims = Arc::new(WatchedClaims::of(claims));
        let ports = Ports {
            broker: queue.clone(),
            store: store.clone(),
            idempotency: claims.clone(),
            clock: shared,
            metrics: Metrics::default(),
        };
        let receiver = Receiver::start().await.expect("a receiver");
        Self { clock, receiver, queue, store, claims, ports, shutdown, _directory: directory }
    }

    /// Starts a worker that works until the test is over.
    pub(crate) fn start_worker(&self) -> Circuits {
        let worker = self.worker();
        let circuits = worker.circuits();
        tokio::spawn(worker.run(self.shutdown.clone()));
        circuits
    }

    /// Starts a worker that the test kills.
    pub(crate) fn start_mortal_worker(&self) -> Mortal {
        let mut threads = tokio::runtime::Builder::new_multi_thread();
        let threads = threads.worker_threads(1).enable_all().build().expect("threads");
        threads.spawn(self.worker().run(self.shutdown.clone()));
        Mortal(threads)
    }

    /// A worker that has not begun.
    pub(crate) fn worker(&self) -> Worker {
        let policy =
            ringback_core::address::AddressPolicy::allowing(ringback_core::address::loopback());
        let sender = SenderSettings { address_policy: policy, ca_files: Vec::new() };
        let sender = Sender::new(sender).expect("a sender");
        Worker::new(WorkerSettings::default(), &self.ports, sender)
    }

    /// A callback to this path of the receiver, as it is made by default.
    pub(crate) async fn callback(&self, path: &str) -> Callback {
        self.callback_with(path, |callback| callback).await
    }

    pub(crate) async fn callback_with(
        &self,
        path: &str,
        change: impl FnOnce(Callback) -> Callback,
    ) -> Callback {
        let callback = change(builders::callback(&self.receiver.url(path)));
        self.ports.store.create_callback(&callback).await.expect("created");
        callback
    }

    /// Changes a callback, and gives it as it is then.
    pub(crate) async fn change(
        &self,
        callback: &Callback,
        change: impl FnOnce(Callback) -> Callback,
    ) -> Callback {
        let known = self.ports.store.callback(callback.id).await.expect("read").expect("there");
        let changed = change(Callback {
            updated_at: known.updated_at + Duration::from_millis(1),
            ..known.clone()
        });
        let store = &self.ports.store;
        assert!(store.update_callback(&changed, known.updated_at).await.expect("written"));
        changed
    }

    pub(crate) async fn publish(&self, event: &Arc<Event>) {
        self.publish_all(vec![Dispatch::of_event(event.clone())]).await;
    }

    /// A new event, published.
    pub(crate) async fn event(&self) -> Arc<Event> {
        let event = Arc::new(builders::event("COMMENT_CREATED"));
        self.publish(&event).await;
        event
    }

    /// Publishes dispatches as one bundle.
    pub(crate) async fn publish_all(&self, dispatches: Vec<Dispatch>) {
        self.ports.broker.publish(dispatches).await.expect("published");
    }

    /// Waits until the delivery stands as asked for.
    pub(crate) async fn wait_for(
        &self,
        id: DeliveryId,
        wanted: impl Fn(&Delivery) -> bool,
    ) -> Delivery {
        let mut live = self.ports.store.live_attempts();
        let mut last = None;
        let waiting = async {
            loop {
                last = self.ports.store.delivery(id).await.expect("read");
                if let Some(delivery) = last.clone().filter(|delivery| wanted(delivery)) {
                    return delivery;
                }
                // Deliveries that are put off or cancelled have no attempt that would wake us.
                let _news = tokio::time::timeout(Duration::from_millis(20), live.recv()).await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        waited.unwrap_or_else(|_| panic!("it never came to that, it stands so: {last:?}"))
    }

    /// Waits until an attempt is recorded as waiting for this reason after so many attempts, and gives its time.
    pub(crate) async fn wait_for_wait(
        &self,
        id: DeliveryId,
        reason: WaitReason,
        attempts: u32,
    ) -> Timestamp {
        let so = |delivery: &Delivery| {
            delivery.attempts == attempts
                && matches!(delivery.state, DeliveryState::Pending { waits, .. } if waits == Some(reason))
        };
        match self.wait_for(id, so).await.state {
            DeliveryState::Pending { next_attempt_at, .. } => next_attempt_at,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until a retry is recorded as waiting, and gives its time.
    pub(crate) async fn wait_for_retry(&self, id: DeliveryId, attempts: u32) -> Timestamp {
        self.wait_for_wait(id, WaitReason::Retry, attempts).await
    }

    /// Waits until what is on the queue is as asked for.
    pub(crate) async fn wait_for_depth(&self, what: &str, wanted: impl Fn(Depth) -> bool) -> Depth {
        let mut last = None;
        let waiting = async {
            loop {
                let depth = self.ports.broker.depth().await.expect("asked");
                if wanted(depth) {
                    return depth;
                }
                last = Some(depth);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        waited.unwrap_or_else(|_| panic!("never {what}: {last:?}"))
    }

    /// Waits until nothing is on the queue, due or not.
    pub(crate) async fn wait_until_all_is_acked(&self) {
        self.wait_for_depth("all acked", |depth| depth.fresh + depth.returned + depth.delayed == 0)
            .await;
    }

    /// Moves the clock to this moment and as much further as due times are rounded up.
    pub(crate) fn advance_past(&self, due: Timestamp) {
        self.clock.advance_to(due + Duration::from_millis(20));
    }
}

impl Mortal {
    /// Nothing of it runs any more, at whatever it was.
    pub(crate) fn kill(self) {
        self.0.shutdown_background();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}

pub(crate) fn delivery_of(event: &Event, callback: &Callback) -> DeliveryId {
    DeliveryId::of(&event.account, event.id, callback.id, 0)
}

pub(crate) fn is(state: DeliveryState) -> impl Fn(&Delivery) -> bool {
    move |delivery| delivery.state == state
}

/// No retries: the first failure is the last.
pub(crate) fn no_retries() -> RetryPolicy {
    RetryPolicy { enabled: false, ..RetryPolicy::default() }
}

/// An attempt that somebody asked for.
pub(crate) fn by_hand(event: &Arc<Event>, callback: &Callback, attempt: u32) -> Dispatch {
    let attempt = AttemptNumber::new(attempt).expect("attempts begin at 1");
    let position = Position { attempt, series_start: attempt };
    Dispatch {
        novelty: ringback_core::dispatch::Novelty::PerhapsRepeated,
        ..Dispatch::to_target(event.clone(), Target { position, ..Target::first(callback.id) })
    }
}
