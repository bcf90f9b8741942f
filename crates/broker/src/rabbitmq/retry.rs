//! How long to wait before connecting again, and what to say about it: once, not each time.

use std::error::Error as StdError;
use std::fmt::Display;
use std::time::{Duration, Instant};

use super::error::{ConnectError, Lost};

/// Waits after what may pass by itself.
const TRANSIENT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// Waits after what somebody has to change.
const PERMANENT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// Wait after the loss of a connection that held: hardly any, but not the same for all that lost it at once.
const AFTER_LOSS: Duration = Duration::from_millis(100);
/// A connection that lasted this long held.
const HELD: Duration = Duration::from_secs(10);

/// The waits between attempts to connect, growing, for ever.
#[derive(Debug)]
pub(super) struct Retry {
    /// Who wants to connect, for the log.
    who: &'static str,
    failures: u32,
    connected_at: Option<Instant>,
    said: Said,
}

/// What the log says of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Connected,
    Unreachable,
    Wrong,
}

impl Retry {
    pub(super) fn new(who: &'static str) -> Self {
        Self { who, failures: 0, connected_at: None, said: Said::Nothing }
    }

    /// It is connected.
    pub(super) fn connected(&mut self, address: &dyn Display) {
        self.connected_at = Some(Instant::now());
        match self.said {
            Said::Nothing | Said::Connected => {
                tracing::debug!(who = self.who, %address, "connected to RabbitMQ");
            }
            Said::Unreachable | Said::Wrong => {
                tracing::info!(who = self.who, %address, "connected to RabbitMQ again");
            }
        }
        self.said = Said::Connected;
    }

    /// A connection that was made is lost. Returns how long to wait before the next attempt.
    pub(super) fn lost(&mut self, address: &dyn Display, why: &Lost) -> Duration {
        let error = whole(why);
        tracing::warn!(who = self.who, %address, error, "lost the connection to RabbitMQ; connecting again");
        self.said = Said::Unreachable;
        if self.connected_at.take().is_some_and(|at| at.elapsed() >= HELD) {
            self.failures = 0;
            return AFTER_LOSS.mul_f64(jitter());
        }
        // One that breaks at once would be made again and again.
        self.failures = self.failures.saturating_add(1);
        wait(TRANSIENT, self.failures, jitter())
    }

    /// It could not connect. Returns how long to wait before the next attempt.
    pub(super) fn failed(&mut self, error: &ConnectError) -> Duration {
        let reason = whole(error);
        let now = if error.is_permanent() { Said::Wrong } else { Said::Unreachable };
        if now == self.said {
            tracing::debug!(who = self.who, error = reason, "still not connected to RabbitMQ");
        } else if error.is_permanent() {
            self.failures = 0;
            tracing::error!(who = self.who, error = reason, "RabbitMQ can't be used; trying again");
        } else {
            tracing::warn!(
                who = self.who,
                error = reason,
                "not connected to RabbitMQ; trying again"
            );
        }
        self.said = now;
        self.failures = self.failures.saturating_add(1);
        wait(if error.is_permanent() { PERMANENT } else { TRANSIENT }, self.failures, jitter())
    }
}

/// The wait after so many failures in a row, 1 at least: doubling from the first to the last, less up to a half.
/// `jitter` is uniform in `[0, 1)`.
fn wait((first, last): (Duration, Duration), failures: u32, jitter: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = first.saturating_mul(1 << doublings).min(last);
    whole.mul_f64(1.0 - jitter / 2.0).max(first)
}

fn jitter() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness everybody waits the whole time: no reason to fail.
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

/// What an error says, and all its causes, in one line.
pub(super) fn whole(error: &dyn StdError) -> String {
    let mut said = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        // Some repeat their cause within their own text.
        if !said.last().is_some_and(|last: &String| last.ends_with(&text)) {
            said.push(text);
        }
        next = cause.source();
    }
    said.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_limit_and_never_fall_short_of_the_first() {
        let steady: Vec<_> = (1..=7).map(|n| wait(TRANSIENT, n, 0.0).as_millis()).collect();
        assert_eq!(steady, [200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(wait(TRANSIENT, u32::MAX, 0.999).as_millis(), 2_502);
        assert_eq!(wait(TRANSIENT, 1, 0.999), TRANSIENT.0);
        assert_eq!(wait(PERMANENT, 9, 0.0), PERMANENT.1);
    }

    #[test]
    fn error_is_told_in_one_line_without_repeats() {
        let inner = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = ConnectError::Unreachable { address: "x".into(), source: Box::new(inner) };
        assert_eq!(whole(&error), "RabbitMQ can't be reached at x: connection refused");
        let inner = lapin::Error::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(whole(&Lost::from(inner)), "a channel ended: IO error: broken pipe");
    }
}
