//! Says when something happened, so that a page can ask for itself anew.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use ringback_store::LiveAttempt;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep, timeout_at};

use super::visitor::Visitor;
use crate::Console;

/// The least time between two messages: a page is made anew for each.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked whether the visitor is still one.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// A message whenever an attempt was made of a delivery that the visitor may see: server-sent events. It ends with the
/// session.
pub(super) async fn changes(
    State(console): State<Console>,
    visitor: Visitor,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let attempts = console.store.live_attempts();
    let watcher = Watcher { console, visitor, attempts, look_at: Instant::now() + LOOK_EVERY };
    let messages = futures_util::stream::unfold(watcher, async |mut watcher| {
        watcher.change().await.then(|| (Ok(Event::default().data("changed")), watcher))
    });
    Sse::new(messages).keep_alive(KeepAlive::new().interval(LOOK_EVERY))
}

/// One open stream.
struct Watcher {
    console: Console,
    visitor: Visitor,
    attempts: broadcast::Receiver<Arc<LiveAttempt>>,
    look_at: Instant,
}

impl Watcher {
    /// Waits for a change. False: there is nobody to tell any more, or nothing.
    async fn change(&mut self) -> bool {
        loop {
            match timeout_at(self.look_at, self.attempts.recv()).await {
                Ok(Ok(live)) if !self.visitor.caller.may_see(&live.delivery.account) => {}
                Ok(Ok(_) | Err(RecvError::Lagged(_))) => break,
                Ok(Err(RecvError::Closed)) => return false,
                // Should the store not answer, it is asked again.
                Err(_) => match self.visitor.is_still_there(&self.console).await {
                    Ok(false) => return false,
                    Ok(true) | Err(_) => self.look_at = Instant::now() + LOOK_EVERY,
                },
            }
        }
        // What else happens meanwhile is seen with it.
        sleep(PAUSE).await;
        self.attempts = self.attempts.resubscribe();
        true
    }
}
