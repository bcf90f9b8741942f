//! What pages have in memory is read before anybody looks, so that no visitor waits for it.

use std::convert::Infallible;
use std::time::Duration;

use ringback_runtime::Shutdown;
use ringback_store::Error;

use super::traffic;
use super::waiting::Pending;
use crate::Console;

/// A visitor brings up to date what was read then.
const READ_EVERY: Duration = Duration::from_secs(5 * 60);
/// After it could not be read for the first time. Each time after that it is twice as long.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

impl Console {
    /// Keeps in memory what pages show of all callbacks and of the whole instance, until asked to stop.
    ///
    /// # Errors
    /// None: what can't be read now is tried again.
    pub async fn keep_pages_ready(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let reading = async {
            let mut after_failure = PAUSE_AFTER_FAILURE;
            loop {
                let pause = match read(&self).await {
                    Ok(()) => {
                        after_failure = PAUSE_AFTER_FAILURE;
                        READ_EVERY
                    }
                    Err(error) => {
                        let error = &error as &(dyn std::error::Error + 'static);
                        tracing::warn!(error, "read what pages show in vain, trying again");
                        let next = READ_EVERY.min(after_failure * 2);
                        std::mem::replace(&mut after_failure, next)
                    }
                };
                self.clock.sleep_until(self.clock.now() + pause).await;
            }
        };
        tokio::select! {
            () = reading => {}
            () = shutdown.requested() => {}
        }
        Ok(())
    }
}

async fn read(console: &Console) -> Result<(), Error> {
    console.known.now().await?;
    traffic::keep(console).await?;
    Pending::keep(console).await
}
