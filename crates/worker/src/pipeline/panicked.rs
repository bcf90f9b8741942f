//! What becomes of dispatches that make the worker panic, which is a bug: they come again later.

use ringback_broker::{Delayed, Receipt};
use ringback_core::Dispatch;

use super::Pipeline;
use crate::insist::Stopped;
use crate::job::Job;
use crate::waits::after_a_panic;

impl Pipeline {
    /// # Errors
    /// [`Stopped`]: its message is not acked.
    pub(super) async fn come_again_after_a_panic(&self, job: &Job) -> Result<(), Stopped> {
        tracing::error!(
            event = %job.event.id, callback = %job.target.callback, account = %job.event.account,
            delivery = %job.key.delivery,
            "a delivery made the worker panic: it comes again later"
        );
        // What was handed over comes again by itself.
        if job.hold.is_none() {
            return Ok(());
        }
        let now = self.clock.now();
        let due = now + after_a_panic(now.since(job.event.accepted_at));
        self.publish_after(vec![job.again(due)]).await
    }

    /// Takes a message apart that made the worker panic, which is a bug: each of its dispatches comes again for itself,
    /// so that the one that brings it about takes nobody along; after a while, so that it does not keep the machine
    /// busy.
    ///
    /// # Errors
    /// [`Stopped`]: it is not acked.
    pub(crate) async fn take_apart(
        &self,
        dispatches: Vec<Dispatch>,
        receipt: Receipt,
    ) -> Result<(), Stopped> {
        let now = self.clock.now();
        let apart = dispatches.into_iter().map(|dispatch| {
            let due = now + after_a_panic(now.since(dispatch.event.accepted_at));
            Delayed { due, dispatch: dispatch.in_doubt() }
        });
        self.publish_after(apart.collect()).await?;
        self.broker.ack(receipt);
        Ok(())
    }
}
