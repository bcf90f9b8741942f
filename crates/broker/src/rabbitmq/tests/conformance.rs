//! The suite that every adapter runs.

use async_trait::async_trait;
use ringback_core::Timestamp;

use super::*;
use crate::conformance::{self, Counted, Harness};

struct RabbitmqHarness {
    settings: Settings,
    running: Option<Running>,
}

impl RabbitmqHarness {
    async fn new(settings: Settings) -> Self {
        Self { running: Some(Running::start(settings.clone()).await), settings }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it was started")
    }
}

#[async_trait]
impl Harness for RabbitmqHarness {
    fn broker(&self) -> Arc<dyn Broker> {
        self.running().broker.clone()
    }

    async fn stop(&mut self) {
        let running = self.running.as_mut().expect("it was started");
        running.stop().await;
    }

    async fn start(&mut self) {
        let again = Running::start(self.settings.clone()).await;
        // It shares its names with the one before, which must not delete them.
        if let Some(before) = self.running.replace(again) {
            before.leave();
        }
    }

    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    async fn advance(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }

    fn step(&self) -> Duration {
        // Two steps of the ladder: each message is put in a little after the one before.
        Duration::from_millis(500)
    }

    fn tolerance(&self) -> u32 {
        // A busy server moves messages a little late.
        2
    }

    fn counted(&self) -> Counted {
        Counted::Waiting
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_queue_keeps_the_promises_of_the_port() {
    // They mostly wait. But each declares some thirty quorum queues at first, which keeps a server busy.
    conformance::run(|| RabbitmqHarness::new(fresh_settings()), 3).await;
}
