//! Whether repeats are remembered now. Without a memory events are taken all the same: they come at least once, and
//! what the history knows of is not sent again.

use std::sync::atomic::{AtomicBool, Ordering};

use ringback_idempotency::Error;

/// The idempotency store as ingest last met it.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    away: AtomicBool,
}

impl Memory {
    /// The answer, or none if there is no memory now. Says so when that begins and when it ends, not for each event.
    pub(crate) fn told<T>(&self, answer: Result<T, Error>) -> Option<T> {
        match answer {
            Ok(answer) => {
                if self.away.load(Ordering::Relaxed) && self.away.swap(false, Ordering::Relaxed) {
                    tracing::info!("repeats are remembered again");
                }
                Some(answer)
            }
            Err(error) => {
                if !self.away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "repeats are not remembered now: events are taken all the same, at least once"
                    );
                }
                None
            }
        }
    }
}
