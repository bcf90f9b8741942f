//! Whether repeats are remembered now. Without a memory events are taken all the same: they come at least once, and
//! what the history knows of is not sent again.

use ringback_idempotency::Error;
use ringback_runtime::Outage;

/// The idempotency store as ingest last met it.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    outage: Outage,
}

impl Memory {
    /// The answer, or none if there is no memory now. Says so when that begins and when it ends, not for each event.
    pub(crate) fn told<T>(&self, answer: Result<T, Error>) -> Option<T> {
        match answer {
            Ok(answer) => {
                if self.outage.ends() {
                    tracing::info!("repeats are remembered again");
                }
                Some(answer)
            }
            Err(error) => {
                if self.outage.begins() {
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
