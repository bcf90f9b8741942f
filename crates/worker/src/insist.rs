//! What has to be done before an ack is tried again and again, until it succeeds or the process stops.

use std::time::Duration;

use ringback_runtime::Shutdown;

/// The process stops before the work is done: the message stays unacked, and comes again.
#[derive(Debug)]
pub(crate) struct Stopped;

/// Does it, again and again while it fails.
///
/// # Errors
/// [`Stopped`]: `give_up` was requested before it succeeded.
pub(crate) async fn insist<T, E, F>(
    give_up: &Shutdown,
    outage: &Outage,
    what: &str,
    mut call: impl FnMut() -> F,
) -> Result<T, Stopped>
where
    F: Future<Output = Result<T, E>>,
    E: std::error::Error + 'static,
{
    let mut pauses = Pauses::up_to(Duration::from_secs(5));
    loop {
        match call().await {
            Ok(done) => {
                outage.is_over("the queue takes messages again");
                return Ok(done);
            }
            Err(error) => {
                outage.tell(&format!("can't {what}, trying again until it succeeds"), &error);
            }
        }
        pauses.pause(give_up).await?;
    }
}

/// Whether a server is away, as far as logs go: thousands may be waiting for it, and its outage is one.
#[derive(Debug, Default)]
pub(crate) struct Outage(ringback_runtime::Outage);

impl Outage {
    /// Logs a failure: loudly the first time only.
    pub(crate) fn tell(&self, what: &str, error: &(dyn std::error::Error + 'static)) {
        if self.0.begins() {
            tracing::warn!(error, "{what}");
        } else {
            tracing::debug!(error, "still: {what}");
        }
    }

    /// Logs that it is over, if there was one.
    pub(crate) fn is_over(&self, what: &str) {
        if self.0.ends() {
            tracing::info!("{what}");
        }
    }
}

/// The pauses between tries: 100 ms, then each twice as long as the last one.
pub(crate) struct Pauses {
    next: Duration,
    longest: Duration,
    told: bool,
}

impl Pauses {
    /// None longer than this.
    pub(crate) fn up_to(longest: Duration) -> Self {
        Self { next: Duration::from_millis(100), longest, told: false }
    }

    /// Logs a failure: loudly the first time only, for thousands may be waiting for the same server.
    pub(crate) fn tell(&mut self, what: &str, error: &(dyn std::error::Error + 'static)) {
        if std::mem::replace(&mut self.told, true) {
            tracing::debug!(error, "still can't {what}");
        } else {
            tracing::warn!(error, "can't {what}, trying again until it succeeds");
        }
    }

    /// # Errors
    /// [`Stopped`]: `give_up` was requested meanwhile.
    pub(crate) async fn pause(&mut self, give_up: &Shutdown) -> Result<(), Stopped> {
        tokio::select! {
            () = tokio::time::sleep(self.next) => {}
            () = give_up.requested() => return Err(Stopped),
        }
        self.next = (self.next * 2).min(self.longest);
        Ok(())
    }
}
