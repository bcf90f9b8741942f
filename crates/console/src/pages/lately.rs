//! What need not be new to the second: asked for once, for all who look within the next ones.

use std::time::Duration;

use ringback_core::Timestamp;
use tokio::sync::Mutex;

/// How long an answer is good enough. The store writes sums every few seconds: to ask more often shows nothing new.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// What was last answered, and when it was asked for.
pub(crate) struct Lately<T>(Mutex<Option<(Timestamp, T)>>);

impl<T> Default for Lately<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Lately<T> {
    /// The last answer, or a new one if that is 10 s old.
    ///
    /// # Errors
    /// What `ask` says. The next one asks again.
    pub(super) async fn get<E>(
        &self,
        now: Timestamp,
        ask: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        // Held while it is asked: who comes meanwhile waits for that answer, and asks nothing.
        let mut last = self.0.lock().await;
        if let Some((asked_at, answer)) = &*last
            // A clock that was put back must not keep it for ever.
            && (*asked_at..*asked_at + GOOD_FOR).contains(&now)
        {
            return Ok(answer.clone());
        }
        let answer = ask.await?;
        *last = Some((now, answer.clone()));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn is_asked_once_for_ten_seconds_and_again_after_a_failure() {
        let lately = Lately::default();
        let at = async |seconds, answer| {
            let now = Timestamp::EPOCH + Duration::from_secs(seconds);
            lately.get(now, async { answer }).await
        };
        assert_eq!(at(100, Err("away")).await, Err("away"));
        assert_eq!(at(100, Ok(1)).await, Ok(1));
        assert_eq!(at(109, Ok(2)).await, Ok(1));
        assert_eq!(at(110, Ok(3)).await, Ok(3));
        assert_eq!(at(50, Ok(4)).await, Ok(4), "the clock was put back");
    }
}
