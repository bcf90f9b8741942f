//! An attempt that takes long does not hold up its bundle: a copy of it takes its place on the queue.
//!
//! **Problem.** A message of the queue is a bundle, and is acked as a whole. One receiver that takes a minute would keep
//! 63 deliveries that are done from being acked, and a broker that counts messages from handing out more.
//!
//! **Invariant.** At every moment an attempt that is not recorded is in a message that is not acked, or has a copy on the
//! queue. The copy is looked up before it is sent, and comes when the attempt must be over. So, if the process dies
//!
//! - before the copy is confirmed: the message comes again. The copy, if it came through, finds it claimed or recorded.
//! - between that and the ack: both come again, and whichever is first makes the attempt; the other finds it recorded.
//! - after the ack: the copy makes the attempt, once the dead worker's claim has run out.
//! - after the retry is published, before the record: the copy makes the attempt again, and publishes the retry again,
//!   as every message does that dies there. The second of the equal retries finds the first recorded.
//! - after the record: the copy finds it, in the history if not as a mark.
//!
//! If it lives, the claim keeps the copy away as long as it lasts: until the attempt must be over, and some seconds more
//! to record it. One case is left open: history or queue are away for longer than that, and another worker takes the copy
//! before this one has written what it owes. [`History`](crate::history::History) leaves time for that.

use std::time::Duration;

use ringback_core::Timestamp;
use ringback_core::delivery::DeliveryState;

use super::Pipeline;
use crate::insist::Stopped;
use crate::job::Job;
use crate::sender::Exchange;

/// An attempt that takes longer is shown in the history as under way, and handed over if others wait for its bundle.
pub(super) const SLOW_AFTER: Duration = Duration::from_secs(1);

/// The copy of an attempt that was handed over comes so long after the attempt must be over.
const COPY_MARGIN: Duration = Duration::from_secs(5);

impl Pipeline {
    /// An attempt that takes long: it is handed over if others wait for its message, and shown as under way.
    ///
    /// # Errors
    /// [`Stopped`]: what came of it is not known.
    pub(super) async fn hand_over(
        &self,
        job: &mut Job,
        since: Timestamp,
        timeout: Duration,
        mut exchange: impl Future<Output = Exchange> + Unpin,
    ) -> Result<Exchange, Stopped> {
        let copied = async {
            // Alone in its message it keeps nobody waiting.
            if job.hold.as_ref().is_none_or(|hold| !hold.is_shared()) {
                return Ok(None);
            }
            let copy = vec![job.again(since + timeout + COPY_MARGIN)];
            self.publish_after(copy).await.map(Some)
        };
        let copied = tokio::select! {
            biased;
            exchange = &mut exchange => return Ok(exchange),
            copied = copied => copied?,
        };
        let hold = copied.and_then(|()| job.hold.take());
        let handed_over = async {
            if let Some(hold) = hold {
                self.let_go(hold).await;
            }
        };
        job.is_slow = true;
        let shown = self.show_under_way(job, since);
        let (exchange, (), ()) = futures_util::join!(exchange, handed_over, shown);
        Ok(exchange)
    }

    /// For people to see, so nothing depends on it.
    async fn show_under_way(&self, job: &Job, since: Timestamp) {
        let state = DeliveryState::Pending { next_attempt_at: since, waits: None };
        self.history.try_to_record(job.stands(state, self.clock.now())).await;
    }
}
