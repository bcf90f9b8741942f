//! What is kept for callbacks that are paused: let go once they are resumed, cancelled once they are disabled or deleted.
//!
//! **Order.** A dispatch is on the queue before its delivery is said to wait no more. A crash in between makes a second
//! dispatch of it, which the worker skips; the other way round it would leave a delivery that nobody works on.
//!
//! **Who.** Every console, each for itself: they all read the state of each step anew. Where two let the same go at the
//! same time, it is the same as after a crash.

use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use ringback_broker::Delayed;
use ringback_core::callback::CallbackState;
use ringback_core::delivery::{CancelReason, Delivery};
use ringback_core::{Callback, CallbackId, Dispatch, Target, Timestamp};
use ringback_runtime::Shutdown;
use ringback_runtime::supervisor::BoxError;
use ringback_store::{CallbackChange, Parked, Revision};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::Console;
use crate::callbacks::count_cancelled;

/// Also without a change: a worker with an old list of callbacks may keep a delivery after its callback was resumed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Those that were resumed longer ago are left to the next time that all are looked at.
const LOOKED_AFTER: Duration = Duration::from_secs(60 * 60);
/// All are looked at when the process starts, and then so often.
const LOOK_AT_ALL_EVERY: Duration = Duration::from_secs(60 * 60);

/// Let go in one step: 200 events of 256 KiB each are 50 MiB.
const STEP_LEN_MAX: u32 = 200;
/// Let go in a second at the most: more would keep the others on the queue waiting.
const PER_SECOND_MAX: u32 = 5_000;
/// Steps of different callbacks at the same time.
const STEPS_AT_ONCE: usize = 4;
/// Cancelled in one transaction: a few milliseconds of the writer's time.
const CANCELLED_LEN_MAX: usize = 500;
/// After a step that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

impl Console {
    /// Lets go what was kept for callbacks that were resumed, and cancels what was kept for those that were disabled or
    /// deleted meanwhile, until asked to stop. Any number of processes may do so.
    ///
    /// # Errors
    /// None: what can't be done now is tried again.
    pub async fn let_go(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let (found, to_do) = mpsc::unbounded_channel();
        let keeper = Keeper { console: self, steps: Semaphore::new(STEPS_AT_ONCE) };
        tokio::select! {
            () = keeper.look(&found) => {}
            () = keeper.work(to_do) => {}
            () = shutdown.requested() => {}
        }
        Ok(())
    }
}

/// Looks after what is kept.
struct Keeper {
    console: Console,
    steps: Semaphore,
}

/// How far somebody has looked.
struct Seen {
    revision: Revision,
    resumed_since: Timestamp,
    all_again_at: Timestamp,
}

/// What a step left.
enum Left {
    /// Nothing that has to be done now.
    Nothing,
    /// Perhaps more: the next step, so long after this one began.
    More(Duration),
}

impl Keeper {
    /// Finds callbacks with something to be let go or cancelled.
    async fn look(&self, found: &mpsc::UnboundedSender<CallbackId>) {
        let clock = &self.console.clock;
        let mut revision = self.console.store.revision();
        let mut seen = Seen::nothing(clock.now());
        loop {
            let now = clock.now();
            if now >= seen.all_again_at {
                seen = Seen::nothing(now);
            }
            match self.find(&mut seen, found).await {
                Ok(()) => seen.resumed_since = now - LOOKED_AFTER,
                Err(error) => warn("looked for what is kept", &error),
            }
            tokio::select! {
                () = clock.sleep_until(clock.now() + LOOK_EVERY) => {}
                () = changed(&mut revision) => {}
            }
        }
    }

    async fn find(
        &self,
        seen: &mut Seen,
        found: &mpsc::UnboundedSender<CallbackId>,
    ) -> Result<(), BoxError> {
        let store = &self.console.store;
        for callback in store.resumed_with_parked(seen.resumed_since).await? {
            // Whoever works on it is gone only when this is gone as well.
            let _ = found.send(callback.id);
        }
        let (changes, reached) = store.callback_changes(seen.revision).await?;
        for change in changes {
            let id = match change {
                CallbackChange::Deleted(id) => {
                    self.console.metrics.callback_deleted(id);
                    id
                }
                CallbackChange::Put(callback) if !callback.state.is_enabled() => callback.id,
                CallbackChange::Put(_) => continue,
            };
            // Usually there is nothing: who disables or deletes a callback cancels what it has, and may die doing so.
            if !store.parked(id, 1).await?.is_empty() {
                let _ = found.send(id);
            }
        }
        seen.revision = reached;
        Ok(())
    }

    /// Works on those that were found, all side by side: one with a low rate limit takes long.
    async fn work(&self, mut to_do: mpsc::UnboundedReceiver<CallbackId>) {
        let mut works = FuturesUnordered::new();
        let mut at_work = HashSet::new();
        let mut once_more = HashSet::new();
        loop {
            tokio::select! {
                Some(id) = to_do.recv() => {
                    if at_work.insert(id) {
                        works.push(self.clear(id));
                    } else {
                        once_more.insert(id);
                    }
                }
                Some(id) = works.next(), if !works.is_empty() => {
                    if once_more.remove(&id) {
                        works.push(self.clear(id));
                    } else {
                        at_work.remove(&id);
                    }
                }
            }
        }
    }

    /// Goes on with one callback until nothing is kept for it any more, or everything has to be.
    async fn clear(&self, id: CallbackId) -> CallbackId {
        let clock = &self.console.clock;
        loop {
            let place = self.steps.acquire().await.expect("never closed");
            let began = clock.now();
            let step = self.step(id).await;
            drop(place);
            let pause = match step {
                Ok(Left::Nothing) => return id,
                Ok(Left::More(pause)) => pause,
                Err(error) => {
                    warn("let go what is kept", &error);
                    PAUSE_AFTER_FAILURE
                }
            };
            clock.sleep_until(began + pause).await;
        }
    }

    /// The callback is read anew for each step: it may have been paused again.
    async fn step(&self, id: CallbackId) -> Result<Left, BoxError> {
        let Some(callback) = self.console.store.callback(id).await? else {
            return self.cancel(id, CancelReason::CallbackDeleted).await;
        };
        match callback.state {
            CallbackState::Enabled => self.let_go(&callback).await,
            CallbackState::Paused => Ok(Left::Nothing),
            CallbackState::Disabled(_) => self.cancel(id, CancelReason::CallbackDisabled).await,
        }
    }

    async fn let_go(&self, callback: &Callback) -> Result<Left, BoxError> {
        let Console { store, broker, clock, .. } = &self.console;
        let pace = Pace::of(callback);
        let kept = store.parked(callback.id, pace.step_len).await?;
        if kept.is_empty() {
            return Ok(Left::Nothing);
        }
        let now = clock.now();
        let delayed = kept.iter().map(|parked| Delayed { due: now, dispatch: dispatch(parked) });
        // Among what comes back, and not before new events.
        broker.publish_after(delayed.collect()).await?;
        let as_read: Vec<Delivery> = kept.into_iter().map(|parked| parked.delivery).collect();
        store.let_go(&as_read, clock.now()).await?;
        tracing::debug!(callback = %callback.id, deliveries = as_read.len(), "let go");
        Ok(Left::More(pace.step_takes))
    }

    async fn cancel(&self, id: CallbackId, reason: CancelReason) -> Result<Left, BoxError> {
        let Console { store, clock, .. } = &self.console;
        if store.parked(id, 1).await?.is_empty() {
            return Ok(Left::Nothing);
        }
        let cancelled = store.cancel_pending(id, reason, clock.now(), CANCELLED_LEN_MAX).await?;
        count_cancelled(&self.console, id, reason, cancelled).await;
        Ok(Left::More(Duration::ZERO))
    }
}

impl Seen {
    fn nothing(now: Timestamp) -> Self {
        Self {
            revision: Revision::ZERO,
            resumed_since: Timestamp::EPOCH,
            all_again_at: now + LOOK_AT_ALL_EVERY,
        }
    }
}

/// How fast a callback's deliveries are let go.
struct Pace {
    step_len: usize,
    step_takes: Duration,
}

impl Pace {
    /// As fast as it takes them: what came sooner would only be put off, again and again.
    fn of(callback: &Callback) -> Self {
        let per_second = callback.rate_limit.map_or(PER_SECOND_MAX, |limit| limit.per_second.get());
        let per_second = per_second.min(PER_SECOND_MAX);
        let step_len = per_second.min(STEP_LEN_MAX);
        Self {
            step_len: usize::try_from(step_len).unwrap_or(usize::MAX),
            step_takes: Duration::from_secs(1) * step_len / per_second,
        }
    }
}

/// The attempt that would have come next.
fn dispatch(parked: &Parked) -> Dispatch {
    let target = Target::of(&parked.delivery, parked.delivery.next_position());
    Dispatch::to_target(parked.event.clone(), target).in_doubt()
}

/// Returns once the configuration changes; never, if the store is closed.
async fn changed(revision: &mut watch::Receiver<Revision>) {
    if revision.changed().await.is_err() {
        std::future::pending().await
    }
}

fn warn(what: &str, error: &BoxError) {
    let error = &**error as &(dyn std::error::Error + 'static);
    tracing::warn!(error, "{what} in vain, trying again");
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use ringback_core::rate::RateLimit;
    use ringback_testkit::builders;

    use super::*;

    #[test]
    fn pace_is_that_of_the_rate_limit_or_the_most_that_others_can_bear() {
        let pace = |per_second: Option<u32>| {
            let number = |n| NonZeroU32::new(n).expect("not zero");
            let limit = per_second.map(|n| RateLimit { per_second: number(n), burst: number(1) });
            let Pace { step_len, step_takes } = Pace::of(&Callback {
                rate_limit: limit,
                ..builders::callback("https://a.example")
            });
            (step_len, step_takes)
        };
        assert_eq!(pace(Some(1)), (1, Duration::from_secs(1)));
        assert_eq!(pace(Some(50)), (50, Duration::from_secs(1)));
        assert_eq!(pace(Some(1_000)), (200, Duration::from_millis(200)));
        assert_eq!(pace(Some(10_000)), (200, Duration::from_millis(40)));
        assert_eq!(pace(None), (200, Duration::from_millis(40)));
    }
}
