//! One target of one dispatch, on its way: what its claim and the history say of it, and what is told of it.

use std::sync::Arc;
use std::time::Duration;

use ringback_broker::Delayed;
use ringback_core::delivery::{Attempt, CancelReason, Delivery, DeliveryState, SentRequest};
use ringback_core::dispatch::Novelty;
use ringback_core::template::InvalidExpansion;
use ringback_core::{Callback, Dispatch, Event, Outcome, Target, Timestamp};
use ringback_idempotency::{AttemptKey, Fence};
use ringback_metrics::{CallbackMetrics, HeldAttempt};
use ringback_store::{DeliveryKey, HistoryRecord, Recorded, RecordedState};

use crate::bundle::{Granted, Hold};

/// One target of one dispatch, on its way.
pub(crate) struct Job {
    pub(crate) event: Arc<Event>,
    pub(crate) target: Target,
    pub(crate) key: AttemptKey,
    pub(crate) novelty: Novelty,
    /// Its claim, and when it was granted; none: nothing keeps an equal one from being sent.
    pub(crate) claim: Option<(Fence, Timestamp)>,
    /// Keeps its message from being acked; none: its message needs it no more.
    pub(crate) hold: Option<Hold>,
    /// Its attempt takes long, so the history shows it as under way.
    pub(crate) is_slow: bool,
    /// Its dispatch's place in the worker, shared with the dispatch's other targets.
    pub(crate) _place: Arc<Option<Room>>,
    pub(crate) metrics: Arc<CallbackMetrics>,
    /// Counts it as in hand, if it is a first attempt.
    pub(crate) _held: Option<HeldAttempt>,
}

/// When the first attempts of an event are due.
pub(crate) fn due(event: &Event) -> Timestamp {
    event.deliver_at.unwrap_or(event.accepted_at)
}

/// Places for dispatches in a worker.
pub(crate) type Room = tokio::sync::OwnedSemaphorePermit;

/// How much longer than its timeout an attempt's claim is held: half of it is for what comes before the request, half to
/// record what came of it.
pub(crate) const LEASE_MARGIN: Duration = Duration::from_secs(15);

/// An attempt is not begun under an older claim: it might not be recorded when the claim runs out.
const CLAIM_AGE_MAX: Duration = Duration::from_secs(7);

/// How often a retry waits for the attempt before it to be recorded, a second each time. That attempt may itself be put off
/// again and again, or wait for a server that is away: in minutes it is made.
const WAITS_FOR_THE_ONE_BEFORE_MAX: u32 = 300;

impl Job {
    /// Whether an equal dispatch may have been at work before this one.
    pub(crate) fn may_be_recorded(&self) -> bool {
        // What was put off may have been sent meanwhile, by hand.
        self.novelty == Novelty::PerhapsRepeated
            || self.target.position.attempt.get() > 1
            || self.target.deferrals > 0
    }

    /// Whether nothing is left to do, says the history.
    pub(crate) fn is_done(&self, recorded: &Recorded) -> bool {
        if recorded.attempts >= self.target.position.attempt.get() {
            return true;
        }
        match recorded.state {
            RecordedState::Pending => false,
            RecordedState::Delivered => true,
            // What was on its way when somebody asked for an end, be it by hand, is no reason to go on. A retry by hand
            // that was asked for since leaves out numbers, see `Delivery::position_by_hand`.
            RecordedState::Cancelled(CancelReason::Requested) => {
                let on_its_way = recorded.attempts + 1;
                self.target.position.series_start.get() <= on_its_way
            }
            // A retry by hand begins a series of its own after the last one came to its end.
            RecordedState::Exhausted | RecordedState::Cancelled(_) => !self.target.is_by_hand(),
        }
    }

    /// Whether the attempt before it is not recorded yet. A process that died between publishing a retry and recording its
    /// attempt leaves both to be made: side by side, each could be delivered.
    pub(crate) fn is_too_early(&self, recorded: Option<&Recorded>) -> bool {
        let attempts = recorded.map_or(0, |recorded| recorded.attempts);
        attempts + 1 < self.target.position.attempt.get()
            && !self.target.is_by_hand()
            // A history that lost what it knew must not hold up a retry for ever.
            && self.target.deferrals < WAITS_FOR_THE_ONE_BEFORE_MAX
    }

    /// When its event wants to be delivered, if that is later than now. A replay and an attempt that somebody asked for
    /// do not wait for it, and a retry comes after it.
    pub(crate) fn scheduled_for(&self, now: Timestamp) -> Option<Timestamp> {
        let is_first = self.target.generation == 0 && self.target.position.attempt.get() == 1;
        self.event.deliver_at.filter(|due| is_first && *due > now)
    }

    /// Whether the history shows its delivery as pending: it was tried before; put off, it was recorded as waiting, and one
    /// that takes long as under way.
    pub(crate) fn is_shown(&self) -> bool {
        self.target.position.attempt.get() > 1 || self.target.deferrals > 0 || self.is_slow
    }

    /// When its first attempt was due.
    pub(crate) fn due(&self) -> Timestamp {
        due(&self.event)
    }

    /// Whether it is neither a replay nor a test, and nobody asked for another attempt of it.
    pub(crate) fn is_of_the_first_series(&self) -> bool {
        self.target.generation == 0 && self.target.position.series_start.get() == 1
    }

    /// The same later, counted as put off.
    pub(crate) fn later(&self, due: Timestamp) -> Delayed {
        self.in_doubt(self.target.deferred(), due)
    }

    /// Whether its claim was granted so long ago that it may run out during the attempt.
    pub(crate) fn claim_is_old(&self, now: Timestamp) -> bool {
        self.claim.is_some_and(|(_, granted_at)| now.since(granted_at) > CLAIM_AGE_MAX)
    }

    /// Its claim, for whoever settles or forgets it.
    pub(crate) fn take_claim(&mut self) -> Option<Granted> {
        self.claim.take().map(|(fence, _)| (self.key, fence))
    }

    pub(crate) fn delivery_key(&self) -> DeliveryKey {
        DeliveryKey { id: self.key.delivery, created_at: self.event.accepted_at }
    }

    /// The same once more, to be looked up in the history first.
    pub(crate) fn again(&self, due: Timestamp) -> Delayed {
        self.in_doubt(self.target, due)
    }

    /// Its event to this target, to be looked up in the history first.
    fn in_doubt(&self, target: Target, due: Timestamp) -> Delayed {
        Delayed { due, dispatch: Dispatch::to_target(self.event.clone(), target).in_doubt() }
    }

    /// What the history is told while no attempt was made: where its delivery stands.
    pub(crate) fn stands(&self, state: DeliveryState, now: Timestamp) -> HistoryRecord {
        let attempts_before = self.target.position.attempt.get() - 1;
        self.record(state, attempts_before, None, now)
    }

    /// What the history is told of an attempt, and where its delivery stands after it.
    pub(crate) fn attempted(
        &self,
        state: DeliveryState,
        attempt: Attempt,
        now: Timestamp,
    ) -> HistoryRecord {
        self.record(state, attempt.number.get(), Some(attempt), now)
    }

    fn record(
        &self,
        state: DeliveryState,
        attempts: u32,
        attempt: Option<Attempt>,
        now: Timestamp,
    ) -> HistoryRecord {
        let delivery = Delivery {
            id: self.key.delivery,
            event: self.event.id,
            event_name: self.event.name.clone(),
            account: self.event.account.clone(),
            callback: self.target.callback,
            generation: self.target.generation,
            state,
            attempts,
            series_start: self.target.position.series_start,
            created_at: self.event.accepted_at,
            updated_at: now,
        };
        let first = self.novelty == Novelty::New && attempts == 1 && !self.is_shown();
        let attempt = attempt.map(Arc::new);
        HistoryRecord::Delivery { delivery: Arc::new(delivery), attempt, first }
    }

    /// Says what came of an attempt: for whoever looks, and where it was the last one, for somebody to look. Neither URL nor
    /// body nor headers: each may hold what nobody else may read.
    pub(crate) fn log(&self, attempt: &Attempt, state: &DeliveryState) {
        let (outcome, error) = (attempt.outcome.kind(), attempt.outcome.error());
        let http_status = attempt.response.as_ref().map(|response| response.status);
        tracing::debug!(
            event = %self.event.id, callback = %self.target.callback, account = %self.event.account,
            delivery = %self.key.delivery, attempt = attempt.number.get(), outcome, http_status, error,
            duration_ms = u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX), status = state.status(), "attempt"
        );
        // Whoever tries a callback out sees what came of it.
        if *state == DeliveryState::Exhausted && !self.target.is_trial() {
            tracing::warn!(
                event = %self.event.id, callback = %self.target.callback, account = %self.event.account,
                delivery = %self.key.delivery, attempt = attempt.number.get(), outcome, http_status, error,
                "delivery exhausted: it is not tried again unless somebody asks for it"
            );
        }
    }

    /// An attempt that ended before anything was sent, because the event's variables make no URL that may be used.
    pub(crate) fn unsent(
        &self,
        callback: &Callback,
        started_at: Timestamp,
        error: &InvalidExpansion,
    ) -> Attempt {
        Attempt {
            delivery: self.key.delivery,
            number: self.target.position.attempt,
            started_at,
            duration: Duration::ZERO,
            request: SentRequest {
                method: callback.method,
                url: callback.url.as_str().to_owned(),
                headers: Vec::new(),
                format: None,
            },
            outcome: Outcome::Blocked { reason: error.to_string() },
            response: None,
        }
    }
}
