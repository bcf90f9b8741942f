//! What need not be new to the second: asked for once, for all who look within the next ones.

use std::sync::RwLock;
use std::time::Duration;

use ringback_core::Timestamp;
use tokio::sync::Mutex;

/// How long an answer is good enough: whoever looks on gets a new one every ten seconds.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// How long it does while a new one is asked for: a minute ago is not now.
const DOES_FOR: Duration = Duration::from_secs(60);

/// What was last answered, and when it was asked for.
pub(crate) struct Lately<T> {
    last: RwLock<Option<(Timestamp, T)>>,
    /// Held while it is asked.
    asking: Mutex<()>,
}

impl<T> Default for Lately<T> {
    fn default() -> Self {
        Self { last: RwLock::new(None), asking: Mutex::new(()) }
    }
}

impl<T: Clone> Lately<T> {
    /// The last answer, or a new one if that is 10 s old. Who comes while it is asked gets the last one, if that is not a
    /// minute old: a store that takes its time makes nobody wait who need not.
    ///
    /// # Errors
    /// What `ask` says. The next one asks again.
    pub(super) async fn get<E>(
        &self,
        now: Timestamp,
        ask: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if let Some(answer) = self.not_older(now, GOOD_FOR) {
            return Ok(answer);
        }
        let _asking = match (self.asking.try_lock(), self.not_older(now, DOES_FOR)) {
            (Ok(asking), _) => asking,
            (Err(_), Some(old)) => return Ok(old),
            (Err(_), None) => self.asking.lock().await,
        };
        match self.not_older(now, GOOD_FOR) {
            Some(answer) => Ok(answer),
            None => self.ask(now, ask).await,
        }
    }

    /// A new answer, however old the last one is.
    ///
    /// # Errors
    /// What `ask` says.
    pub(super) async fn renew<E>(
        &self,
        now: Timestamp,
        ask: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let _asking = self.asking.lock().await;
        self.ask(now, ask).await
    }

    /// Keeps an answer that somebody got.
    pub(super) fn keep(&self, now: Timestamp, answer: T) {
        *self.last.write().expect("nobody panics holding it") = Some((now, answer));
    }

    /// What was last answered, and when it was asked for.
    pub(super) fn last(&self) -> Option<(Timestamp, T)> {
        self.last.read().expect("nobody panics holding it").clone()
    }

    async fn ask<E>(
        &self,
        now: Timestamp,
        ask: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let answer = ask.await?;
        self.keep(now, answer.clone());
        Ok(answer)
    }

    fn not_older(&self, now: Timestamp, age: Duration) -> Option<T> {
        // A clock that was put back must not keep it for ever.
        let is_young = |asked_at: Timestamp| (asked_at..asked_at + age).contains(&now);
        self.last().filter(|(asked_at, _)| is_young(*asked_at)).map(|(_, answer)| answer)
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

        let now = Timestamp::EPOCH + Duration::from_secs(51);
        assert_eq!(lately.renew(now, async { Err("away") }).await, Err("away"));
        assert_eq!(at(51, Ok(5)).await, Ok(4), "what was answered stays");
        assert_eq!(lately.renew(now, async { Ok::<_, ()>(6) }).await, Ok(6));
        assert_eq!(at(60, Ok(7)).await, Ok(6));
    }

    #[tokio::test]
    async fn whoever_comes_while_it_is_asked_gets_the_last_answer() {
        let lately = Lately::default();
        let later = Timestamp::EPOCH + GOOD_FOR;
        assert_eq!(lately.get(Timestamp::EPOCH, async { Ok::<_, ()>(1) }).await, Ok(1));
        let (answered, answer) = tokio::sync::oneshot::channel();
        let slow = lately.get(later, async { answer.await.map_err(|_| ()) });
        let other = async {
            let old = lately.get(later, async { Ok::<_, ()>(3) }).await;
            answered.send(2).expect("somebody waits");
            old
        };
        assert_eq!(tokio::join!(slow, other), (Ok(2), Ok(1)));
    }

    #[tokio::test]
    async fn whoever_comes_while_it_is_asked_waits_if_the_last_answer_is_old() {
        let lately = Lately::default();
        lately.keep(Timestamp::EPOCH, 1);
        let later = Timestamp::EPOCH + DOES_FOR;
        let slow = lately.get(later, async {
            tokio::task::yield_now().await;
            Ok::<_, ()>(2)
        });
        let other = lately.get(later, async { Ok::<_, ()>(3) });
        assert_eq!(tokio::join!(slow, other), (Ok(2), Ok(2)));
    }
}
