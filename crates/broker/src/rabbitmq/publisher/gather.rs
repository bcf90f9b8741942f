//! How waiting dispatches become messages.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringback_core::dispatch::{self, BUNDLE_BYTES_MAX, BUNDLE_LEN_MAX};
use ringback_core::{Dispatch, Timestamp};
use tokio::time::Instant;

use super::ticket::Ticket;
use crate::rabbitmq::ladder::{self, Wait};
use crate::rabbitmq::message::Outgoing;
use crate::rabbitmq::names::Names;
use crate::rabbitmq::topology::RETURNED;

/// Delayed dispatches wait for others that are due in the same step: 64 in one message cost the ladder a thirtieth of 64
/// messages. It comes off their delay, so it is an eighth of that, and this at the most: less than a step, or what is to
/// wait for a second would go through two levels of the ladder in place of one.
const LINGER_MAX: Duration = Duration::from_millis(ladder::UNIT_MS as u64 / 2);

/// So many wait no longer, and leave together: their messages are full, or nearly.
const GATHERED_MAX: usize = 8 * BUNDLE_LEN_MAX;

/// What waits, and what becomes of it.
pub(super) trait Gather: Send {
    /// What callers hand in.
    type Piece: Send;

    /// Takes in what a caller handed in.
    fn push(&mut self, piece: Self::Piece, now: Timestamp);

    /// The next message, and who waits for it. Leaves out what nobody waits for any more.
    fn take(&mut self, now: Timestamp) -> Option<(Outgoing, Vec<Ticket>)>;

    /// Whether [`take`](Self::take) is to be called.
    fn waiting(&self) -> Waiting;
}

/// Whether there is something to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// No.
    Nothing,
    /// Yes.
    Something,
    /// Yes, but more may come until then.
    Until(Instant),
}

impl Waiting {
    fn unless(empty: bool) -> Self {
        if empty { Self::Nothing } else { Self::Something }
    }
}

/// A dispatch that waits to be published.
#[derive(Debug)]
pub(in crate::rabbitmq) struct Part {
    pub text: String,
    /// As far as known: at least one.
    pub deliveries: usize,
    pub ticket: Ticket,
}

impl Part {
    pub(super) fn of(dispatch: &Dispatch, ticket: &Ticket) -> Self {
        Self {
            text: dispatch::encode(dispatch),
            deliveries: dispatch.targets.deliveries_known(),
            ticket: ticket.clone(),
        }
    }
}

/// Makes ids of messages: unique, and not guessed from each other's process.
#[derive(Clone, Debug)]
pub(in crate::rabbitmq) struct Ids(Arc<(u64, AtomicU64)>);

impl Ids {
    pub(in crate::rabbitmq) fn new() -> Self {
        let mut bytes = [0; 8];
        // Without randomness two processes may use the same ids: they are for people who look.
        let _ = getrandom::fill(&mut bytes);
        Self(Arc::new((u64::from_be_bytes(bytes), AtomicU64::new(0))))
    }

    pub(in crate::rabbitmq) fn next(&self) -> String {
        let (process, numbers) = &*self.0;
        format!("{process:016x}-{}", numbers.fetch_add(1, Ordering::Relaxed))
    }
}

/// New events: whatever waits when there is room for a message, in order.
pub(super) struct Fresh {
    exchange: String,
    spread: Spread,
    ids: Ids,
    waiting: VecDeque<Part>,
}

/// How routing keys are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spread {
    /// There is one queue.
    One,
    /// The server hashes them to spread messages over queues.
    Hashed,
}

impl Fresh {
    pub(super) fn new(names: &Names, ids: Ids) -> Self {
        let spread = if names.shards() == 1 { Spread::One } else { Spread::Hashed };
        Self { exchange: names.dispatch(), spread, ids, waiting: VecDeque::new() }
    }
}

impl Gather for Fresh {
    type Piece = Vec<Part>;

    fn push(&mut self, parts: Vec<Part>, _now: Timestamp) {
        self.waiting.extend(parts);
    }

    fn take(&mut self, _now: Timestamp) -> Option<(Outgoing, Vec<Ticket>)> {
        let mut bundle = Bundle::default();
        while !bundle.is_full()
            && let Some(part) = self.waiting.pop_front()
        {
            bundle.add(part);
        }
        let id = self.ids.next();
        let key = match self.spread {
            Spread::One => "0",
            Spread::Hashed => &id,
        };
        bundle.finish(|texts| Outgoing::bundle(&self.exchange, key, &id, texts))
    }

    fn waiting(&self) -> Waiting {
        Waiting::unless(self.waiting.is_empty())
    }
}

/// What is due later: whatever is due in the same step of the ladder, the soonest first.
pub(super) struct Delayed {
    names: Names,
    ids: Ids,
    /// By due time, then by arrival. What is due in the same step stands together, whatever the time is.
    waiting: BTreeMap<(Timestamp, u64), Part>,
    arrivals: u64,
    /// When the first of them has waited long enough; it takes the others along.
    lingers_until: Option<Instant>,
}

impl Delayed {
    pub(super) fn new(names: &Names, ids: Ids) -> Self {
        let waiting = BTreeMap::new();
        Self { names: names.clone(), ids, waiting, arrivals: 0, lingers_until: None }
    }

    fn message(&self, wait: Wait, due: Timestamp, texts: &[&str]) -> Outgoing {
        let id = self.ids.next();
        let ladder = |delay: ladder::Delay| {
            let exchange = self.names.level(delay.level());
            Outgoing::bundle(&exchange, &delay.routing_key(RETURNED), &id, texts)
        };
        match wait {
            Wait::None => Outgoing::returned(&self.names, &id, texts),
            Wait::Whole(delay) => ladder(delay),
            Wait::Part(delay) => ladder(delay).due(due),
        }
    }
}

impl Gather for Delayed {
    type Piece = Vec<(Timestamp, Part)>;

    fn push(&mut self, parts: Vec<(Timestamp, Part)>, now: Timestamp) {
        let Some(soonest) = parts.iter().map(|(due, _)| *due).min() else { return };
        for (due, part) in parts {
            self.waiting.insert((due, self.arrivals), part);
            self.arrivals += 1;
        }
        let is_enough = self.waiting.len() >= GATHERED_MAX;
        let linger = (soonest.since(now) / 8).min(LINGER_MAX);
        let end = Instant::now() + if is_enough { Duration::ZERO } else { linger };
        self.lingers_until = Some(self.lingers_until.map_or(end, |until| until.min(end)));
    }

    fn take(&mut self, now: Timestamp) -> Option<(Outgoing, Vec<Ticket>)> {
        let mut bundle = Bundle::default();
        let mut step: Option<(Wait, Timestamp)> = None;
        let mut due_last = now;
        while !bundle.is_full()
            && let Some(first) = self.waiting.first_entry()
        {
            let due = first.key().0;
            let wait = ladder::wait(due, now);
            // What the ladder can't hold to the end carries its due time: one for all, the last one's.
            let same = step.is_none_or(|(its_wait, due_first)| {
                let together = due.since(due_first) < ladder::UNIT;
                wait == its_wait && (together || !matches!(wait, Wait::Part(_)))
            });
            if !same {
                break;
            }
            if bundle.add(first.remove()) {
                step.get_or_insert((wait, due));
                due_last = due;
            }
        }
        if self.waiting.is_empty() {
            self.lingers_until = None;
        }
        let (wait, _) = step?;
        bundle.finish(|texts| self.message(wait, due_last, texts))
    }

    fn waiting(&self) -> Waiting {
        self.lingers_until.map_or(Waiting::Nothing, Waiting::Until)
    }
}

/// Messages that are ready as they are.
#[derive(Default)]
pub(super) struct Ready {
    waiting: VecDeque<(Outgoing, Ticket)>,
}

impl Gather for Ready {
    type Piece = (Outgoing, Ticket);

    fn push(&mut self, piece: (Outgoing, Ticket), _now: Timestamp) {
        self.waiting.push_back(piece);
    }

    fn take(&mut self, _now: Timestamp) -> Option<(Outgoing, Vec<Ticket>)> {
        while let Some((message, ticket)) = self.waiting.pop_front() {
            if !ticket.is_abandoned() {
                return Some((message, vec![ticket]));
            }
        }
        None
    }

    fn waiting(&self) -> Waiting {
        Waiting::unless(self.waiting.is_empty())
    }
}

/// A bundle in the making.
#[derive(Default)]
struct Bundle {
    texts: Vec<String>,
    tickets: Vec<Ticket>,
    deliveries: usize,
    bytes: usize,
}

impl Bundle {
    /// Deliveries are counted and not dispatches: the parts of a large fan-out are for several workers.
    fn is_full(&self) -> bool {
        self.deliveries >= BUNDLE_LEN_MAX || self.bytes >= BUNDLE_BYTES_MAX
    }

    /// Whether it was added: not if nobody waits for it.
    fn add(&mut self, part: Part) -> bool {
        if part.ticket.is_abandoned() {
            return false;
        }
        self.bytes += part.text.len();
        self.deliveries += part.deliveries;
        self.texts.push(part.text);
        self.tickets.push(part.ticket);
        true
    }

    fn finish(self, message: impl FnOnce(&[&str]) -> Outgoing) -> Option<(Outgoing, Vec<Ticket>)> {
        if self.texts.is_empty() {
            return None;
        }
        let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        Some((message(&texts), self.tickets))
    }
}
