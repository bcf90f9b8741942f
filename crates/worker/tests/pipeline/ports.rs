//! The embedded adapters, watched: calls are counted, and fail on demand.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ringback_broker::{Broker, Consumer, Delayed, Depth, Message, PublishError, Receipt};
use ringback_core::catalog::EventType;
use ringback_core::delivery::{Attempt, CancelReason, Delivery};
use ringback_core::rate::{Admission, Asking, RateLimit};
use ringback_core::{
    Account, ApiKeyId, Callback, CallbackId, DeliveryId, Dispatch, Event, EventId, EventName,
    Outcome, ReplayId, Timestamp,
};
use ringback_idempotency::{AttemptKey, Begun, Claim, Fence, Idempotency, RequestKey};
use ringback_store::{
    AccountSettings, ApiKey, Backlog, CallbackChange, CallbackQuery, CatalogStore, Cursor,
    DeliveryKey, DeliveryQuery, EventQuery, EventSearch, EventsFound, HistoryRecord, KeyHash,
    LastKey, LiveAttempt, LoggedRequest, LoggedRequestQuery, Page, Parked, Pass, Recorded, Replay,
    Replayable, Replays, Revision, Sessions, Step, Store, Traffic, TrafficOf, TrafficStore,
};
use tokio::sync::{broadcast, watch};

use crate::bench::DEADLINE;

/// How often each function was called.
#[derive(Default)]
pub(crate) struct Calls {
    counts: Mutex<HashMap<&'static str, usize>>,
    news: tokio::sync::Notify,
}

impl Calls {
    fn count(&self, function: &'static str) {
        *self.counts.lock().expect("whole").entry(function).or_default() += 1;
        self.news.notify_waiters();
    }

    pub(crate) fn of(&self, function: &'static str) -> usize {
        self.counts.lock().expect("whole").get(function).copied().unwrap_or_default()
    }

    pub(crate) fn forget(&self) {
        self.counts.lock().expect("whole").clear();
    }

    /// Waits until it was called so often.
    pub(crate) async fn wait_for(&self, function: &'static str, times: usize) {
        let waiting = async {
            loop {
                let news = self.news.notified();
                if self.of(function) >= times {
                    return;
                }
                news.await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        waited.unwrap_or_else(|_| panic!("{function} was called {} times", self.of(function)));
    }
}

/// What a test wants to fail.
#[derive(Default)]
pub(crate) struct Switch(AtomicBool);

impl Switch {
    pub(crate) fn on(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn off(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The queue. `log` has what was asked of its consumers, and acks.
pub(crate) struct WatchedQueue {
    inner: Arc<dyn Broker>,
    pub(crate) log: Arc<Mutex<Vec<&'static str>>>,
    pub(crate) calls: Calls,
    /// Consumers never finish.
    pub(crate) finish_hangs: Arc<Switch>,
    /// The next publish succeeds, and says it did not.
    pub(crate) loses_one_confirm: Switch,
}

impl WatchedQueue {
    pub(crate) fn of(inner: Arc<dyn Broker>) -> Self {
        Self {
            inner,
            log: Arc::default(),
            calls: Calls::default(),
            finish_hangs: Arc::default(),
            loses_one_confirm: Switch::default(),
        }
    }
}

#[async_trait]
impl Broker for WatchedQueue {
    async fn publish(&self, dispatches: Vec<Dispatch>) -> Result<(), PublishError> {
        self.inner.publish(dispatches).await?;
        if self.loses_one_confirm.is_on() {
            self.loses_one_confirm.off();
            return Err(PublishError::Unavailable("not confirmed".into()));
        }
        Ok(())
    }

    async fn publish_after(&self, delayed: Vec<Delayed>) -> Result<(), PublishError> {
        self.calls.count("publish_after");
        self.inner.publish_after(delayed).await
    }

    async fn consume(&self) -> Result<Box<dyn Consumer>, ringback_broker::Error> {
        let inner = self.inner.consume().await?;
        let (log, finish_hangs) = (self.log.clone(), self.finish_hangs.clone());
        Ok(Box::new(WatchedConsumer { inner, log, finish_hangs }))
    }

    fn ack(&self, receipt: Receipt) {
        self.log.lock().expect("whole").push("ack");
        self.inner.ack(receipt);
        self.calls.count("ack");
    }

    async fn ready(&self) -> Result<(), ringback_broker::Error> {
        self.inner.ready().await
    }

    async fn depth(&self) -> Result<Depth, ringback_broker::Error> {
        self.inner.depth().await
    }
}

struct WatchedConsumer {
    inner: Box<dyn Consumer>,
    log: Arc<Mutex<Vec<&'static str>>>,
    finish_hangs: Arc<Switch>,
}

#[async_trait]
impl Consumer for WatchedConsumer {
    async fn next(&mut self) -> Option<Message> {
        self.inner.next().await
    }

    async fn stop(&mut self) {
        self.log.lock().expect("whole").push("stop");
        self.inner.stop().await;
    }

    async fn finish(self: Box<Self>) {
        self.log.lock().expect("whole").push("finish");
        if self.finish_hangs.is_on() {
            std::future::pending::<()>().await;
        }
        self.inner.finish().await;
    }
}

/// The idempotency store.
pub(crate) struct WatchedClaims {
    inner: Arc<dyn Idempotency>,
    pub(crate) calls: Calls,
    pub(crate) leases: Mutex<Vec<Duration>>,
    /// Nothing can be claimed, settled or counted.
    pub(crate) away: Switch,
    /// Nothing can be settled.
    pub(crate) forgets_marks: Switch,
    /// Whoever asks for a request to this callback panics.
    pub(crate) panics_for: Mutex<Option<CallbackId>>,
}

impl WatchedClaims {
    pub(crate) fn of(inner: Arc<dyn Idempotency>) -> Self {
        Self {
            inner,
            calls: Calls::default(),
            leases: Mutex::default(),
            away: Switch::default(),
            forgets_marks: Switch::default(),
            panics_for: Mutex::default(),
        }
    }

    fn answers(&self, function: &'static str) -> Result<(), ringback_idempotency::Error> {
        self.calls.count(function);
        if self.away.is_on() {
            return Err(ringback_idempotency::Error("switched off".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Idempotency for WatchedClaims {
    async fn claim(
        &self,
        attempts: &[AttemptKey],
        lease: Duration,
    ) -> Result<Vec<Claim>, ringback_idempotency::Error> {
        self.answers("claim")?;
        self.leases.lock().expect("whole").push(lease);
        self.inner.claim(attempts, lease).await
    }

    async fn settle(
        &self,
        attempts: &[(AttemptKey, Fence)],
    ) -> Result<(), ringback_idempotency::Error> {
        let settled = if self.forgets_marks.is_on() {
            Err(ringback_idempotency::Error("switched off".into()))
        } else {
            self.inner.settle(attempts).await
        };
        // Counted when it is done: a test waits for that.
        self.answers("settle")?;
        settled
    }

    async fn forget(
        &self,
        attempts: &[(AttemptKey, Fence)],
    ) -> Result<(), ringback_idempotency::Error> {
        self.answers("forget")?;
        self.inner.forget(attempts).await
    }

    async fn begin(
        &self,
        key: &RequestKey,
        fingerprint: &str,
        keep: Duration,
        mark: &str,
    ) -> Result<Begun, ringback_idempotency::Error> {
        self.inner.begin(key, fingerprint, keep, mark).await
    }

    async fn complete(
        &self,
        key: &RequestKey,
        answer: &str,
    ) -> Result<(), ringback_idempotency::Error> {
        self.inner.complete(key, answer).await
    }

    async fn abandon(&self, key: &RequestKey) -> Result<(), ringback_idempotency::Error> {
        self.inner.abandon(key).await
    }

    async fn leave_open(&self, key: &RequestKey) -> Result<(), ringback_idempotency::Error> {
        self.inner.leave_open(key).await
    }

    async fn admit(
        &self,
        callback: CallbackId,
        limit: RateLimit,
        asking: Asking,
    ) -> Result<Admission, ringback_idempotency::Error> {
        self.answers("admit")?;
        let panics = *self.panics_for.lock().expect("whole") == Some(callback);
        assert!(!panics, "on purpose");
        self.inner.admit(callback, limit, asking).await
    }

    async fn ready(&self) -> Result<(), ringback_idempotency::Error> {
        self.inner.ready().await
    }
}

/// The store.
pub(crate) struct WatchedStore {
    inner: Arc<dyn Store>,
    pub(crate) calls: Calls,
    /// Nothing that a worker asks for is answered.
    pub(crate) away: Switch,
    /// Nothing of this delivery can be recorded.
    pub(crate) refuses: Mutex<Option<DeliveryId>>,
}

impl WatchedStore {
    pub(crate) fn of(inner: Arc<dyn Store>) -> Self {
        Self { inner, calls: Calls::default(), away: Switch::default(), refuses: Mutex::default() }
    }

    fn answers(&self, function: &'static str) -> Result<(), ringback_store::Error> {
        self.calls.count(function);
        if self.away.is_on() {
            return Err(ringback_store::Error::Unavailable("switched off".into()));
        }
        Ok(())
    }

    fn takes(&self, record: &HistoryRecord) -> bool {
        let refused = *self.refuses.lock().expect("whole");
        match record {
            HistoryRecord::Event(_) => true,
            HistoryRecord::Delivery { delivery, .. } => Some(delivery.id) != refused,
        }
    }
}

type StoreResult<T> = Result<T, ringback_store::Error>;

#[async_trait]
impl Replays for WatchedStore {
    async fn count_replay(&self, event: &Event) -> StoreResult<Option<u32>> {
        self.inner.count_replay(event).await
    }

    async fn create_replay(&self, replay: &Replay) -> StoreResult<()> {
        self.inner.create_replay(replay).await
    }

    async fn replay(&self, id: ReplayId) -> StoreResult<Option<Replay>> {
        self.inner.replay(id).await
    }

    async fn replays(
        &self,
        account: Option<&Account>,
        limit: usize,
        after: Option<&Cursor>,
    ) -> StoreResult<Page<Replay>> {
        self.inner.replays(account, limit, after).await
    }

    async fn take_replay(
        &self,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> StoreResult<Option<Replay>> {
        self.inner.take_replay(owner, now, until).await
    }

    async fn keep_replay(
        &self,
        replay: &Replay,
        owner: &str,
        until: Timestamp,
    ) -> StoreResult<bool> {
        self.inner.keep_replay(replay, owner, until).await
    }

    async fn release_replays(&self, owner: &str) -> StoreResult<()> {
        self.inner.release_replays(owner).await
    }

    async fn cancel_replay(&self, id: ReplayId, now: Timestamp) -> StoreResult<bool> {
        self.inner.cancel_replay(id, now).await
    }

    async fn replayable(&self, replay: &Replay, limit: usize) -> StoreResult<Vec<Replayable>> {
        self.inner.replayable(replay, limit).await
    }

    async fn count_replayable(&self, replay: &Replay, max: usize) -> StoreResult<u64> {
        self.inner.count_replayable(replay, max).await
    }
}

#[async_trait]
impl Sessions for WatchedStore {
    async fn create_session(&self, session: &Pass) -> StoreResult<()> {
        self.inner.create_session(session).await
    }

    async fn session(&self, hash: KeyHash, now: Timestamp) -> StoreResult<Option<Pass>> {
        self.inner.session(hash, now).await
    }

    async fn delete_session(&self, hash: KeyHash) -> StoreResult<()> {
        self.inner.delete_session(hash).await
    }

    async fn create_console_link(&self, link: &Pass) -> StoreResult<()> {
        self.inner.create_console_link(link).await
    }

    async fn console_link(&self, hash: KeyHash, now: Timestamp) -> StoreResult<Option<Pass>> {
        self.inner.console_link(hash, now).await
    }

    async fn redeem_console_link(
        &self,
        hash: KeyHash,
        now: Timestamp,
    ) -> StoreResult<Option<Pass>> {
        self.inner.redeem_console_link(hash, now).await
    }
}

#[async_trait]
impl TrafficStore for WatchedStore {
    async fn traffic(
        &self,
        of: &TrafficOf,
        step: Step,
        since: Timestamp,
    ) -> StoreResult<Vec<(Timestamp, Traffic)>> {
        self.inner.traffic(of, step, since).await
    }

    async fn traffic_of_callbacks(
        &self,
        step: Step,
        since: Timestamp,
    ) -> StoreResult<Vec<(CallbackId, Timestamp, Traffic)>> {
        self.inner.traffic_of_callbacks(step, since).await
    }
}

#[async_trait]
impl CatalogStore for WatchedStore {
    async fn event_types(&self) -> StoreResult<Vec<EventType>> {
        self.inner.event_types().await
    }

    async fn change_event_types(
        &self,
        put: &[EventType],
        delete: &[EventName],
        now: Timestamp,
    ) -> StoreResult<bool> {
        self.inner.change_event_types(put, delete, now).await
    }

    async fn account_settings(&self) -> StoreResult<Vec<AccountSettings>> {
        self.inner.account_settings().await
    }

    async fn put_account_settings(
        &self,
        settings: &AccountSettings,
        now: Timestamp,
    ) -> StoreResult<()> {
        self.inner.put_account_settings(settings, now).await
    }
}

#[async_trait]
impl Store for WatchedStore {
    async fn create_callback(&self, callback: &Callback) -> StoreResult<()> {
        self.inner.create_callback(callback).await
    }

    async fn update_callback(&self, callback: &Callback, read_at: Timestamp) -> StoreResult<bool> {
        self.inner.update_callback(callback, read_at).await
    }

    async fn delete_callback(&self, id: CallbackId, now: Timestamp) -> StoreResult<bool> {
        self.inner.delete_callback(id, now).await
    }

    async fn callback(&self, id: CallbackId) -> StoreResult<Option<Callback>> {
        self.inner.callback(id).await
    }

    async fn callbacks(
        &self,
        query: &CallbackQuery,
        limit: usize,
        after: Option<&Cursor>,
    ) -> StoreResult<Page<Callback>> {
        self.inner.callbacks(query, limit, after).await
    }

    async fn disable_gone_callback(
        &self,
        id: CallbackId,
        known_at: Timestamp,
        now: Timestamp,
    ) -> StoreResult<()> {
        self.answers("disable_gone_callback")?;
        self.inner.disable_gone_callback(id, known_at, now).await
    }

    async fn callback_changes(
        &self,
        revision: Revision,
    ) -> StoreResult<(Vec<CallbackChange>, Revision)> {
        self.answers("callback_changes")?;
        self.inner.callback_changes(revision).await
    }

    fn revision(&self) -> watch::Receiver<Revision> {
        self.inner.revision()
    }

    async fn create_api_key(&self, key: &ApiKey) -> StoreResult<()> {
        self.inner.create_api_key(key).await
    }

    async fn delete_api_key(&self, id: ApiKeyId, last: LastKey) -> StoreResult<bool> {
        self.inner.delete_api_key(id, last).await
    }

    async fn api_keys(&self) -> StoreResult<Vec<ApiKey>> {
        self.inner.api_keys().await
    }

    async fn log_request(&self, request: &LoggedRequest) -> StoreResult<()> {
        self.inner.log_request(request).await
    }

    async fn logged_requests(
        &self,
        query: &LoggedRequestQuery,
        limit: usize,
        after: Option<&Cursor>,
    ) -> StoreResult<Page<LoggedRequest>> {
        self.inner.logged_requests(query, limit, after).await
    }

    async fn record(&self, records: Vec<HistoryRecord>) -> StoreResult<()> {
        self.answers("record")?;
        if !records.iter().all(|record| self.takes(record)) {
            return Err(ringback_store::Error::Unavailable("refused".into()));
        }
        self.inner.record(records).await
    }

    async fn cancel_pending(
        &self,
        callback: CallbackId,
        reason: CancelReason,
        now: Timestamp,
        limit: usize,
    ) -> StoreResult<usize> {
        self.answers("cancel_pending")?;
        self.inner.cancel_pending(callback, reason, now, limit).await
    }

    async fn cancel_delivery(
        &self,
        delivery: DeliveryKey,
        reason: CancelReason,
        now: Timestamp,
    ) -> StoreResult<bool> {
        self.inner.cancel_delivery(delivery, reason, now).await
    }

    async fn cancel_event(
        &self,
        event: &Event,
        reason: CancelReason,
        now: Timestamp,
        limit: usize,
    ) -> StoreResult<Vec<CallbackId>> {
        self.inner.cancel_event(event, reason, now, limit).await
    }

    async fn parked(&self, callback: CallbackId, limit: usize) -> StoreResult<Vec<Parked>> {
        self.inner.parked(callback, limit).await
    }

    async fn resumed_with_parked(&self, since: Timestamp) -> StoreResult<Vec<Callback>> {
        self.inner.resumed_with_parked(since).await
    }

    async fn let_go(&self, as_read: &[Delivery], now: Timestamp) -> StoreResult<()> {
        self.inner.let_go(as_read, now).await
    }

    async fn backlog(&self, now: Timestamp) -> StoreResult<Backlog> {
        self.inner.backlog(now).await
    }

    async fn recorded(&self, deliveries: &[DeliveryKey]) -> StoreResult<Vec<Recorded>> {
        self.answers("recorded")?;
        self.inner.recorded(deliveries).await
    }

    async fn event(&self, id: EventId, account: Option<&Account>) -> StoreResult<Option<Event>> {
        self.inner.event(id, account).await
    }

    async fn events(
        &self,
        query: &EventQuery,
        limit: usize,
        after: Option<&Cursor>,
    ) -> StoreResult<Page<Event>> {
        self.inner.events(query, limit, after).await
    }

    async fn search_events(
        &self,
        search: &EventSearch,
        limit: usize,
        after: Option<&Cursor>,
    ) -> StoreResult<EventsFound> {
        self.inner.search_events(search, limit, after).await
    }

    async fn delivery(&self, id: DeliveryId) -> StoreResult<Option<Delivery>> {
        self.inner.delivery(id).await
    }

    async fn delivery_with_attempts(
        &self,
        id: DeliveryId,
    ) -> StoreResult<Option<(Delivery, Vec<Attempt>)>> {
        self.inner.delivery_with_attempts(id).await
    }

    async fn deliveries(
        &self,
        query: &DeliveryQuery,
        limit: usize,
        after: Option<&Cursor>,
    ) -> StoreResult<Page<Delivery>> {
        self.inner.deliveries(query, limit, after).await
    }

    async fn count_deliveries(&self, query: &DeliveryQuery, max: u32) -> StoreResult<u64> {
        self.inner.count_deliveries(query, max).await
    }

    async fn oldest_pending(&self, account: Option<&Account>) -> StoreResult<Option<Timestamp>> {
        self.inner.oldest_pending(account).await
    }

    async fn ahead(&self, callback: CallbackId, limit: usize) -> StoreResult<Vec<Delivery>> {
        self.inner.ahead(callback, limit).await
    }

    async fn open_circuits(&self, of: &[CallbackId]) -> StoreResult<Vec<CallbackId>> {
        self.inner.open_circuits(of).await
    }

    async fn last_outcomes(&self, of: &[Delivery]) -> StoreResult<Vec<Option<Outcome>>> {
        self.inner.last_outcomes(of).await
    }

    fn live_attempts(&self) -> broadcast::Receiver<Arc<LiveAttempt>> {
        self.inner.live_attempts()
    }

    async fn delete_history(&self, accepted_before: Timestamp, limit: usize) -> StoreResult<usize> {
        self.inner.delete_history(accepted_before, limit).await
    }

    async fn ready(&self) -> StoreResult<()> {
        self.answers("ready")?;
        self.inner.ready().await
    }
}
