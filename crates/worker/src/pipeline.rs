//! The way of a bundle of dispatches, from the queue to its ack: resolve, skip, admit, attempt, decide, settle, ack.
//!
//! **Invariants.**
//! - Ack comes after record, and record after the outcome is known: whatever happens in between, the message comes
//!   again and the history tells how far it got.
//! - A retry is on the queue before its attempt is recorded. The other way round, a crash in between would leave an
//!   attempt that is recorded, and so not made again, and no retry.
//! - So every step may run twice. What is recorded already is skipped ([`skip`](Pipeline::skip)); what is not recorded
//!   was not known to be done.
//!
//! Healthy, a dispatch costs no query: the history is asked only where an equal dispatch may have been at work before
//! (a redelivered message, a retry, an event that its producer sent again).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ringback_broker::{Broker, Delayed, Message, Receipt};
use ringback_core::callback::CallbackState;
use ringback_core::delivery::{Attempt, CancelReason, Delivery, DeliveryState, WaitReason};
use ringback_core::dispatch::Novelty;
use ringback_core::retry::{Verdict, decide};
use ringback_core::{Callback, Dispatch, Event, Outcome, Target, Targets, Timestamp};
use ringback_idempotency::{AttemptKey, Claim, Fence, Idempotency};
use ringback_runtime::{Clock, Shutdown};
use ringback_store::{HistoryRecord, Recorded, RecordedState, Store};

use crate::directory::{Directory, Entry, Listing};
use crate::request::Request;
use crate::sender::{Exchange, Sender};
use crate::worker::Ports;
use tokio::sync::Semaphore;

/// A fan-out over more targets is split, so that no message takes long and several workers share it.
const TARGETS_MAX: usize = 16;

/// An attempt that takes longer is shown in the history as under way.
const SHOWN_AS_UNDER_WAY_AFTER: Duration = Duration::from_secs(1);

/// A claim outlives its attempt by this: the time to record it, even on a bad day.
const LEASE_MARGIN: Duration = Duration::from_secs(60);

/// How long the dispatches of a message that made the worker panic stay away.
const TAKEN_APART_FOR: Duration = Duration::from_secs(60);

/// What every bundle goes through.
pub(crate) struct Pipeline {
    broker: Arc<dyn Broker>,
    store: Arc<dyn Store>,
    idempotency: Arc<dyn Idempotency>,
    clock: Arc<dyn Clock>,
    directory: Directory,
    sender: Sender,
    room: Arc<Semaphore>,
    /// Once requested, what can't be done now is left to the next process.
    shutdown: Shutdown,
}

/// The process stops before the work is done: the message stays unacked, and comes again.
#[derive(Debug)]
pub(crate) struct Stopped;

/// One target of one dispatch, on its way.
struct Job {
    event: Arc<Event>,
    target: Target,
    key: AttemptKey,
    fence: Option<Fence>,
    novelty: Novelty,
    /// Its dispatch's place in the worker, shared with the dispatch's other targets.
    _place: Arc<Option<Room>>,
}

/// Places for dispatches in a worker.
pub(crate) type Room = tokio::sync::OwnedSemaphorePermit;

impl Pipeline {
    pub(crate) fn new(
        ports: &Ports,
        sender: Sender,
        room: Arc<Semaphore>,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            broker: ports.broker.clone(),
            store: ports.store.clone(),
            idempotency: ports.idempotency.clone(),
            clock: ports.clock.clone(),
            directory: Directory::new(ports.store.clone()),
            sender,
            room,
            shutdown,
        }
    }

    /// Takes a message from the queue to its ack. `room` is what it takes of the worker's room: a place for each
    /// dispatch, given back as each is done, so that a slow one does not hold the places of its whole bundle.
    ///
    /// # Errors
    /// [`Stopped`]: it is not acked.
    pub(crate) async fn deliver(&self, message: Message, room: Room) -> Result<(), Stopped> {
        let listing = self.insist("read callbacks", || self.directory.now()).await?;
        let events = new_events(&message);
        let jobs = self.resolve(&message, room, &listing).await?;
        let (jobs, claimed) = self.skip(jobs).await?;

        // The events themselves are recorded while their deliveries are under way.
        let recorded = self.record(events);
        let delivered = join_all(jobs.into_iter().map(|job| self.deliver_one(job, &listing)));
        let (recorded, delivered) = futures_util::join!(recorded, delivered);
        recorded?;
        for one in delivered {
            one?;
        }

        self.broker.ack(message.receipt);
        if let Err(error) = self.idempotency.forget(&claimed).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "claims are left to expire");
        }
        Ok(())
    }

    /// Takes a message apart that made the worker panic, which is a bug: each of its dispatches comes again for itself,
    /// so that the one that brings it about takes nobody along; after a while, so that it does not keep the machine
    /// busy.
    ///
    /// # Errors
    /// [`Stopped`]: it is not acked.
    pub(crate) async fn take_apart(
        &self,
        dispatches: Vec<Dispatch>,
        receipt: Receipt,
    ) -> Result<(), Stopped> {
        let due = self.clock.now() + TAKEN_APART_FOR;
        let apart: Vec<_> = dispatches
            .into_iter()
            .map(|dispatch| Dispatch { novelty: Novelty::PerhapsRepeated, ..dispatch })
            .map(|dispatch| Delayed { due, dispatch })
            .collect();
        self.insist("publish the parts", || self.broker.publish_after(apart.clone())).await?;
        self.broker.ack(receipt);
        Ok(())
    }

    // 1. Resolve: who gets it.

    async fn resolve(
        &self,
        message: &Message,
        mut room: Room,
        listing: &Listing,
    ) -> Result<Vec<Job>, Stopped> {
        let mut jobs = Vec::with_capacity(message.dispatches.len());
        for dispatch in &message.dispatches {
            let place = Arc::new(room.split(1));
            let novelty =
                if message.redelivered { Novelty::PerhapsRepeated } else { dispatch.novelty };
            let event = &dispatch.event;
            let targets = match &dispatch.targets {
                Targets::These(targets) => targets.clone(),
                Targets::Matching => {
                    listing.matching(event).into_iter().map(Target::first).collect()
                }
            };
            if targets.len() > TARGETS_MAX {
                self.split(event, &targets, novelty).await?;
                continue;
            }
            jobs.extend(targets.into_iter().map(|target| Job {
                event: event.clone(),
                key: AttemptKey {
                    delivery: target.delivery(event),
                    attempt: target.position.attempt,
                },
                target,
                fence: None,
                novelty,
                _place: place.clone(),
            }));
        }
        Ok(jobs)
    }

    async fn split(
        &self,
        event: &Arc<Event>,
        all: &[Target],
        novelty: Novelty,
    ) -> Result<(), Stopped> {
        let parts = || {
            let part = |targets: &[Target]| Dispatch {
                event: event.clone(),
                targets: Targets::These(targets.to_vec()),
                novelty,
            };
            all.chunks(TARGETS_MAX).map(part).collect()
        };
        self.insist("publish a large fan-out", || self.broker.publish(parts())).await
    }

    // 2. Skip: what is done, or being done.

    /// The jobs that are left, and the claims that were granted for them.
    async fn skip(&self, jobs: Vec<Job>) -> Result<(Vec<Job>, Vec<(AttemptKey, Fence)>), Stopped> {
        let (jobs, claimed) = self.claim(jobs).await?;
        let doubtful: Vec<_> =
            jobs.iter().filter(|job| job.may_be_recorded()).map(|job| job.key.delivery).collect();
        if doubtful.is_empty() {
            return Ok((jobs, claimed));
        }
        let known = self.insist("read the history", || self.store.recorded(&doubtful)).await?;
        let left = jobs
            .into_iter()
            .filter(|job| {
                let recorded = known.iter().find(|recorded| recorded.id == job.key.delivery);
                !job.may_be_recorded() || recorded.is_none_or(|recorded| !job.is_done(recorded))
            })
            .collect();
        Ok((left, claimed))
    }

    async fn claim(
        &self,
        mut jobs: Vec<Job>,
    ) -> Result<(Vec<Job>, Vec<(AttemptKey, Fence)>), Stopped> {
        let keys: Vec<_> = jobs.iter().map(|job| job.key).collect();
        let lease = *ringback_core::callback::TIMEOUT_RANGE.end() + LEASE_MARGIN;
        let claims = match self.idempotency.claim(&keys, lease).await {
            Ok(claims) => claims,
            Err(error) => {
                // Without claims two workers may send the same; without sending nobody gets anything.
                tracing::warn!(error = &error as &dyn std::error::Error, "going on without claims");
                return Ok((jobs, Vec::new()));
            }
        };
        let mut held = Vec::new();
        let mut granted = Vec::with_capacity(jobs.len());
        let mut claims = claims.into_iter();
        jobs.retain_mut(|job| match claims.next() {
            Some(Claim::Granted(fence)) => {
                job.fence = Some(fence);
                granted.push((job.key, fence));
                true
            }
            Some(Claim::Held { left }) => {
                held.push(job.to_be_looked_at_again(self.clock.now() + left.min(HELD_WAIT_MAX)));
                false
            }
            Some(Claim::Settled) => false,
            None => true,
        });
        if !held.is_empty() {
            let held = || self.broker.publish_after(held.clone());
            self.insist("put off what another is sending", held).await?;
        }
        Ok((jobs, granted))
    }

    /// One job, from its callback's gate to its place in the history.
    async fn deliver_one(&self, job: Job, listing: &Listing) -> Result<(), Stopped> {
        let Some(entry) = listing.get(job.target.callback) else {
            return self.cancel(&job, CancelReason::CallbackDeleted).await;
        };
        if let CallbackState::Disabled(_) = entry.callback.state {
            return self.cancel(&job, CancelReason::CallbackDisabled).await;
        }
        let Some(place) = entry.gate.admit(self.room.available_permits()).await else {
            return self.put_off(&job, WaitReason::Concurrency).await;
        };
        let attempt = self.attempt(&job, entry).await?;
        drop(place);
        self.settle(&job, &entry.callback, attempt).await
    }

    // 3. Admit: not now is not an attempt.

    async fn put_off(&self, job: &Job, waits: WaitReason) -> Result<(), Stopped> {
        let target = job.target.deferred();
        let due = self.clock.now() + put_off_by(target.deferrals);
        // It may come back before the rest of its bundle is done, which its claim is kept for.
        if let Some(fence) = job.fence
            && let Err(error) = self.idempotency.forget(&[(job.key, fence)]).await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "a claim is left to expire");
        }
        self.publish_after(job, target, due).await?;
        let state = DeliveryState::Pending { next_attempt_at: due, waits: Some(waits) };
        self.record(vec![self.delivery(job, state, job.attempts_before(), None)]).await
    }

    async fn cancel(&self, job: &Job, reason: CancelReason) -> Result<(), Stopped> {
        let state = DeliveryState::Cancelled(reason);
        self.record(vec![self.delivery(job, state, job.attempts_before(), None)]).await
    }

    // 4. Attempt: one request.

    async fn attempt(&self, job: &Job, entry: &Entry) -> Result<Attempt, Stopped> {
        let started_at = self.clock.now();
        let began = tokio::time::Instant::now();
        let number = job.target.position.attempt;
        let request = match Request::new(&entry.callback, &job.event, number, started_at) {
            Ok(request) => request,
            Err(error) => return Ok(unsent(job, &entry.callback, started_at, &error)),
        };
        let Exchange { outcome, response } = {
            let exchange = self.sender.send(&request, entry.callback.timeout, || self.clock.now());
            tokio::pin!(exchange);
            match tokio::time::timeout(SHOWN_AS_UNDER_WAY_AFTER, &mut exchange).await {
                Ok(exchange) => exchange,
                Err(_) => {
                    let (exchange, shown) =
                        futures_util::join!(exchange, self.show_under_way(job, started_at));
                    shown?;
                    exchange
                }
            }
        };
        let duration = began.elapsed();
        let request = request.into_sent();
        Ok(Attempt {
            delivery: job.key.delivery,
            number,
            started_at,
            duration,
            request,
            outcome,
            response,
        })
    }

    async fn show_under_way(&self, job: &Job, since: Timestamp) -> Result<(), Stopped> {
        let state = DeliveryState::Pending { next_attempt_at: since, waits: None };
        self.record(vec![self.delivery(job, state, job.attempts_before(), None)]).await
    }

    // 5. Decide, 6. settle: what follows, made durable before the ack.

    async fn settle(
        &self,
        job: &Job,
        callback: &Callback,
        attempt: Attempt,
    ) -> Result<(), Stopped> {
        let now = self.clock.now();
        let verdict = decide(&callback.retry, job.target.position, &attempt.outcome, now, jitter);
        let state = match verdict {
            Verdict::Delivered => DeliveryState::Delivered,
            Verdict::Exhausted | Verdict::Gone => DeliveryState::Exhausted,
            Verdict::RetryAt(due) => {
                self.publish_after(job, job.target.next_attempt(), due).await?;
                DeliveryState::Pending { next_attempt_at: due, waits: Some(WaitReason::Retry) }
            }
        };
        if verdict == Verdict::Gone {
            let disable =
                || self.store.disable_gone_callback(callback.id, callback.updated_at, now);
            self.insist("disable a callback that is gone", disable).await?;
            self.cancel_others(callback, now).await?;
            tracing::warn!(callback = %callback.id, "disabled: its endpoint answered 410 Gone");
        }
        tracing::debug!(
            event = %job.event.id, callback = %callback.id, account = %job.event.account,
            attempt = attempt.number, outcome = attempt.outcome.kind(), status = state.status(), "attempt"
        );
        let attempts = attempt.number.get();
        self.record(vec![self.delivery(job, state, attempts, Some(attempt))]).await?;
        if let Some(fence) = job.fence
            && let Err(error) = self.idempotency.settle(&[(job.key, fence)]).await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "the history has to tell it");
        }
        Ok(())
    }

    /// The other deliveries to a callback that was disabled just now.
    async fn cancel_others(&self, callback: &Callback, now: Timestamp) -> Result<(), Stopped> {
        /// Of one transaction: a few milliseconds of the writer's time.
        const STEP: usize = 500;
        let reason = CancelReason::CallbackDisabled;
        let cancel = || self.store.cancel_pending(callback.id, reason, now, STEP);
        while self.insist("cancel what waits for a callback that is gone", cancel).await? == STEP {}
        Ok(())
    }

    async fn publish_after(
        &self,
        job: &Job,
        target: Target,
        due: Timestamp,
    ) -> Result<(), Stopped> {
        let later = || {
            let mut dispatch = Dispatch::to_target(job.event.clone(), target);
            dispatch.novelty = job.novelty;
            vec![Delayed { due, dispatch }]
        };
        self.insist("publish for later", || self.broker.publish_after(later())).await
    }

    async fn record(&self, records: Vec<HistoryRecord>) -> Result<(), Stopped> {
        if records.is_empty() {
            return Ok(());
        }
        self.insist("write history", || self.store.record(records.clone())).await
    }

    fn delivery(
        &self,
        job: &Job,
        state: DeliveryState,
        attempts: u32,
        attempt: Option<Attempt>,
    ) -> HistoryRecord {
        let delivery = Delivery {
            id: job.key.delivery,
            event: job.event.id,
            event_name: job.event.name.clone(),
            account: job.event.account.clone(),
            callback: job.target.callback,
            generation: job.target.generation,
            state,
            attempts,
            created_at: job.event.accepted_at,
            updated_at: self.clock.now(),
        };
        HistoryRecord::Delivery { delivery: Arc::new(delivery), attempt: attempt.map(Arc::new) }
    }

    /// Does what has to be done, again and again while it fails: a message is not acked before.
    async fn insist<T, E, F>(&self, what: &str, mut call: impl FnMut() -> F) -> Result<T, Stopped>
    where
        F: Future<Output = Result<T, E>>,
        E: std::error::Error + 'static,
    {
        const PAUSE_MAX: Duration = Duration::from_secs(5);
        let mut pause = Duration::from_millis(100);
        loop {
            match call().await {
                Ok(done) => return Ok(done),
                Err(error) => {
                    let error = &error as &(dyn std::error::Error + 'static);
                    tracing::warn!(error, "can't {what}, trying again in {pause:?}");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
                () = self.shutdown.requested() => return Err(Stopped),
            }
        }
    }
}

/// The longest that a job waits before it is looked at again while another holds its claim.
const HELD_WAIT_MAX: Duration = Duration::from_secs(5);

impl Job {
    /// Whether an equal dispatch may have been at work before this one.
    fn may_be_recorded(&self) -> bool {
        // What was put off may have been sent meanwhile, by hand.
        self.novelty == Novelty::PerhapsRepeated
            || self.target.position.attempt.get() > 1
            || self.target.deferrals > 0
    }

    /// Whether nothing is left to do, says the history.
    fn is_done(&self, recorded: &Recorded) -> bool {
        let position = self.target.position;
        if recorded.attempts >= position.attempt.get() {
            return true;
        }
        match recorded.state {
            RecordedState::Pending => false,
            RecordedState::Delivered => true,
            // A retry by hand begins a series of its own after the last one came to its end.
            RecordedState::Exhausted | RecordedState::Cancelled => {
                position.attempt != position.series_start || position.attempt.get() == 1
            }
        }
    }

    fn attempts_before(&self) -> u32 {
        self.target.position.attempt.get() - 1
    }

    fn to_be_looked_at_again(&self, due: Timestamp) -> Delayed {
        let mut dispatch = Dispatch::to_target(self.event.clone(), self.target);
        dispatch.novelty = Novelty::PerhapsRepeated;
        Delayed { due, dispatch }
    }
}

/// The events of a message that nobody has resolved yet, for the history.
fn new_events(message: &Message) -> Vec<HistoryRecord> {
    message
        .dispatches
        .iter()
        .filter(|dispatch| dispatch.targets == Targets::Matching)
        .map(|dispatch| HistoryRecord::Event(dispatch.event.clone()))
        .collect()
}

/// An attempt that ended before anything was sent, because the event's variables make no URL that may be used.
fn unsent(
    job: &Job,
    callback: &Callback,
    started_at: Timestamp,
    error: &ringback_core::template::InvalidExpansion,
) -> Attempt {
    Attempt {
        delivery: job.key.delivery,
        number: job.target.position.attempt,
        started_at,
        duration: Duration::ZERO,
        request: ringback_core::delivery::SentRequest {
            method: callback.method,
            url: callback.url.as_str().to_owned(),
            headers: Vec::new(),
            format: None,
        },
        outcome: Outcome::Blocked { reason: error.to_string() },
        response: None,
    }
}

/// 1, 2, 4 … 32 s: who is put off often comes back less often. A quarter more or less, so that they don't come all at
/// once.
fn put_off_by(deferrals: u32) -> Duration {
    let seconds = 1_u32 << deferrals.saturating_sub(1).min(5);
    Duration::from_secs(1).mul_f64(f64::from(seconds) * (0.75 + jitter() / 2.0))
}

/// Uniform in `[0, 1)`.
fn jitter() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / (f64::from(u32::MAX) + 1.0)
}
