//! Attempts as they happen.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use ringback_api::{Caller, Problem, Query};
use ringback_core::CallbackId;
use ringback_store::{LiveAttempt, Scope};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::Console;
use crate::deliveries::detail_for;
use crate::wire::delivery::{AttemptAnswer, DeliveryAnswer, Detail, LiveAttemptAnswer};

const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Attempts as they are recorded, from now on: server-sent events.
///
/// Each message is a `LiveAttemptAnswer`. Who reads too slowly misses some, and gets a message `lagged` with
/// `{"missed": n}`.
#[utoipa::path(
    get, path = "/v1/attempts/live", tag = "deliveries",
    responses((status = 200, description = "A stream without end", body = String, content_type = "text/event-stream"), Problem)
)]
pub(crate) async fn attempts(
    State(console): State<Console>,
    caller: Caller,
    query: Query,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    query.end()?;
    let attempts = console.store.live_attempts();
    let watcher = Watcher { console, caller, attempts, details: HashMap::new() };
    let messages = futures_util::stream::unfold(watcher, async |mut watcher| {
        let message = watcher.next().await?;
        Some((Ok(message), watcher))
    });
    Ok(Sse::new(messages).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// One open stream.
struct Watcher {
    console: Console,
    caller: Caller,
    attempts: broadcast::Receiver<Arc<LiveAttempt>>,
    /// What the caller may see of each callback, so that it is asked once and not for each attempt.
    details: HashMap<CallbackId, Detail>,
}

impl Watcher {
    /// The next message; none once the store is closed.
    async fn next(&mut self) -> Option<Event> {
        loop {
            match self.attempts.recv().await {
                Ok(live) if self.caller.may_see(&live.delivery.account) => {
                    return Some(self.message(&live).await);
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => {
                    let data = serde_json::json!({ "missed": missed }).to_string();
                    return Some(Event::default().event("lagged").data(data));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    async fn message(&mut self, live: &LiveAttempt) -> Event {
        let detail = self.detail(live.delivery.callback).await;
        let answer = LiveAttemptAnswer {
            delivery: DeliveryAnswer::of(&live.delivery),
            attempt: AttemptAnswer::of(&live.attempt, None, detail),
        };
        let json = serde_json::to_string(&answer).expect("texts and numbers always serialize");
        Event::default().data(json)
    }

    async fn detail(&mut self, callback: CallbackId) -> Detail {
        if self.caller.scope == Scope::Instance {
            return Detail::Full;
        }
        if let Some(known) = self.details.get(&callback) {
            return *known;
        }
        // A callback that can't be read now may be anybody's.
        let Ok(found) = self.console.store.callback(callback).await else {
            return Detail::Outcome;
        };
        let detail = detail_for(&self.caller, found.as_ref());
        self.details.insert(callback, detail);
        detail
    }
}
