//! How many requests a second a callback wants at the most, and when the next one may go.
//!
//! The generic cell rate algorithm: all that is remembered of a callback is when the next request would be on time.
//! Pure; where the state is kept, and by how many workers it is shared, is the affair of the idempotency port.

use std::num::NonZeroU32;
use std::time::Duration;

/// At most so many requests a second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests a second in the long run.
    pub per_second: NonZeroU32,
    /// How many may go at once after a quiet time: in any second no more than `per_second + burst` go.
    pub burst: NonZeroU32,
}

/// What is remembered of one callback. Microseconds since the epoch; zero is a callback that never sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateState {
    /// When the next request would be exactly on time.
    pub next_us: u64,
    /// Until when newcomers that were sent away have been given a time to come back.
    pub queued_until_us: u64,
    /// The same for those that came back and were sent away again.
    pub requeued_until_us: u64,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// Somebody who was not sent away before.
    First,
    /// Somebody who was, and comes back.
    Again,
}

/// Whether a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may, and is counted.
    Now,
    /// It may after so long, [`RATE_PATIENCE`] at the most, and is counted: nobody else gets that moment.
    Soon(Duration),
    /// Not before so long. It is not counted, and has to ask again.
    Wait(Duration),
}

/// Nobody is sent away for longer, so that a limit that is raised is felt soon.
pub const RATE_WAIT_MAX: Duration = Duration::from_secs(300);

/// Who may go within this time is not sent away. A queue hands out in steps of about that, so of those whose time is in
/// one step all come at once, and the moments until the next step are theirs.
pub const RATE_PATIENCE: Duration = Duration::from_millis(250);

impl RateLimit {
    /// The most of either that a callback may choose.
    pub const MAX: u32 = 10_000;

    /// The time between two requests that are exactly on time, in microseconds.
    #[must_use]
    pub fn interval_us(self) -> u64 {
        1_000_000 / u64::from(self.per_second.get())
    }

    /// How much too early a request may be, in microseconds.
    #[must_use]
    pub fn tolerance_us(self) -> u64 {
        self.interval_us() * u64::from(self.burst.get() - 1)
    }

    /// Asks for one request. Of many that can't go now each is told another time to come back, one interval apart:
    /// came all of them at the same moment, all but a few would be sent away again.
    ///
    /// Newcomers do not wait for a moment that those who were sent away come back for. And who comes back and is sent away
    /// again stands in a queue of those alone, and not behind all newcomers: a moment that somebody was late for goes to
    /// one of them, so that none is lost while anybody waits.
    #[must_use]
    pub fn admit(self, asking: Asking, state: RateState, now_us: u64) -> (Admission, RateState) {
        let next_us = state.next_us.max(now_us);
        let wait_us = next_us.saturating_sub(self.tolerance_us()).saturating_sub(now_us);
        let somebody_waits = state.queued_until_us.max(state.requeued_until_us) > now_us;
        let patience_us = match asking {
            Asking::First if somebody_waits => 0,
            Asking::First | Asking::Again => microseconds(RATE_PATIENCE),
        };
        if wait_us <= patience_us {
            let admission = match wait_us {
                0 => Admission::Now,
                _ => Admission::Soon(Duration::from_micros(wait_us)),
            };
            return (admission, RateState { next_us: next_us + self.interval_us(), ..state });
        }
        let behind = |queued_until_us: u64| {
            let at_us = (now_us + wait_us).max(queued_until_us + self.interval_us());
            at_us.min(now_us + microseconds(RATE_WAIT_MAX))
        };
        let (at_us, state) = match asking {
            Asking::First => {
                let at_us = behind(state.queued_until_us);
                (at_us, RateState { queued_until_us: at_us, ..state })
            }
            Asking::Again => {
                let at_us = behind(state.requeued_until_us);
                (at_us, RateState { requeued_until_us: at_us, ..state })
            }
        };
        (Admission::Wait(Duration::from_micros(at_us - now_us)), state)
    }
}

impl RateState {
    /// From when on it is as if the callback had never sent, in microseconds since the epoch.
    #[must_use]
    pub fn over_at_us(self) -> u64 {
        self.next_us.max(self.queued_until_us).max(self.requeued_until_us)
    }
}

/// Durations here are constants of minutes.
fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(per_second: u32, burst: u32) -> RateLimit {
        let number = |n| NonZeroU32::new(n).expect("not zero");
        RateLimit { per_second: number(per_second), burst: number(burst) }
    }

    /// Asks once more.
    fn ask(limit: RateLimit, asking: Asking, state: &mut RateState, now_us: u64) -> Admission {
        let (admission, after) = limit.admit(asking, *state, now_us);
        *state = after;
        admission
    }

    const NOW_US: u64 = 1_000_000_000;

    #[test]
    fn burst_goes_at_once_and_the_rest_one_interval_apart() {
        let mut state = RateState::default();
        let mut first = || ask(limit(10, 3), Asking::First, &mut state, NOW_US);
        assert_eq!([first(), first(), first()], [Admission::Now; 3]);
        let ms = Duration::from_millis;
        assert_eq!([first(), first()], [Admission::Soon(ms(100)), Admission::Soon(ms(200))]);
        assert_eq!([first(), first()], [Admission::Wait(ms(300)), Admission::Wait(ms(400))]);
    }

    #[test]
    fn who_comes_back_goes_before_who_comes_first() {
        let mut state = RateState::default();
        let mut ask = |asking, ms: u64| ask(limit(5, 1), asking, &mut state, NOW_US + ms * 1_000);
        let ms = Duration::from_millis;
        assert_eq!(ask(Asking::First, 0), Admission::Now);
        assert_eq!(ask(Asking::First, 0), Admission::Soon(ms(200)));
        assert_eq!(ask(Asking::First, 0), Admission::Wait(ms(400)));
        assert_eq!(ask(Asking::First, 300), Admission::Wait(ms(300)), "behind the one before");
        assert_eq!(ask(Asking::Again, 300), Admission::Soon(ms(100)));
        assert_eq!(ask(Asking::Again, 300), Admission::Wait(ms(300)));
        assert_eq!(ask(Asking::First, 300), Admission::Wait(ms(500)), "in a queue of its own");
        assert_eq!(ask(Asking::Again, 600), Admission::Now);
    }

    #[test]
    fn no_second_has_more_than_the_rate_and_the_burst() {
        let limit = limit(50, 10);
        for asking in [Asking::First, Asking::Again] {
            let mut state = RateState::default();
            let mut sent = Vec::new();
            // Asks each millisecond for five seconds.
            for now_us in (1_000_000..6_000_000).step_by(1_000) {
                match ask(limit, asking, &mut state, now_us) {
                    Admission::Now => sent.push(now_us),
                    Admission::Soon(wait) => sent.push(now_us + microseconds(wait)),
                    Admission::Wait(_) => {}
                }
            }
            let most = most_within_a_second(&sent);
            assert!(most <= 60, "{most} within a second");
            assert!(sent.len() >= 5 * 50, "{} in five seconds", sent.len());
        }
    }

    /// What a worker and RabbitMQ do with a backlog: who has to wait is sent to the queue for a little less, and comes out
    /// in steps of 250 ms, some of them a fourteenth too late.
    #[test]
    fn backlog_is_worked_off_at_the_rate_though_a_queue_is_late() {
        const BACKLOG: u64 = 2_000;
        let limit = limit(50, 10);
        let mut state = RateState::default();
        let mut waiting: std::collections::BTreeSet<(u64, u64, bool)> =
            (0..BACKLOG).map(|number| (NOW_US, number, false)).collect();
        let mut sent = Vec::new();
        let mut asked = 0;
        while let Some((now_us, number, came_before)) = waiting.pop_first() {
            asked += 1;
            let asking = if came_before { Asking::Again } else { Asking::First };
            match ask(limit, asking, &mut state, now_us) {
                Admission::Now => sent.push(now_us),
                Admission::Soon(wait) => sent.push(now_us + microseconds(wait)),
                Admission::Wait(wait) => {
                    let wait_us = microseconds(wait - wait / 16);
                    let late_us = if number % 7 < 3 { wait_us / 14 } else { 0 };
                    let back_us = (now_us + wait_us + late_us).next_multiple_of(250_000);
                    waiting.insert((back_us, number, true));
                }
            }
        }
        sent.sort_unstable();
        let took_us = sent[sent.len() - 1] - NOW_US;
        let per_second = BACKLOG as f64 / Duration::from_micros(took_us).as_secs_f64();
        assert!(per_second > 48.0, "{per_second}");
        assert!(most_within_a_second(&sent) <= 60);
        assert!(asked < 4 * BACKLOG, "asked {asked} times");
    }

    fn most_within_a_second(sent: &[u64]) -> usize {
        let within = |start: &u64| {
            sent.iter().filter(|at| (*start..start + 1_000_000).contains(*at)).count()
        };
        sent.iter().map(within).max().unwrap_or_default()
    }

    #[test]
    fn nobody_is_sent_away_for_longer_than_the_most() {
        let limit = limit(1, 1);
        let mut state = RateState::default();
        for asking in [[Asking::First; 1_000], [Asking::Again; 1_000]].concat() {
            if let Admission::Wait(wait) = ask(limit, asking, &mut state, NOW_US) {
                assert!(wait <= RATE_WAIT_MAX);
            }
        }
    }
}
