//! The end of a message: its rows are written with those of others, then it is acked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::queue::Queue;
use super::rows::{Row, Rows};

/// Rows that are written together at the most, and how long the first waits for them.
const ROWS_MAX: usize = 500;
const WAIT_MAX: Duration = Duration::from_millis(5);

/// A message of which every request is answered.
pub(super) struct Done {
    pub(super) delivery_tag: u64,
    pub(super) rows: Vec<Row>,
}

/// Settles messages until nobody can send more.
pub(super) async fn settle(
    mut done: mpsc::UnboundedReceiver<Done>,
    queue: Arc<Queue>,
    mut rows: Option<Rows>,
) -> Result<()> {
    let mut acks = Acks { next: 1, done: BTreeSet::new() };
    while let Some(first) = done.recv().await {
        let deadline = Instant::now() + WAIT_MAX;
        acks.done.insert(first.delivery_tag);
        let mut batch = first.rows;
        while batch.len() < ROWS_MAX {
            let Ok(Some(more)) = timeout_at(deadline, done.recv()).await else { break };
            acks.done.insert(more.delivery_tag);
            batch.extend(more.rows);
        }
        if let Some(rows) = &mut rows {
            for chunk in batch.chunks(ROWS_MAX) {
                rows.insert(chunk).await?;
            }
        }
        if let Some(delivery_tag) = acks.take() {
            queue.ack_up_to(delivery_tag).await?;
        }
    }
    Ok(())
}

/// Messages are acked up to the first that is not done, all in one.
struct Acks {
    next: u64,
    done: BTreeSet<u64>,
}

impl Acks {
    /// Up to which message all are done, if that is further than before.
    fn take(&mut self) -> Option<u64> {
        let before = self.next;
        while self.done.remove(&self.next) {
            self.next += 1;
        }
        (self.next > before).then_some(self.next - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_nothing_open_before_it_is_acked() {
        let mut acks = Acks { next: 1, done: BTreeSet::from([2, 3]) };
        assert_eq!(acks.take(), None);
        acks.done.insert(1);
        assert_eq!(acks.take(), Some(3));
        assert_eq!(acks.take(), None);
    }
}
