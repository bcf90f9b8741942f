//! Works on bulk replays.
//!
//! **Order.** Page by page, oldest events first: what was missed longest comes first, and the indexes of the lists serve it
//! as well as the other way round. What a page finds is put on the queue, then the cursor is saved. A crash in between
//! repeats at most one page: its dispatches are equal to the first ones (the same attempt, or the same new delivery), so
//! the worker skips them; and what has changed since the job was asked for is none of its own any more.
//!
//! **Who.** Any console: a job is its owner's for a while, which each page extends. One that dies leaves its jobs to
//! whoever looks next after that; one that stops hands them back.
//!
//! **Pace.** `per_second`, into the lane of what comes back: new events never stand behind a replay, however large.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use ringback_broker::Delayed;
use ringback_core::delivery::DeliveryState;
use ringback_core::{CallbackId, Dispatch, ReplayId, Target};
use ringback_runtime::Shutdown;
use ringback_runtime::supervisor::BoxError;
use ringback_store::{Cursor, Replay, ReplayStatus, Replayable};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use crate::Console;
use crate::state::random;

/// How long a job is its owner's without a sign of life.
const LEASE: Duration = Duration::from_secs(10);
/// How often somebody looks for jobs that nobody has.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Jobs worked on side by side: a slow one must not keep the others waiting.
const JOBS_AT_ONCE: usize = 8;
/// Of one page: 200 events of 256 KiB each are 50 MiB.
const PAGE_LEN_MAX: u32 = 200;
/// Pages in a second, where they are small enough: a burst of a whole second's would arrive as one.
const PAGES_PER_SECOND: u32 = 4;
/// Nothing larger is counted: it would take longer than anybody wants to know it.
const COUNTED_MAX: usize = 1_000_000;
/// After a page that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(2);
/// Handing jobs back at a stop may take as long; after it they are left to run out.
const HAND_BACK_PATIENCE: Duration = Duration::from_secs(3);

impl Console {
    /// Works on bulk replays until asked to stop. Any number of processes may do so.
    ///
    /// # Errors
    /// None: what can't be done now is tried again.
    pub async fn replay(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let random = random::<16>().unwrap_or_default().map(|byte| format!("{byte:02x}")).concat();
        // Should there be no randomness, processes on one machine differ at least.
        let owner = format!("{}-{random}", std::process::id());
        let replayer = Replayer {
            console: self,
            owner,
            at_work: Mutex::default(),
            places: Semaphore::new(JOBS_AT_ONCE),
        };
        let (taken, to_do) = mpsc::unbounded_channel();
        tokio::select! {
            () = replayer.look(taken) => {}
            () = replayer.work(to_do) => {}
            () = shutdown.requested() => {}
        }
        let handed_back = replayer.console.store.release_replays(&replayer.owner);
        let handed_back = tokio::time::timeout(HAND_BACK_PATIENCE, handed_back).await;
        if !matches!(handed_back, Ok(Ok(()))) {
            tracing::debug!("bulk replays are left for others to take over later");
        }
        Ok(())
    }
}

/// Works on the jobs that are its own.
struct Replayer {
    console: Console,
    owner: String,
    at_work: Mutex<HashSet<ReplayId>>,
    places: Semaphore,
}

/// A job, and its place among those at work.
type Taken<'a> = (Replay, SemaphorePermit<'a>);

/// What a page left.
enum Left {
    /// Nothing: the job is at its end, or another's.
    Nothing,
    /// Perhaps more: the next page, so long after this one began.
    More(Duration),
}

impl Replayer {
    /// Takes jobs that nobody has, as far as there is room.
    async fn look<'a>(&'a self, taken: mpsc::UnboundedSender<Taken<'a>>) {
        let Console { store, clock, replay_asked, .. } = &self.console;
        loop {
            let place = self.places.acquire().await.expect("never closed");
            let now = clock.now();
            match store.take_replay(&self.owner, now, now + LEASE).await {
                Ok(Some(job)) => {
                    // One that took longer than its lease over a page is at work all the same.
                    if self.lock().insert(job.id) {
                        tracing::info!(replay = %job.id, "bulk replay goes on");
                        // Whoever works on it is gone only when this is gone as well.
                        let _ = taken.send((job, place));
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => warn("looked for bulk replays", &error),
            }
            drop(place);
            tokio::select! {
                () = clock.sleep_until(clock.now() + LOOK_EVERY) => {}
                () = replay_asked.notified() => {}
            }
        }
    }

    async fn work(&self, mut to_do: mpsc::UnboundedReceiver<Taken<'_>>) {
        let mut works = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some((job, place)) = to_do.recv() => works.push(self.go_through(job, place)),
                Some(()) = works.next(), if !works.is_empty() => {}
            }
        }
    }

    /// Goes through one job, until it is at its end or another's.
    async fn go_through(&self, mut job: Replay, place: SemaphorePermit<'_>) {
        let Console { store, clock, .. } = &self.console;
        let id = job.id;
        let mut doubtful = false;
        loop {
            let began = clock.now();
            // After a failure it may be another's by now: nothing is put on the queue before that is known.
            let page = match doubtful {
                true => match store.keep_replay(&job, &self.owner, began + LEASE).await {
                    Ok(true) => self.page(&mut job).await,
                    Ok(false) => Ok(Left::Nothing),
                    Err(error) => Err(error.into()),
                },
                false => self.page(&mut job).await,
            };
            doubtful = page.is_err();
            let pause = match page {
                Ok(Left::Nothing) => break,
                Ok(Left::More(pause)) => pause,
                Err(error) => {
                    warn("a page of a bulk replay", &*error);
                    if let Some(detail) = hopeless(&error) {
                        job.status = ReplayStatus::Failed;
                        (job.error, job.finished_at) = (Some(detail.to_owned()), Some(began));
                        match self.keep(&mut job).await {
                            Ok(_) => break,
                            // Tried once more from where it was.
                            Err(_) => job.status = ReplayStatus::Running,
                        }
                        (job.error, job.finished_at) = (None, None);
                    }
                    PAUSE_AFTER_FAILURE
                }
            };
            clock.sleep_until(began + pause).await;
        }
        self.lock().remove(&id);
        drop(place);
    }

    async fn page(&self, job: &mut Replay) -> Result<Left, BoxError> {
        let Console { store, broker, clock, .. } = &self.console;
        if job.cursor.is_none() && job.total.is_none() {
            self.count(job).await;
        }
        let len = page_len(job);
        let found = store.replayable(job, len).await?;
        let dispatches = self.dispatches(job, &found).await?;
        let (looked_at, replayed) = (found.len(), dispatches.len());
        if !dispatches.is_empty() {
            let due = clock.now();
            let delayed = dispatches.into_iter().map(|dispatch| Delayed { due, dispatch });
            broker.publish_after(delayed.collect()).await?;
        }
        let mut next = job.clone();
        if let Some(Replayable { delivery, .. }) = found.last() {
            next.cursor = Some(Cursor { at: delivery.created_at, id: delivery.id.to_string() });
        }
        next.replayed += count(replayed);
        next.skipped += count(looked_at - replayed);
        if looked_at < len {
            (next.status, next.finished_at) = (ReplayStatus::Finished, Some(clock.now()));
        }
        let is_own = self.keep(&mut next).await?;
        *job = next;
        if !is_own || job.status != ReplayStatus::Running {
            tracing::info!(
                replay = %job.id, replayed = job.replayed, skipped = job.skipped, is_own, "bulk replay ends here"
            );
            return Ok(Left::Nothing);
        }
        // What is skipped costs the receiver nothing.
        let replayed = u32::try_from(replayed).unwrap_or(PAGE_LEN_MAX);
        Ok(Left::More(Duration::from_secs(1) * replayed / job.per_second.get()))
    }

    /// For people to see: nothing depends on it.
    async fn count(&self, job: &mut Replay) {
        match self.console.store.count_replayable(job, COUNTED_MAX).await {
            Ok(total) => job.total = Some(total).filter(|total| *total < count(COUNTED_MAX)),
            Err(error) => warn("counted a bulk replay", &error),
        }
    }

    async fn keep(&self, job: &mut Replay) -> Result<bool, ringback_store::Error> {
        let now = self.console.clock.now();
        job.updated_at = now;
        self.console.store.keep_replay(job, &self.owner, now + LEASE).await
    }

    async fn dispatches(
        &self,
        job: &Replay,
        found: &[Replayable],
    ) -> Result<Vec<Dispatch>, BoxError> {
        let mut callbacks = HashMap::new();
        let mut dispatches = Vec::with_capacity(found.len());
        for Replayable { delivery, event } in found {
            let takes = match callbacks.get(&delivery.callback) {
                Some(known) => *known,
                None => {
                    let takes = self.takes(job, delivery.callback).await?;
                    callbacks.insert(delivery.callback, takes);
                    takes
                }
            };
            let Some(event) = event.as_ref().filter(|_| takes) else { continue };
            let target = match delivery.state {
                DeliveryState::Delivered => {
                    Target { generation: generation(job.id), ..Target::first(delivery.callback) }
                }
                DeliveryState::Exhausted
                | DeliveryState::Cancelled(_)
                | DeliveryState::Pending { .. } => {
                    Target::of(delivery, delivery.position_by_hand())
                }
            };
            // A test is over with its one attempt.
            if delivery.generation != Target::TRIAL {
                dispatches.push(Dispatch::to_target(event.clone(), target).in_doubt());
            }
        }
        Ok(dispatches)
    }

    /// Whether a callback takes deliveries, and those of this job.
    async fn takes(&self, job: &Replay, id: CallbackId) -> Result<bool, BoxError> {
        let callback = self.console.store.callback(id).await?;
        Ok(callback.is_some_and(|callback| {
            callback.state.is_enabled()
                && (job.account.is_none() || callback.account == job.account)
        }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<ReplayId>> {
        self.at_work.lock().expect("nobody panics holding it")
    }
}

fn page_len(job: &Replay) -> usize {
    let len = (job.per_second.get() / PAGES_PER_SECOND).clamp(1, PAGE_LEN_MAX);
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// The generation of new deliveries: the same for a job whenever it is asked, above those that are counted, so that a page
/// that comes twice makes the same deliveries.
fn generation(job: ReplayId) -> u32 {
    let [.., a, b, c, d] = *job.uuid().as_bytes();
    let range = Target::TRIAL - Target::COUNTED_MAX - 1;
    Target::COUNTED_MAX + 1 + u32::from_be_bytes([a, b, c, d]) % range
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// What a job fails of: a store that refuses, and will again.
fn hopeless(error: &BoxError) -> Option<&'static str> {
    let error = error.downcast_ref::<ringback_store::Error>()?;
    (!error.is_temporary()).then_some("the store can't do this; Ringback's log says why")
}

fn warn(what: &str, error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(error, "{what} in vain, trying again");
}

#[cfg(test)]
mod tests {
    use ringback_core::Timestamp;

    use super::*;

    #[test]
    fn generation_of_a_job_is_neither_counted_nor_a_trial() {
        for random in [[0; 10], [0xff; 10], [7; 10]] {
            let id = ReplayId::from_parts(Timestamp::from_ms(1_000), random);
            let generation = generation(id);
            assert!(generation > Target::COUNTED_MAX && generation < Target::TRIAL);
        }
    }
}
