//! What has to be asked for is asked every few seconds, so that no scrape waits for a server that is away.

use std::sync::Arc;
use std::time::Duration;

use ringback_broker::Depth;
use ringback_console::Console;
use ringback_metrics::{Dependency, Metrics, Queue};
use ringback_runtime::Shutdown;
use ringback_worker::Ports;
use tokio::time::Instant;

use crate::health::Checkup;
use crate::outages::Outages;

const INTERVAL: Duration = Duration::from_secs(5);

/// What does not answer within this is not known.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// Of one kind of message.
type Count = fn(&Depth) -> u64;

/// Asks ports for what metrics tell of them.
pub(crate) struct Sampler {
    ports: Ports,
    checkup: Arc<Checkup>,
    console: Option<Console>,
}

impl Sampler {
    /// Asks whether the ports can do what they are for.
    pub(crate) fn new(ports: &Ports, checkup: Arc<Checkup>) -> Self {
        Self { ports: ports.clone(), checkup, console: None }
    }

    /// The same, which also asks how much waits on the queue and in the history: these are everybody's, so that one who asks
    /// is enough. The console shows what was answered.
    pub(crate) fn of_everything(self, console: Console) -> Self {
        Self { console: Some(console), ..self }
    }

    /// Asks until asked to stop.
    ///
    /// # Errors
    /// None: what can't be asked now is asked again later.
    pub(crate) async fn run(self, shutdown: Shutdown) -> Result<(), std::convert::Infallible> {
        let work = async {
            match &self.console {
                None => self.dependencies().await,
                // Each in its own time: one that does not answer keeps no other waiting.
                Some(console) => {
                    tokio::join!(self.dependencies(), self.queue(), self.history(console));
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = shutdown.requested() => {}
        }
        Ok(())
    }

    async fn dependencies(&self) {
        let outages = Outages::default();
        loop {
            let findings = self.checkup.findings().await;
            outages.tell(&findings);
            let metrics = self.metrics();
            metrics.dependency(Dependency::Broker, findings.broker.is_ok());
            metrics.dependency(Dependency::Store, findings.store.is_ok());
            metrics.dependency(Dependency::Idempotency, findings.idempotency.is_ok());
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn queue(&self) {
        let mut deserted = Deserted::default();
        loop {
            let depth = answer(self.ports.broker.depth()).await;
            let oldest = depth.map(|depth| deserted.oldest(&depth));
            let metrics = self.metrics();
            let counts: [(Queue, Count); 7] = [
                (Queue::Fresh, |depth| depth.fresh),
                (Queue::Returned, |depth| depth.returned),
                (Queue::Delayed, |depth| depth.delayed),
                (Queue::Poison, |depth| depth.poison),
                (Queue::Intake, |depth| depth.intake),
                (Queue::Rejected, |depth| depth.rejected),
                (Queue::Unrouted, |depth| depth.unrouted),
            ];
            for (queue, count) in counts {
                metrics.queue(queue, depth.as_ref().map(count));
            }
            metrics.oldest_on_the_queue(oldest);
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn history(&self, console: &Console) {
        loop {
            let now = self.ports.clock.now();
            let backlog = answer(self.ports.store.backlog(now)).await;
            if let Some(backlog) = &backlog {
                console.backlog_was(now, backlog.clone());
            }
            let oldest = backlog.as_ref().map(|backlog| {
                backlog.oldest_due.map_or(Duration::ZERO, |oldest| now.since(oldest))
            });
            self.metrics().history(oldest, backlog.map(|backlog| backlog.overdue));
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn metrics(&self) -> &Metrics {
        &self.ports.metrics
    }
}

/// Since when a queue has messages and nobody to take them. RabbitMQ does not tell how old its messages are, so this is as
/// much as there is to know of them.
#[derive(Default)]
struct Deserted(Option<Instant>);

impl Deserted {
    /// For how long the oldest on the queue is due, as far as can be told; zero if nothing says that there is one.
    fn oldest(&mut self, depth: &Depth) -> Duration {
        self.0 = depth.is_deserted.then(|| self.0.unwrap_or_else(Instant::now));
        let deserted = self.0.map(|since| since.elapsed());
        deserted.max(depth.oldest_due).unwrap_or_default()
    }
}

/// None if there is no answer, or not in time.
async fn answer<T, E>(asked: impl Future<Output = Result<T, E>>) -> Option<T> {
    tokio::time::timeout(ANSWER_WITHIN, asked).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn queue_that_nobody_takes_from_grows_old() {
        let mut deserted = Deserted::default();
        let busy = Depth { fresh: 7, ..Depth::default() };
        let alone = Depth { is_deserted: true, ..busy };
        assert_eq!(deserted.oldest(&busy), Duration::ZERO);
        assert_eq!(deserted.oldest(&alone), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(deserted.oldest(&alone), Duration::from_secs(90));
        assert_eq!(deserted.oldest(&busy), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(deserted.oldest(&alone), Duration::ZERO, "it begins anew");
        let told = Depth { oldest_due: Some(Duration::from_secs(7)), ..busy };
        assert_eq!(deserted.oldest(&told), Duration::from_secs(7));
    }
}
