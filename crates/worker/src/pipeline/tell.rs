//! What the worker tells of itself: operational events, on the queue before that is recorded which they tell of.
//!
//! **Invariants.**
//! - As with a retry, the event is on the queue before the attempt is recorded: a crash in between makes the attempt
//!   again, and tells it again. Its id is the same then, and the history tells the two apart.
//! - What happens to an operational event's delivery is not told. So nothing that is told leads to more of it.
//! - Where nobody wants to hear it, nothing is published.

use std::sync::{Arc, Mutex};

use ringback_core::callback::{CallbackState, DisabledReason};
use ringback_core::delivery::Attempt;
use ringback_core::dispatch::Novelty;
use ringback_core::operational::{self, Happening};
use ringback_core::{Callback, Dispatch, EventId, Outcome};
use uuid::Uuid;

use super::Pipeline;
use crate::circuit::Turn;
use crate::directory::Listing;
use crate::insist::{Stopped, insist};
use crate::job::Job;

/// Who tells, and what was told last.
pub(super) struct Teller {
    /// Each worker has circuits of its own.
    worker: Uuid,
    /// The last callback that was gone: each of its attempts under way finds out, and one is enough to say so.
    gone: Mutex<Option<EventId>>,
}

impl Default for Teller {
    fn default() -> Self {
        Self { worker: Uuid::new_v4(), gone: Mutex::default() }
    }
}

impl Pipeline {
    /// Tells that a circuit opened or closed.
    ///
    /// # Errors
    /// [`Stopped`]: it is not told. The circuit is forgotten with its worker.
    pub(super) async fn tell_turn(
        &self,
        callback: &Callback,
        turn: Turn,
        listing: &Listing,
    ) -> Result<(), Stopped> {
        let worker = self.teller.worker;
        let happening = match turn {
            Turn::Opened { at, failures } => {
                Happening::CircuitOpened { callback, worker, at, failures }
            }
            Turn::Closed { at, since: open_since } => {
                Happening::CircuitClosed { callback, worker, at, open_since }
            }
        };
        self.tell(happening, listing).await
    }

    /// Tells that a delivery is given up on, and its callback disabled if that is why.
    ///
    /// # Errors
    /// [`Stopped`]: it is not told.
    pub(super) async fn tell_exhausted(
        &self,
        job: &Job,
        attempt: &Attempt,
        listing: &Listing,
    ) -> Result<(), Stopped> {
        // A test's own event has such a name as well, and its endpoint may be gone as any other's.
        if operational::is_reserved(&job.event.name) && !job.target.is_trial() {
            return Ok(());
        }
        let exhausted = Happening::DeliveryExhausted {
            delivery: job.key.delivery,
            event: &job.event,
            callback: job.target.callback,
            attempts: attempt.number,
            series_start: job.target.position.series_start,
            outcome: &attempt.outcome,
        };
        // Whoever tries a callback out hears of it as the answer.
        if !job.target.is_trial() {
            self.tell(exhausted, listing).await?;
        }
        if matches!(attempt.outcome, Outcome::HttpError { status: 410, .. }) {
            // As it is now: an owner who changed it meanwhile keeps it enabled.
            let listing = self.callbacks().await?;
            self.tell_gone(job, &listing).await?;
        }
        Ok(())
    }

    /// A process may have died after it disabled a callback, and before it told so. Then the delivery that found out
    /// comes again.
    ///
    /// # Errors
    /// [`Stopped`]: it is not told.
    pub(super) async fn tell_gone_again(
        &self,
        job: &Job,
        listing: &Listing,
    ) -> Result<(), Stopped> {
        if job.novelty == Novelty::PerhapsRepeated && !operational::is_reserved(&job.event.name) {
            self.tell_gone(job, listing).await?;
        }
        Ok(())
    }

    async fn tell_gone(&self, job: &Job, listing: &Listing) -> Result<(), Stopped> {
        let reason = DisabledReason::Gone;
        let Some(entry) = listing.get(job.target.callback) else { return Ok(()) };
        let callback = &entry.callback;
        if callback.state != CallbackState::Disabled(reason) {
            return Ok(());
        }
        let disabled = Happening::CallbackDisabled { callback, reason, at: callback.updated_at };
        let id = Some(disabled.id());
        if *self.teller.gone.lock().expect("nobody panics holding it") == id {
            return Ok(());
        }
        self.tell(disabled, listing).await?;
        *self.teller.gone.lock().expect("nobody panics holding it") = id;
        Ok(())
    }

    async fn tell(&self, happening: Happening<'_>, listing: &Listing) -> Result<(), Stopped> {
        let (account, name) = (happening.account(), happening.name());
        if listing.wanting(&account, &name).next().is_none() {
            return Ok(());
        }
        let event = Arc::new(happening.event(self.clock.now()));
        let publish = || self.broker.publish(vec![Dispatch::of_event(event.clone()).in_doubt()]);
        insist(&self.give_up, &self.queue_outage, "publish an operational event", publish).await
    }
}
