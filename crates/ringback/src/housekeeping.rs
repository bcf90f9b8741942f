//! What is kept for a time is deleted after it: history, and keys that clients chose. Once an hour, in small steps.

use std::sync::Arc;
use std::time::Duration;

use ringback_runtime::Shutdown;
use ringback_worker::Ports;

const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Events deleted in one step: a few milliseconds of the writer's time.
const STEP_EVENTS: usize = 200;

/// Between two steps others write.
const STEP_PAUSE: Duration = Duration::from_millis(50);

/// Deletes what is too old, now and every hour, until asked to stop.
///
/// # Errors
/// None: what can't be deleted now is tried again an hour later.
pub(crate) async fn run(
    ports: Ports,
    claims: Option<Arc<ringback_idempotency::embedded::Embedded>>,
    retention: Duration,
    shutdown: Shutdown,
) -> Result<(), std::convert::Infallible> {
    loop {
        let clean = async {
            delete_history(&ports, retention).await;
            if let Some(claims) = &claims
                && let Err(error) = claims.expire().await
            {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "old keys are not deleted"
                );
            }
            ports.clock.sleep_until(ports.clock.now() + INTERVAL).await;
        };
        tokio::select! {
            () = clean => {}
            () = shutdown.requested() => return Ok(()),
        }
    }
}

async fn delete_history(ports: &Ports, retention: Duration) {
    let accepted_before = ports.clock.now() - retention;
    let mut deleted = 0;
    loop {
        match ports.store.delete_history(accepted_before, STEP_EVENTS).await {
            Ok(0) => break,
            Ok(events) => deleted += events,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "old history is not deleted"
                );
                return;
            }
        }
        tokio::time::sleep(STEP_PAUSE).await;
    }
    if deleted > 0 {
        tracing::info!(events = deleted, %accepted_before, "old history is deleted");
    }
}
