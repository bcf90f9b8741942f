//! What a receiver remembers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use ringback_core::Timestamp;
use tokio::sync::Notify;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its method.
    pub method: Method,
    /// Its target: path and query.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; empty if the receiver did not read it.
    pub body: Bytes,
    /// When it had come in.
    pub arrived: Instant,
    /// The same, by the wall clock.
    pub arrived_at: Timestamp,
    /// When the answer was given to the connection, if one was.
    pub answered: Option<Instant>,
    /// The status of the answer, if one was given.
    pub status: Option<u16>,
    /// When it was over: answered, or the connection closed by either side. None while it is open.
    pub ended: Option<Instant>,
    /// Which request with this path and `webhook-id` it is: 1 is the first.
    pub number: u32,
}

impl Received {
    /// The value of a header; empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The event's id.
    #[must_use]
    pub fn webhook_id(&self) -> &str {
        self.header("webhook-id")
    }

    /// The body as text, what is not UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// How much a receiver remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Every request, whole.
    Requests,
    /// How many came with each path and `webhook-id`, and when the first did: for benchmarks.
    Counts,
}

/// The requests with one path and one `webhook-id`.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    /// How many.
    pub count: u32,
    /// When the first had come in.
    pub first_arrived: Instant,
}

/// The path and the `webhook-id` of a request.
pub type TallyKey = (String, String);

#[derive(Debug)]
pub(super) struct Log {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    memory: Memory,
    requests: Vec<Received>,
    tallies: HashMap<TallyKey, Tally>,
    total: u64,
    open: usize,
}

impl Log {
    pub(super) fn new(memory: Memory) -> Self {
        let state =
            State { memory, requests: Vec::new(), tallies: HashMap::new(), total: 0, open: 0 };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// Remembers a request that came in, and tells its number. It is open until the [`Exchange`] is dropped.
    pub(super) fn arrived(self: &Arc<Self>, request: &mut Received) -> Exchange {
        let mut state = self.lock();
        let key = (request.uri.path().to_owned(), request.webhook_id().to_owned());
        let tally =
            state.tallies.entry(key).or_insert(Tally { count: 0, first_arrived: request.arrived });
        tally.count += 1;
        request.number = tally.count;
        state.total += 1;
        state.open += 1;
        let index = match state.memory {
            Memory::Requests => {
                state.requests.push(request.clone());
                Some(state.requests.len() - 1)
            }
            Memory::Counts => None,
        };
        drop(state);
        self.changed.notify_waiters();
        Exchange { log: Arc::clone(self), index, status: None }
    }

    pub(super) fn requests(&self) -> Vec<Received> {
        self.lock().requests.clone()
    }

    pub(super) fn tallies(&self) -> HashMap<TallyKey, Tally> {
        self.lock().tallies.clone()
    }

    pub(super) fn total(&self) -> u64 {
        self.lock().total
    }

    pub(super) fn open(&self) -> usize {
        self.lock().open
    }

    /// Returns once `enough` says so of what is remembered, or `deadline` later with false.
    pub(super) async fn wait(
        &self,
        deadline: Duration,
        enough: impl Fn(&View<'_>) -> bool,
    ) -> bool {
        let met = async {
            loop {
                // Armed before looking: a request that comes between the two is not missed.
                let changed = self.changed.notified();
                if self.meets(&enough) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(deadline, met).await.is_ok()
    }

    fn meets(&self, enough: impl Fn(&View<'_>) -> bool) -> bool {
        let state = self.lock();
        enough(&View { requests: &state.requests, total: state.total, open: state.open })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the log")
    }
}

/// What is remembered at one moment.
pub(super) struct View<'a> {
    pub(super) requests: &'a [Received],
    pub(super) total: u64,
    pub(super) open: usize,
}

/// A request that is open.
pub(super) struct Exchange {
    log: Arc<Log>,
    index: Option<usize>,
    status: Option<u16>,
}

impl Exchange {
    /// Ends it with an answer of this status.
    pub(super) fn answered(mut self, status: StatusCode) {
        self.status = Some(status.as_u16());
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut state = self.log.lock();
        state.open -= 1;
        if let Some(index) = self.index {
            let request = &mut state.requests[index];
            let now = Instant::now();
            request.answered = self.status.map(|_| now);
            request.status = self.status;
            request.ended = Some(now);
        }
        drop(state);
        self.log.changed.notify_waiters();
    }
}
