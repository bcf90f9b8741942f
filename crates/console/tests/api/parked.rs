//! What is kept for a paused callback: let go once it is resumed, and lost never.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ringback_api::Keys;
use ringback_broker::embedded::Embedded;
use ringback_broker::{Broker, Consumer, Delayed, Depth, Error, PublishError, Receipt};
use ringback_console::Console;
use ringback_core::address::AddressPolicy;
use ringback_core::callback::{CallbackState, DisabledReason};
use ringback_core::delivery::{CancelReason, Delivery, DeliveryState, WaitReason};
use ringback_core::dispatch::Novelty;
use ringback_core::{Callback, Dispatch, Targets, Timestamp};
use ringback_runtime::{Clock as _, Shutdown};
use ringback_store::{HistoryRecord, Store as _};
use ringback_testkit::builders;
use serde_json::json;

use crate::harness::{self, Api};

const SOON: Duration = Duration::from_secs(10);
const STARTED: Timestamp = builders::MADE_AT;

const PARKED: DeliveryState =
    DeliveryState::Pending { next_attempt_at: STARTED, waits: Some(WaitReason::Paused) };

/// A callback that is paused, and deliveries kept for it.
struct Paused {
    api: Api,
    id: ringback_core::CallbackId,
    kept: Vec<Delivery>,
}

impl Paused {
    async fn with(kept: usize, settings: serde_json::Value) -> Self {
        let api = Api::start().await;
        let callback = api.stored(&api.made(settings).await).await;
        let mut paused = Self { api, id: callback.id, kept: Vec::new() };
        paused.call("pause").await;
        for number in 0..kept {
            paused.keep(number).await;
        }
        paused
    }

    /// One more is kept, as a worker does it.
    async fn keep(&mut self, number: usize) {
        let mut event = builders::event("A");
        event.accepted_at = STARTED + Duration::from_millis(u64::try_from(number).expect("few"));
        let mut delivery = harness::delivery(&event, &self.callback().await, PARKED, 2);
        delivery.series_start = delivery.series_start.saturating_add(1);
        let records = vec![HistoryRecord::Event(event.into()), record(&delivery)];
        self.api.store.record(records).await.expect("recorded");
        self.kept.push(delivery);
    }

    async fn callback(&self) -> Callback {
        self.api.store.callback(self.id).await.expect("read").expect("there")
    }

    async fn call(&self, call: &str) {
        let path = format!("/v1/callbacks/{}/{call}", self.id);
        assert_eq!(self.api.call("POST", &path, None).await.status, 200, "{call}");
    }

    /// How many are kept now.
    async fn left(&self) -> usize {
        self.api.store.parked(self.id, 1_000).await.expect("read").len()
    }

    async fn stored(&self, index: usize) -> Delivery {
        let id = self.kept[index].id;
        self.api.store.delivery(id).await.expect("read").expect("there")
    }

    /// Dispatches as they come off the queue, until these many have come.
    async fn dispatched(&self, count: usize) -> Vec<Dispatch> {
        let mut consumer = self.api.broker.consume().await.expect("a consumer");
        let mut all = Vec::new();
        while all.len() < count {
            let next = tokio::time::timeout(SOON, consumer.next()).await;
            let next = next.unwrap_or_else(|_| panic!("{} came, and not {count}", all.len()));
            let message = next.expect("the queue is open");
            all.extend(message.dispatches);
            self.api.broker.ack(message.receipt);
        }
        all
    }

    /// Waits until it is so.
    async fn until(&self, what: &str, is_so: impl AsyncFn(&Self) -> bool) {
        let wait = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            while !is_so(self).await {
                ticks.tick().await;
            }
        };
        tokio::time::timeout(SOON, wait).await.unwrap_or_else(|_| panic!("not so: {what}"));
    }

    /// Starts a console over this queue; it stops when the guard is dropped.
    fn start(&self, console: Console) -> Running {
        let shutdown = Shutdown::new();
        let stop = shutdown.clone();
        self.api.tasks.start(async move { console.let_go(stop).await.expect("never fails") });
        Running(shutdown)
    }

    /// A console that does this each time after dispatches were published, and before it knows that they were.
    fn console_with(
        &self,
        then: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Console {
        let broker = Arc::new(Meddler { queue: self.api.broker.clone(), then: Box::new(then) });
        let (store, clock) = (self.api.store.clone(), self.api.clock.clone());
        let keys = Keys::new(store.clone(), None);
        Console::new(store, broker, clock, AddressPolicy::allowing(Vec::new()), keys)
    }
}

struct Running(Shutdown);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// The queue, and something that happens right after publishing.
struct Meddler {
    queue: Arc<Embedded>,
    then: Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
}

#[async_trait]
impl Broker for Meddler {
    async fn publish(&self, dispatches: Vec<Dispatch>) -> Result<(), PublishError> {
        self.queue.publish(dispatches).await
    }

    async fn publish_after(&self, delayed: Vec<Delayed>) -> Result<(), PublishError> {
        self.queue.publish_after(delayed).await?;
        (self.then)().await;
        Ok(())
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

fn now(paused: &Paused) -> Timestamp {
    paused.api.clock.now()
}

fn record(delivery: &Delivery) -> HistoryRecord {
    HistoryRecord::Delivery { delivery: Arc::new(delivery.clone()), attempt: None, first: false }
}

#[tokio::test]
async fn resumed_callback_gets_what_was_kept_as_the_attempts_that_would_have_come() {
    let paused = Paused::with(3, json!({ "url": "https://example.com/" })).await;
    let _running = paused.start(paused.api.console.clone());
    paused.call("resume").await;
    for (index, dispatch) in paused.dispatched(3).await.iter().enumerate() {
        let Targets::These(targets) = &dispatch.targets else { panic!("it has a target") };
        let [target] = targets.as_slice() else { panic!("it has one") };
        assert_eq!(target.delivery(&dispatch.event), paused.kept[index].id, "the oldest first");
        assert_eq!((target.position.attempt.get(), target.position.series_start.get()), (3, 2));
        assert_eq!(dispatch.novelty, Novelty::PerhapsRepeated);
        assert_eq!(dispatch.event.variables, builders::event("A").variables);
    }
    paused.until("nothing is kept", async |paused| paused.left().await == 0).await;
    for index in 0..3 {
        let stored = paused.stored(index).await;
        let next_attempt_at = now(&paused);
        assert_eq!(stored.state, DeliveryState::Pending { next_attempt_at, waits: None });
        assert_eq!((stored.attempts, stored.series_start.get()), (2, 2));
    }
}

#[tokio::test]
async fn paused_callback_keeps_everything() {
    let paused = Paused::with(2, json!({ "url": "https://example.com/" })).await;
    let _running = paused.start(paused.api.console.clone());
    // It has looked once, at the start, before it waits for the next time.
    paused.api.clock.wait_for_sleeper(SOON).await;
    assert_eq!(paused.left().await, 2);
    let depth = paused.api.broker.depth().await.expect("asked");
    assert_eq!((depth.fresh, depth.returned, depth.delayed), (0, 0, 0));
}

#[tokio::test]
async fn what_was_resumed_while_no_console_ran_is_let_go_at_the_start() {
    let paused = Paused::with(2, json!({ "url": "https://example.com/" })).await;
    paused.call("resume").await;
    paused.api.clock.advance(Duration::from_secs(24 * 60 * 60));
    let _running = paused.start(paused.api.console.clone());
    paused.dispatched(2).await;
    paused.until("nothing is kept", async |paused| paused.left().await == 0).await;
}

#[tokio::test]
async fn crash_between_publishing_and_recording_loses_nothing() {
    let paused = Paused::with(3, json!({ "url": "https://example.com/" })).await;
    paused.call("resume").await;
    let crashing = paused.start(paused.console_with(|| std::future::pending().boxed()));
    let before: HashSet<_> =
        paused.dispatched(3).await.iter().map(|dispatch| dispatch.event.id).collect();
    drop(crashing);
    assert_eq!(paused.left().await, 3, "nothing says yet that they are on the queue");

    let _running = paused.start(paused.api.console.clone());
    let after: HashSet<_> =
        paused.dispatched(3).await.iter().map(|dispatch| dispatch.event.id).collect();
    assert_eq!(before, after);
    paused.until("nothing is kept", async |paused| paused.left().await == 0).await;
}

#[tokio::test]
async fn what_is_kept_once_more_before_it_is_recorded_is_let_go_once_more() {
    let paused = Paused::with(1, json!({ "url": "https://example.com/" })).await;
    paused.call("resume").await;
    // A worker that still takes the callback for paused is faster than our record, once.
    let store = paused.api.store.clone();
    let again = Delivery { updated_at: STARTED - Duration::from_secs(9), ..paused.kept[0].clone() };
    let first = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let meddling = paused.console_with(move || {
        let (store, again, first) = (store.clone(), again.clone(), first.clone());
        async move {
            if first.swap(false, std::sync::atomic::Ordering::Relaxed) {
                store.record(vec![record(&again)]).await.expect("recorded");
            }
        }
        .boxed()
    });
    let _running = paused.start(meddling);
    paused.dispatched(1).await;
    let step = paused.api.clock.wait_for_sleepers(2, SOON).await;
    assert_eq!(paused.left().await, 1, "not lost: what the worker wrote counts");
    paused.api.clock.advance_to(step);
    paused.dispatched(1).await;
    paused.until("nothing is kept", async |paused| paused.left().await == 0).await;
}

#[tokio::test]
async fn what_a_worker_did_meanwhile_is_not_taken_back() {
    let paused = Paused::with(1, json!({ "url": "https://example.com/" })).await;
    paused.call("resume").await;
    let delivered =
        Delivery { state: DeliveryState::Delivered, attempts: 3, ..paused.kept[0].clone() };
    let (store, done) = (paused.api.store.clone(), delivered.clone());
    let meddling = paused.console_with(move || {
        let (store, done) = (store.clone(), done.clone());
        async move { store.record(vec![record(&done)]).await.expect("recorded") }.boxed()
    });
    let _running = paused.start(meddling);
    paused.dispatched(1).await;
    paused.api.clock.wait_for_sleepers(2, SOON).await;
    assert_eq!(paused.stored(0).await, delivered);
}

#[tokio::test]
async fn steps_keep_to_the_rate_limit_and_stop_when_it_is_paused_again() {
    let settings = json!({ "url": "https://example.com/", "rate_limit": { "per_second": 2 } });
    let paused = Paused::with(7, settings).await;
    let clock = &paused.api.clock;
    let _running = paused.start(paused.api.console.clone());
    paused.call("resume").await;
    for left in [5, 3] {
        paused.until("a step is done", async |paused| paused.left().await == left).await;
        let next = clock.wait_for_sleepers(2, SOON).await;
        assert_eq!(next.since(now(&paused)), Duration::from_secs(1));
        if left == 3 {
            paused.call("pause").await;
        }
        clock.advance_to(next);
    }
    // The look alone is left to wait: the step that came has seen it paused, and is over.
    paused.until("only the look waits", async |_| clock.sleepers() == 1).await;
    assert_eq!(paused.left().await, 3);
    paused.dispatched(4).await;

    paused.call("resume").await;
    for left in [1, 0] {
        paused.until("a step is done", async |paused| paused.left().await == left).await;
        clock.advance_to(clock.wait_for_sleepers(2, SOON).await);
    }
    let rest = paused.dispatched(3).await;
    let rest: Vec<_> = rest.iter().map(|dispatch| dispatch.event.id).collect();
    assert_eq!(rest, paused.kept[4..].iter().map(|kept| kept.event).collect::<Vec<_>>());
}

#[tokio::test]
async fn callback_with_a_low_rate_limit_keeps_no_other_waiting() {
    let settings = json!({ "url": "https://example.com/", "rate_limit": { "per_second": 1 } });
    let mut slow = Paused::with(2, settings).await;
    let other = slow.api.made(json!({ "url": "https://example.com/" })).await;
    let other = slow.api.stored(&other).await;
    let own = std::mem::replace(&mut slow.id, other.id);
    slow.call("pause").await;
    slow.keep(2).await;
    let _running = slow.start(slow.api.console.clone());
    for id in [own, other.id] {
        slow.id = id;
        slow.call("resume").await;
    }
    slow.until("the other's is let go", async |slow| slow.left().await == 0).await;
    slow.id = own;
    slow.until("one of its own is let go", async |slow| slow.left().await == 1).await;
}

#[tokio::test]
async fn what_a_late_worker_keeps_after_the_callback_was_resumed_is_found() {
    let mut paused = Paused::with(0, json!({ "url": "https://example.com/" })).await;
    let _running = paused.start(paused.api.console.clone());
    paused.call("resume").await;
    paused.keep(0).await;
    paused
        .until("it is let go", async |paused| {
            paused.api.clock.advance(Duration::from_secs(5));
            paused.left().await == 0
        })
        .await;
    paused.dispatched(1).await;
}

#[tokio::test]
async fn what_is_kept_for_a_callback_that_is_disabled_or_deleted_is_cancelled() {
    // As if whoever did it had died before it could cancel them: at the start, and while it runs.
    for running_before in [false, true] {
        for reason in [CancelReason::CallbackDisabled, CancelReason::CallbackDeleted] {
            let paused = Paused::with(2, json!({ "url": "https://example.com/" })).await;
            let start = || paused.start(paused.api.console.clone());
            let early = running_before.then(start);
            let callback = paused.callback().await;
            let now = callback.updated_at + Duration::from_secs(1);
            let state = CallbackState::Disabled(DisabledReason::ByOwner);
            let disabled = Callback { state, updated_at: now, ..callback.clone() };
            let done = match reason {
                CancelReason::CallbackDisabled => {
                    paused.api.store.update_callback(&disabled, callback.updated_at).await
                }
                CancelReason::CallbackDeleted => {
                    paused.api.store.delete_callback(callback.id, now).await
                }
                CancelReason::Requested => unreachable!("it is not among the two"),
            };
            assert!(done.expect("written"));
            let _running = early.unwrap_or_else(start);
            paused.until("nothing is kept", async |paused| paused.left().await == 0).await;
            for index in 0..2 {
                assert_eq!(paused.stored(index).await.state, DeliveryState::Cancelled(reason));
            }
        }
    }
}

#[tokio::test]
async fn callback_that_is_enabled_again_gets_what_a_late_worker_kept_while_it_was_disabled() {
    let mut paused = Paused::with(0, json!({ "url": "https://example.com/" })).await;
    let path = format!("/v1/callbacks/{}", paused.id);
    for enabled in [false, true] {
        paused.api.call("PATCH", &path, Some(json!({ "enabled": enabled }))).await;
    }
    paused.keep(0).await;
    let _running = paused.start(paused.api.console.clone());
    paused.dispatched(1).await;
    paused.until("nothing is kept", async |paused| paused.left().await == 0).await;
}

#[tokio::test]
async fn two_consoles_at_once_do_no_harm() {
    let paused = Paused::with(300, json!({ "url": "https://example.com/" })).await;
    let _running =
        [paused.start(paused.api.console.clone()), paused.start(paused.api.console.clone())];
    paused.call("resume").await;
    let clock = &paused.api.clock;
    paused
        .until("nothing is kept", async |paused| {
            clock.advance(Duration::from_millis(40));
            paused.left().await == 0
        })
        .await;
    let mut left: HashSet<_> = paused.kept.iter().map(|kept| kept.event).collect();
    while !left.is_empty() {
        for dispatch in paused.dispatched(1).await {
            left.remove(&dispatch.event.id);
        }
    }
}
