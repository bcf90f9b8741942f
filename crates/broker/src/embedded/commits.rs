//! The queue's share of each commit: publishes put together to bundles, acks, and what is set aside.

use std::sync::Arc;

use ringback_core::Timestamp;
use ringback_core::dispatch::{self, BUNDLE_BYTES_MAX, BUNDLE_LEN_MAX};
use ringback_sqlite::{Participant, Script};
use tokio::sync::oneshot;

use super::Shared;
use super::buffer::{Body, Size, Waiting};
use super::rows::{self, NewRow, Poisoned};
use super::state::{Call, Entry, Writer};
use crate::PublishError;

/// A commit takes no further publish once it has this much: a large one would keep small ones waiting.
const COMMIT_LEN_MAX: usize = 1_024;
const COMMIT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What writes for the queue.
pub(super) struct Commits {
    shared: Arc<Shared>,
    last_id: u64,
    batch: Batch,
}

/// What is in one commit.
#[derive(Default)]
struct Batch {
    rows: Vec<NewRow>,
    confirms: Vec<oneshot::Sender<Result<(), PublishError>>>,
    acks: Vec<u64>,
    poisoned: Vec<Poisoned>,
}

impl Commits {
    /// One that gives ids after `last_id`.
    pub(super) fn new(shared: Arc<Shared>, last_id: u64) -> Self {
        Self { shared, last_id, batch: Batch::default() }
    }

    fn add_rows(&mut self, calls: Vec<Call>) {
        let mut entries: Vec<(Timestamp, Entry)> = Vec::new();
        for call in calls {
            self.batch.confirms.push(call.confirm);
            entries.extend(call.entries.into_iter().map(|entry| (call.queued_at, entry)));
        }
        // Stable: fresh ones (no due time) stay in the order they came.
        entries.sort_by_key(|(_, entry)| entry.due);
        let mut bundle = Bundle::default();
        for (queued_at, entry) in entries {
            if !bundle.takes(&entry) {
                self.add_row(std::mem::take(&mut bundle));
            }
            bundle.add(queued_at, entry);
        }
        self.add_row(bundle);
    }

    fn add_row(&mut self, bundle: Bundle) {
        let Some(queued_at) = bundle.queued_at else {
            return;
        };
        let texts: Vec<&str> = bundle.entries.iter().map(|entry| entry.text.as_str()).collect();
        let payload = dispatch::bundle(texts);
        self.last_id += 1;
        let message = Waiting {
            id: self.last_id,
            due: bundle.due,
            queued_at,
            size: Size { dispatches: bundle.entries.len(), bytes: payload.len() },
            body: Body::Dispatches(
                bundle.entries.into_iter().map(|entry| entry.dispatch).collect(),
            ),
            redelivered: false,
        };
        self.batch.rows.push(NewRow { message, payload });
    }
}

/// Dispatches of one due time (or of none) that are becoming one message.
#[derive(Default)]
struct Bundle {
    entries: Vec<Entry>,
    bytes: usize,
    due: Option<Timestamp>,
    queued_at: Option<Timestamp>,
}

impl Bundle {
    fn takes(&self, entry: &Entry) -> bool {
        self.entries.is_empty()
            || (self.entries.len() < BUNDLE_LEN_MAX
                && self.bytes + entry.text.len() < BUNDLE_BYTES_MAX
                && self.due == entry.due)
    }

    fn add(&mut self, queued_at: Timestamp, entry: Entry) {
        self.queued_at = self.queued_at.or(Some(queued_at));
        self.due = entry.due;
        // One more for the line break.
        self.bytes += entry.text.len() + 1;
        self.entries.push(entry);
    }
}

impl Participant for Commits {
    fn gather(&mut self) -> bool {
        let mut calls = Vec::new();
        let (mut len, mut bytes) = (0, 0);
        {
            let mut state = self.shared.lock();
            while len < COMMIT_LEN_MAX
                && bytes < COMMIT_BYTES_MAX
                && let Some(call) = state.inbox.calls.pop_front()
            {
                len += call.entries.len();
                bytes += call.entries.iter().map(|entry| entry.text.len()).sum::<usize>();
                calls.push(call);
            }
            self.batch.acks = std::mem::take(&mut state.inbox.acks);
            self.batch.poisoned = std::mem::take(&mut state.inbox.poisoned);
            if !state.inbox.calls.is_empty() {
                self.shared.wake.wake();
            }
        }
        self.add_rows(calls);
        !(self.batch.rows.is_empty()
            && self.batch.acks.is_empty()
            && self.batch.poisoned.is_empty())
    }

    fn write(&mut self, script: &mut Script<'_>) -> Result<(), ringback_sqlite::Error> {
        rows::delete(script, &self.batch.acks)?;
        rows::set_aside(script, &self.batch.poisoned)?;
        rows::insert(script, &self.batch.rows)
    }

    fn settle(&mut self, committed: Result<(), &ringback_sqlite::Error>) {
        let batch = std::mem::take(&mut self.batch);
        match committed {
            Ok(()) => self.settle_committed(batch),
            Err(error) => self.settle_failed(batch, error),
        }
    }
}

impl Commits {
    fn settle_committed(&self, batch: Batch) {
        let came = !batch.rows.is_empty();
        let mut earlier_due = false;
        {
            let mut state = self.shared.lock();
            state.writer = Writer::Well;
            let gone = batch.poisoned.iter().map(|poisoned| poisoned.id);
            state.deleted(batch.acks.iter().copied().chain(gone));
            for row in batch.rows {
                earlier_due |= row.message.due.is_some();
                state.arrive(row.message);
            }
        }
        for confirm in batch.confirms {
            // Who does not wait any more does not want to know.
            let _ = confirm.send(Ok(()));
        }
        if came {
            self.shared.arrived.notify_waiters();
        }
        if earlier_due {
            self.shared.feed.notify_one();
        }
    }

    /// Publishes are refused. Acks and what is set aside are kept for another try: they were not promised for a time.
    fn settle_failed(&self, batch: Batch, error: &ringback_sqlite::Error) {
        tracing::error!(
            error = %ringback_runtime::with_causes(error),
            messages = batch.rows.len(),
            acks = batch.acks.len(),
            "the queue could not be written"
        );
        let disk_full = error.is_full();
        {
            let mut state = self.shared.lock();
            state.writer = Writer::Failed { at: self.shared.clock.now(), disk_full };
            state.inbox.acks.extend(batch.acks);
            state.inbox.poisoned.extend(batch.poisoned);
        }
        for confirm in batch.confirms {
            let cause = Box::new(error.share());
            let refused = if disk_full {
                PublishError::Full(cause)
            } else {
                PublishError::Unavailable(cause)
            };
            let _ = confirm.send(Err(refused));
        }
        self.shared.feed.notify_one();
    }
}

impl Drop for Commits {
    /// The writer has stopped: who waits is told so by the dropping of its channel, who comes later by the state.
    fn drop(&mut self) {
        let calls = {
            let mut state = self.shared.lock();
            state.writer = Writer::Gone;
            std::mem::take(&mut state.inbox.calls)
        };
        drop(calls);
        self.shared.feed.notify_one();
    }
}
