//! How many requests to one callback may be under way at once, and who waits for a place.
//!
//! **Problem.** A worker holds a bounded number of dispatches. Were all of them allowed to wait for one endpoint that
//! hangs, nobody else would be served. Were none allowed to wait, every short burst would go over the disk and back.
//!
//! **Design.** A dispatch waits for its turn as long as that is a matter of [`PATIENCE`]: how long it will be is told
//! from the number of those before it and from how long requests took lately. If it would be longer, or turns out to
//! be, the dispatch is put off: it goes back to the queue and comes again. Where requests are quick there is
//! [`PATIENCE_WITH_QUICK`]: a backlog to a receiver that keeps up is better worked off than sent round, which costs more
//! than the requests themselves. What is put off is told when its turn will be, behind those put off before it, unless
//! nothing comes back at all: so places are not left free while others stay away.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The longest that a dispatch waits in a worker for its callback's turn.
const PATIENCE: Duration = Duration::from_millis(250);

/// The same, where requests take no longer than [`PATIENCE`].
const PATIENCE_WITH_QUICK: Duration = Duration::from_secs(1);

/// What is put off stays away for so long at least: to send it round costs more than to deliver it.
const PUT_OFF_MIN: Duration = Duration::from_secs(1);

/// And for so long at the most: the receiver may become quicker meanwhile.
const PUT_OFF_MAX: Duration = Duration::from_secs(32);

/// The places of one callback.
pub(crate) struct Gate {
    places: Arc<Semaphore>,
    limit: NonZeroU32,
    waiting: AtomicUsize,
    /// How long a request holds its place, averaged over the last few, in microseconds.
    holding_us: AtomicU64,
    /// When a place was last given back, or taken when all were free: microseconds after `made_at`.
    last_news_us: AtomicU64,
    /// When all that were put off will have had their turn, as far as they were told it: microseconds after `made_at`.
    put_off_until_us: AtomicU64,
    made_at: Instant,
    /// Somebody waited in vain, and no place has become free since: whoever comes now would too.
    stuck: AtomicBool,
}

/// A place among the requests under way. Dropping it gives it to the next.
pub(crate) struct Place {
    gate: Arc<Gate>,
    taken_at: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Gate {
    pub(crate) fn new(limit: NonZeroU32) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limit.get() as usize)),
            limit,
            waiting: AtomicUsize::new(0),
            holding_us: AtomicU64::new(0),
            last_news_us: AtomicU64::new(0),
            put_off_until_us: AtomicU64::new(0),
            made_at: Instant::now(),
            stuck: AtomicBool::new(false),
        }
    }

    pub(crate) fn limit(&self) -> NonZeroU32 {
        self.limit
    }

    /// A place, if one is free or will be soon; none: put it off. `room` is how many more dispatches the worker could
    /// hold.
    pub(crate) async fn admit(self: &Arc<Self>, room: usize) -> Option<Place> {
        // However many callbacks are slow and however much they may have under way, together they never fill the
        // worker: none of them may hold more than half of what is left, so something is always left.
        let under_way = self.limit.get() as usize - self.places.available_permits();
        if under_way > room / 2 && self.is_slow() {
            return None;
        }
        if let Ok(permit) = self.places.clone().try_acquire_owned() {
            return Some(self.place(permit));
        }
        let patience = if self.is_slow() { PATIENCE } else { PATIENCE_WITH_QUICK };
        if self.stuck.load(Ordering::Relaxed) || self.expected_wait() > patience {
            return None;
        }
        let _counted = Counted::new(&self.waiting);
        let turn = self.places.clone().acquire_owned();
        tokio::pin!(turn);
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if let Ok(permit) = tokio::time::timeout(PATIENCE, &mut turn).await {
                return Some(self.place(permit.expect("the semaphore is never closed")));
            }
            // What was quick may hang now.
            if self.is_slow() {
                self.stuck.store(true, Ordering::Relaxed);
                return None;
            }
        }
        None
    }

    /// How long one that was not admitted stays away: until its turn behind those put off before it, where that can be
    /// told. None where nothing comes back: nobody knows when something will.
    pub(crate) fn put_off(&self) -> Option<Duration> {
        if self.without_news() > (2 * self.held()).max(PATIENCE) {
            return None;
        }
        let now_us = self.now_us();
        let (soonest, latest) = (now_us + us(PUT_OFF_MIN), now_us + us(PUT_OFF_MAX));
        let before = self.put_off_until_us.load(Ordering::Relaxed);
        let turn_us = (before.max(soonest) + self.expected_us(1)).min(latest);
        // A race between two gives both the same turn.
        self.put_off_until_us.store(turn_us, Ordering::Relaxed);
        Some(Duration::from_micros(turn_us - now_us))
    }

    fn place(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Place {
        if self.places.available_permits() + 1 == self.limit.get() as usize {
            self.note_news();
        }
        Place { gate: self.clone(), taken_at: Instant::now(), _permit: permit }
    }

    /// Whether its requests take longer than anybody waits: lately, or those under way now.
    fn is_slow(&self) -> bool {
        self.held() > PATIENCE || self.without_news() > PATIENCE
    }

    /// How long a request holds its place, lately.
    fn held(&self) -> Duration {
        Duration::from_micros(self.holding_us.load(Ordering::Relaxed))
    }

    /// How long no place was given back.
    fn without_news(&self) -> Duration {
        let news = Duration::from_micros(self.last_news_us.load(Ordering::Relaxed));
        self.made_at.elapsed().saturating_sub(news)
    }

    fn note_news(&self) {
        self.last_news_us.store(self.now_us(), Ordering::Relaxed);
    }

    fn now_us(&self) -> u64 {
        us(self.made_at.elapsed())
    }

    /// How long until all who wait now have had their turn.
    fn expected_wait(&self) -> Duration {
        let waiting = self.waiting.load(Ordering::Relaxed) as u64;
        Duration::from_micros(self.expected_us(waiting + 1))
    }

    /// How long so many requests take, in microseconds.
    fn expected_us(&self, requests: u64) -> u64 {
        let holding_us = self.holding_us.load(Ordering::Relaxed);
        holding_us.saturating_mul(requests) / u64::from(self.limit.get())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let held_us = us(self.taken_at.elapsed()).min(u64::MAX / 16);
        let average = self.gate.holding_us.load(Ordering::Relaxed);
        // An eighth of the new one: follows a change within some ten requests. A race between two loses one sample.
        let average = if average == 0 { held_us } else { (average * 7 + held_us) / 8 };
        self.gate.holding_us.store(average, Ordering::Relaxed);
        self.gate.note_news();
        self.gate.stuck.store(false, Ordering::Relaxed);
    }
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Counts as long as it lives, so that a wait that is dropped is not counted for ever.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::waits::put_off_by;

    const ROOM: usize = 1_000;

    fn gate(limit: u32) -> Arc<Gate> {
        Arc::new(Gate::new(NonZeroU32::new(limit).expect("not zero")))
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_limit_are_under_way() {
        let gate = gate(2);
        let first = gate.admit(ROOM).await.expect("free");
        let _second = gate.admit(ROOM).await.expect("free");
        assert!(gate.admit(ROOM).await.is_none());
        drop(first);
        assert!(gate.admit(ROOM).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn short_wait_is_waited_for() {
        let gate = gate(1);
        let place = gate.admit(ROOM).await.expect("free");
        let later = async {
            tokio::time::advance(PATIENCE / 2).await;
            drop(place);
        };
        let (admitted, ()) = tokio::join!(gate.admit(ROOM), later);
        assert!(admitted.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_an_endpoint_that_hangs() {
        let gate = gate(1);
        let hanging = gate.admit(ROOM).await.expect("free");
        assert!(gate.admit(ROOM).await.is_none(), "waited in vain");
        let before = Instant::now();
        assert!(gate.admit(ROOM).await.is_none());
        assert_eq!(before.elapsed(), Duration::ZERO, "does not wait where another did in vain");
        tokio::time::advance(Duration::from_secs(30)).await;
        drop(hanging);
        let _again = gate.admit(ROOM).await.expect("free");
        let before = Instant::now();
        assert!(gate.admit(ROOM).await.is_none(), "requests that take 30 s are not waited for");
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_one_holds_no_more_than_half_of_what_is_left() {
        let gate = gate(100);
        let mut places = Vec::new();
        for _ in 0..=5 {
            places.push(gate.admit(10).await.expect("there is room"));
        }
        assert!(gate.admit(0).await.is_some(), "who is quick makes room by itself");
        tokio::time::advance(PATIENCE * 2).await;
        assert!(gate.admit(10).await.is_none(), "six hang, and there is room for ten");
        assert!(gate.admit(12).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn each_that_is_put_off_is_told_its_own_turn() {
        let gate = gate(2);
        for _ in 0..100 {
            let place = gate.admit(ROOM).await.expect("free");
            tokio::time::advance(Duration::from_millis(100)).await;
            drop(place);
        }
        let waits: Vec<_> = (0..3).map(|_| gate.put_off().expect("it is quick")).collect();
        // Two at once, 100 ms each.
        let turns = [50, 100, 150].map(|ms| PUT_OFF_MIN + Duration::from_millis(ms));
        assert_eq!(waits, turns);
        let later: Vec<_> = (0..1_000).map(|_| gate.put_off()).collect();
        assert_eq!(later.last(), Some(&Some(PUT_OFF_MAX)));
        tokio::time::advance(PATIENCE / 2).await;
        let nearer = PUT_OFF_MAX - PATIENCE / 2 + Duration::from_millis(50);
        assert_eq!(gate.put_off(), Some(nearer));
        tokio::time::advance(PATIENCE).await;
        assert_eq!(gate.put_off(), None, "nothing came back for a while");
    }

    /// One after the other they would take 100 s, ten at once 10 s; were all that are put off to come back together, the
    /// places would stay free in between.
    #[tokio::test(start_paused = true)]
    async fn burst_to_a_slow_endpoint_is_worked_off_about_as_fast_as_it_takes_it() {
        const REQUEST: Duration = Duration::from_millis(500);
        let gate = gate(10);
        let began = Instant::now();
        let deliver = async || {
            let mut deferrals = 0;
            loop {
                if let Some(_place) = gate.admit(ROOM).await {
                    return tokio::time::sleep(REQUEST).await;
                }
                deferrals += 1;
                let wait = gate.put_off().unwrap_or_else(|| put_off_by(deferrals));
                tokio::time::sleep(wait).await;
            }
        };
        join_all((0..200).map(|_| deliver())).await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(15), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn turns_are_told_where_requests_take_long_but_come_back() {
        let gate = gate(2);
        let place = gate.admit(ROOM).await.expect("free");
        tokio::time::advance(PATIENCE * 2).await;
        assert_eq!(gate.put_off(), None, "nothing ever came back");
        tokio::time::advance(Duration::from_secs(2) - PATIENCE * 2).await;
        drop(place);
        let _next = gate.admit(ROOM).await.expect("free");
        tokio::time::advance(Duration::from_secs(3)).await;
        let waits: Vec<_> = (0..3).map(|_| gate.put_off().expect("it came back lately")).collect();
        assert_eq!(waits, [1, 2, 3].map(|turn| PUT_OFF_MIN + Duration::from_secs(turn)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(gate.put_off(), None, "longer than twice what they take: it hangs");
    }
}
