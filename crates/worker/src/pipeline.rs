//! The way of a bundle of dispatches, from the queue to its ack: resolve, skip, admit, attempt, decide, settle, ack.
//!
//! **Invariants.**
//! - Ack comes after all of a message is recorded, or on the queue again: as a retry, as what was put off, as a copy of
//!   an attempt that takes long. Record comes after the outcome is known. Whatever happens in between, the message or
//!   the copy comes again and the history tells how far it got.
//! - A retry is on the queue before its attempt is recorded. The other way round, a crash in between would leave an
//!   attempt that is recorded, and so not made again, and no retry.
//! - So every step may run twice. What is recorded already is skipped ([`skip`](Pipeline::skip)); what is not recorded
//!   was not known to be done.
//! - A claim keeps an equal dispatch from being sent while an attempt is under way and not yet recorded, and is given
//!   up after that, never before. A mark takes its place only where a copy is known to come.
//!
//! Healthy, a dispatch costs no query, and its bundle one round trip to claim and one to forget: the history is asked
//! only where an equal dispatch may have been at work before (a redelivered message, a retry, an event that its producer
//! sent again).

mod admit;
mod claim;
mod hand_over;
mod panicked;
mod span;
mod tell;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use ringback_broker::{Broker, Delayed, Message};
use ringback_core::delivery::{Attempt, CancelReason, DeliveryState, WaitReason};
use ringback_core::dispatch::{Novelty, TARGETS_MAX};
use ringback_core::retry::{RetryPolicy, Verdict, decide};
use ringback_core::{Callback, Dispatch, Event, Target, Targets, Timestamp};
use ringback_idempotency::{AttemptKey, Idempotency};
use ringback_metrics::{CallbackMetrics, HeldAttempt, Metrics};
use ringback_runtime::{Clock, Shutdown, Tracer};
use ringback_store::HistoryRecord;
use tokio::sync::Semaphore;

use self::admit::{Admission, Leave};
use self::hand_over::SLOW_AFTER;
use self::tell::Teller;
use crate::bundle::{Bundle, Granted, Hold, new_events};
use crate::directory::{Directory, Entry, Listing};
use crate::fan_out::FanOut;
use crate::history::History;
use crate::insist::{Outage, Stopped, insist};
use crate::job::{Job, Room, due};
use crate::rate::Rates;
use crate::request::Request;
use crate::sender::{Exchange, Sender};
use crate::waits::jitter;
use crate::worker::Ports;

/// How long a retry waits while the attempt before it is not recorded yet.
const WAITS_FOR_THE_ONE_BEFORE: Duration = Duration::from_secs(1);

/// What every bundle goes through.
pub(crate) struct Pipeline {
    broker: Arc<dyn Broker>,
    history: History,
    idempotency: Arc<dyn Idempotency>,
    clock: Arc<dyn Clock>,
    directory: Arc<Directory>,
    rates: Rates,
    sender: Sender,
    room: Arc<Semaphore>,
    fan_out: FanOut,
    queue_outage: Outage,
    claims_outage: Outage,
    /// Once requested, what can't be done now is left to the next process.
    give_up: Shutdown,
    teller: Teller,
    tracer: Tracer,
    metrics: Metrics,
    /// Of callbacks that are deleted.
    metrics_of_unknown: Arc<CallbackMetrics>,
}

impl Pipeline {
    pub(crate) fn new(
        ports: &Ports,
        directory: Arc<Directory>,
        sender: Sender,
        room: Arc<Semaphore>,
        give_up: Shutdown,
    ) -> Self {
        Self {
            broker: ports.broker.clone(),
            history: History::new(ports.store.clone(), give_up.clone()),
            idempotency: ports.idempotency.clone(),
            clock: ports.clock.clone(),
            directory,
            rates: Rates::new(ports.idempotency.clone(), ports.clock.clone()),
            sender,
            room,
            fan_out: FanOut::default(),
            queue_outage: Outage::default(),
            claims_outage: Outage::default(),
            give_up,
            teller: Teller::default(),
            tracer: Tracer::default(),
            metrics: ports.metrics.clone(),
            metrics_of_unknown: Arc::new(ports.metrics.unknown_callback()),
        }
    }

    pub(crate) fn trace_by(&mut self, tracer: Tracer) {
        self.tracer = tracer;
    }

    /// Returns once callbacks can be read and history can be written, as far as is known: no message is taken before.
    ///
    /// # Errors
    /// [`Stopped`]: none is taken any more.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn ready(&self) -> Result<(), Stopped> {
        self.callbacks().await?;
        self.history.is_there().await
    }

    /// Takes a message from the queue to its ack, and those of its jobs to their end that are not done by then. `room`
    /// is what it takes of the worker's room: a place for each dispatch, given back as each is done, so that a slow one
    /// does not hold the places of its whole bundle.
    ///
    /// # Errors
    /// [`Stopped`]: some of it is not done, and comes again.
    pub(crate) async fn deliver(&self, message: Message, room: Room) -> Result<(), Stopped> {
        self.history.is_there().await?;
        let listing = self.callbacks().await?;
        let bundle = Bundle::of(&message);
        let own = bundle.hold();
        let jobs = self.resolve(&message, room, &listing).await?;
        let jobs = self.skip(jobs, &listing, &bundle).await?;

        // The events themselves are recorded while their deliveries are under way.
        let recorded = async {
            self.history.record(new_events(&message)).await?;
            self.let_go(own).await;
            Ok(())
        };
        let delivered = join_all(jobs.into_iter().map(|job| self.deliver_one(job, &listing)));
        let (recorded, delivered) = futures_util::join!(recorded, delivered);
        delivered.into_iter().fold(recorded, Result::and)
    }

    /// About how many deliveries a message will be.
    pub(crate) fn expected_deliveries(&self, message: &Message) -> u32 {
        let of = |dispatch: &Dispatch| match &dispatch.targets {
            Targets::These(targets) => u32::try_from(targets.len()).unwrap_or(u32::MAX),
            Targets::Matching => self.fan_out.expected(),
        };
        message.dispatches.iter().map(of).fold(0, u32::saturating_add)
    }

    async fn callbacks(&self) -> Result<Arc<Listing>, Stopped> {
        self.history.insist("read callbacks", |_| self.directory.now()).await
    }

    // 1. Resolve: who gets it.

    async fn resolve(
        &self,
        message: &Message,
        mut room: Room,
        listing: &Listing,
    ) -> Result<Vec<Job>, Stopped> {
        let mut jobs = Vec::with_capacity(message.dispatches.len());
        let share = (room.num_permits() / message.dispatches.len().max(1)).max(1);
        for dispatch in &message.dispatches {
            let place = Arc::new(room.split(share));
            let novelty =
                if message.redelivered { Novelty::PerhapsRepeated } else { dispatch.novelty };
            let event = &dispatch.event;
            let targets = match &dispatch.targets {
                Targets::These(targets) => targets.clone(),
                Targets::Matching => {
                    let matching = listing.matching(event);
                    self.fan_out.note(matching.len());
                    matching.into_iter().map(Target::first).collect()
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
                novelty,
                claim: None,
                hold: None,
                is_slow: false,
                _place: place.clone(),
                metrics: match listing.get(target.callback) {
                    Some(entry) => entry.metrics.clone(),
                    None => self.metrics_of_unknown.clone(),
                },
                _held: self.hold(event, &target),
            }));
        }
        Ok(jobs)
    }

    /// Counts a first attempt as in hand. Of any other it is not known here when it was due.
    fn hold(&self, event: &Event, target: &Target) -> Option<HeldAttempt> {
        let is_first = target.generation == 0 && target.position.attempt.get() == 1;
        let due = due(event);
        is_first.then(|| self.metrics.hold(due, self.clock.now())).flatten()
    }

    async fn split(
        &self,
        event: &Arc<Event>,
        all: &[Target],
        mut novelty: Novelty,
    ) -> Result<(), Stopped> {
        let mut parts = || {
            // A publish that failed may have come through all the same.
            let novelty = std::mem::replace(&mut novelty, Novelty::PerhapsRepeated);
            let part = |dispatch| Dispatch { novelty, ..dispatch };
            Dispatch::to_targets(event, all).map(part).collect()
        };
        let publish = || self.broker.publish(parts());
        insist(&self.give_up, &self.queue_outage, "publish a large fan-out", publish).await
    }

    // 2. Skip: what is done, or being done.

    /// The jobs that are left, each with a hold on the bundle.
    async fn skip(
        &self,
        jobs: Vec<Job>,
        listing: &Listing,
        bundle: &Arc<Bundle>,
    ) -> Result<Vec<Job>, Stopped> {
        // Claimed first and looked up then: whoever held the claim before had recorded the attempt when it gave it up.
        let mut jobs = self.claim(jobs, listing).await?;
        let doubtful: Vec<_> =
            jobs.iter().filter(|job| job.may_be_recorded()).map(Job::delivery_key).collect();
        if !doubtful.is_empty() {
            let known = self.history.recorded(doubtful).await?;
            let mut early = Vec::new();
            jobs.retain_mut(|job| {
                let recorded = known.iter().find(|recorded| recorded.id == job.key.delivery);
                let done = job.may_be_recorded() && recorded.is_some_and(|it| job.is_done(it));
                if !done && job.is_too_early(recorded) {
                    early.push(job.later(self.clock.now() + WAITS_FOR_THE_ONE_BEFORE));
                } else if !done {
                    return true;
                }
                bundle.leave(job.take_claim());
                false
            });
            if !early.is_empty() {
                self.publish_after(early).await?;
            }
        }
        for job in &mut jobs {
            job.hold = Some(bundle.hold());
        }
        Ok(jobs)
    }

    /// One job, to its place in the history. One that makes the worker panic takes nobody along: it comes again later.
    async fn deliver_one(&self, mut job: Job, listing: &Listing) -> Result<(), Stopped> {
        let delivered = AssertUnwindSafe(self.take_through(&mut job, listing)).catch_unwind().await;
        if let Ok(delivered) = delivered {
            delivered?;
        } else {
            self.come_again_after_a_panic(&job).await?;
        }
        if let Some(hold) = job.hold.take() {
            hold.leave(job.take_claim());
            self.let_go(hold).await;
        }
        Ok(())
    }

    async fn take_through(&self, job: &mut Job, listing: &Listing) -> Result<(), Stopped> {
        self.history.is_there().await?;
        match self.admit(job, listing).await {
            // In memory of its own: what waits for its turn takes a third of the memory then, and a worker holds many that wait
            // for each that is under way.
            Admission::Go(leave) => Box::pin(self.go(job, leave, listing)).await,
            Admission::PutOff(waits, wait) => self.put_off(job, waits, wait).await,
            Admission::Schedule(due) => self.put_off_until(job, WaitReason::Scheduled, due).await,
            Admission::Park => self.park(job).await,
            Admission::ClaimAgain => {
                self.give_up_claim(job).await;
                self.publish_after(vec![job.again(self.clock.now())]).await
            }
            Admission::Cancel(reason) => {
                self.tell_gone_again(job, listing).await?;
                self.cancel(job, reason).await
            }
        }
    }

    async fn go(
        &self,
        job: &mut Job,
        Leave { entry, pass, place }: Leave<'_>,
        listing: &Listing,
    ) -> Result<(), Stopped> {
        let attempt = self.attempt(job, entry).await?;
        drop(place);
        let now = self.clock.now();
        let turn = pass.report(&entry.callback, &job.event, &attempt.outcome, now);
        self.settle(job, &entry.callback, attempt, listing).await?;
        // After the attempt is recorded: it must not be made again for want of a queue to tell this on.
        match turn {
            Some(turn) => self.tell_turn(&entry.callback, turn, listing).await,
            None => Ok(()),
        }
    }

    // 3. Admit: not now is not an attempt.

    async fn put_off(
        &self,
        job: &mut Job,
        waits: WaitReason,
        wait: Duration,
    ) -> Result<(), Stopped> {
        // A due time is in whole milliseconds, and never too early.
        let due = self.clock.now() + (wait + Duration::from_nanos(999_999));
        self.put_off_until(job, waits, due).await
    }

    async fn put_off_until(
        &self,
        job: &mut Job,
        waits: WaitReason,
        due: Timestamp,
    ) -> Result<(), Stopped> {
        let now = self.clock.now();
        self.give_up_claim(job).await;
        self.publish_later(job, job.target.deferred(), due).await?;
        let state = DeliveryState::Pending { next_attempt_at: due, waits: Some(waits) };
        self.record(job, job.stands(state, now)).await
    }

    /// Leaves it to the history alone: resuming the callback makes a dispatch of it again.
    async fn park(&self, job: &Job) -> Result<(), Stopped> {
        let now = self.clock.now();
        let waits = Some(WaitReason::Paused);
        let state = DeliveryState::Pending { next_attempt_at: now, waits };
        self.record(job, job.stands(state, now)).await
    }

    async fn cancel(&self, job: &Job, reason: CancelReason) -> Result<(), Stopped> {
        let state = DeliveryState::Cancelled(reason);
        self.record(job, job.stands(state, self.clock.now())).await
    }

    // 4. Attempt: one request.

    async fn attempt(&self, job: &mut Job, entry: &Entry) -> Result<Attempt, Stopped> {
        let started_at = self.clock.now();
        let began = tokio::time::Instant::now();
        let number = job.target.position.attempt;
        let mut span = span::begin(&self.tracer, job);
        let made = Request::new(&entry.callback, &job.event, number, started_at, span.context());
        let request = match made {
            Ok(request) => request,
            Err(error) => {
                let unsent = job.unsent(&entry.callback, started_at, &error);
                span::end(span, &unsent.outcome);
                return Ok(unsent);
            }
        };
        span::sends(&mut span, &request);
        let timeout = entry.callback.timeout;
        let _in_flight = job.metrics.attempt_begins();
        let Exchange { outcome, response } = {
            let exchange = self.sender.send(&request, timeout, || self.clock.now());
            tokio::pin!(exchange);
            match tokio::time::timeout(SLOW_AFTER, &mut exchange).await {
                Ok(exchange) => exchange,
                Err(_) => self.hand_over(job, started_at, timeout, exchange).await?,
            }
        };
        span::end(span, &outcome);
        Ok(Attempt {
            delivery: job.key.delivery,
            number,
            started_at,
            duration: began.elapsed(),
            request: request.into_sent(),
            outcome,
            response,
        })
    }

    // 5. Decide, 6. settle: what follows, made durable before the ack.

    async fn settle(
        &self,
        job: &mut Job,
        callback: &Callback,
        attempt: Attempt,
        listing: &Listing,
    ) -> Result<(), Stopped> {
        let now = self.clock.now();
        let once = RetryPolicy { enabled: false, ..RetryPolicy::default() };
        // Whoever tries a callback out looks at what came of it, and tries again by hand.
        let policy = if job.target.is_trial() { &once } else { &callback.retry };
        let verdict = decide(policy, job.target.position, &attempt.outcome, now, jitter);
        let state = match verdict {
            Verdict::Delivered => DeliveryState::Delivered,
            Verdict::Exhausted | Verdict::Gone => DeliveryState::Exhausted,
            Verdict::RetryAt(due) => {
                self.publish_later(job, job.target.next_attempt(), due).await?;
                DeliveryState::Pending { next_attempt_at: due, waits: Some(WaitReason::Retry) }
            }
        };
        if verdict == Verdict::Gone {
            let cancelled = self.history.disable_gone(callback, now).await?;
            // This one among them, if the history has it: it is recorded as exhausted in a moment.
            job.metrics.cancelled(cancelled.saturating_sub(job.is_shown().into()));
        }
        if state == DeliveryState::Exhausted {
            self.tell_exhausted(job, &attempt, listing).await?;
        }
        job.log(&attempt, &state);
        self.record(job, job.attempted(state, attempt, self.clock.now())).await?;
        // What was handed over comes again, and is told so. All others are forgotten with their bundle.
        if job.hold.is_none()
            && let Some(claim) = job.take_claim()
            && let Err(error) = self.idempotency.settle(&[claim]).await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "the history has to tell it");
        }
        Ok(())
    }

    // 7. Ack.

    /// Lets a message go, and acks it if nothing else holds it.
    async fn let_go(&self, hold: Hold) {
        let Some(done) = hold.let_go() else {
            return;
        };
        self.broker.ack(done.receipt);
        self.forget(&done.claims).await;
    }

    /// It may come back before the rest of its bundle is done, which its claim would be kept for.
    async fn give_up_claim(&self, job: &mut Job) {
        let claim = job.take_claim();
        self.forget(claim.as_slice()).await;
    }

    async fn forget(&self, claims: &[Granted]) {
        if !claims.is_empty()
            && let Err(error) = self.idempotency.forget(claims).await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "claims are left to expire");
        }
    }

    /// What is recorded is counted, and nothing else: so the numbers agree with the history.
    async fn record(&self, job: &Job, record: HistoryRecord) -> Result<(), Stopped> {
        self.history.record(vec![record.clone()]).await?;
        if let HistoryRecord::Delivery { delivery, attempt, .. } = record {
            if let Some(attempt) = attempt {
                job.metrics.attempted(&attempt);
            }
            job.metrics.stands(delivery.state);
            if delivery.state == DeliveryState::Delivered && job.is_of_the_first_series() {
                job.metrics.delivered_after(delivery.updated_at.since(job.due()));
            }
        }
        Ok(())
    }

    async fn publish_later(
        &self,
        job: &Job,
        target: Target,
        due: Timestamp,
    ) -> Result<(), Stopped> {
        let mut dispatch = Dispatch::to_target(job.event.clone(), target);
        dispatch.novelty = job.novelty;
        self.publish_after(vec![Delayed { due, dispatch }]).await
    }

    async fn publish_after(&self, delayed: Vec<Delayed>) -> Result<(), Stopped> {
        let publish = || self.broker.publish_after(delayed.clone());
        insist(&self.give_up, &self.queue_outage, "publish for later", publish).await
    }
}
