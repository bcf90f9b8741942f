//! Leaves an endpoint alone for a while that fails again and again.
//!
//! **Problem.** An endpoint that is down gets every event, and each costs a request, a place for as long as its timeout,
//! and one of the few retries that its delivery has. When it comes up again, the deliveries of the first hour are spent.
//!
//! **Design.** Each callback has a circuit in each worker ([`machine`]). It opens after failures in a row, or after many
//! among the last. What comes meanwhile is put off, which is no attempt. After a time that doubles while it is in vain,
//! one request goes as a probe: if it is answered, the circuit closes.

mod machine;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ringback_core::callback::CircuitPolicy;
use ringback_core::{Account, Callback, CallbackId, Event, Outcome, Timestamp, operational};
use ringback_runtime::Clock;

pub(crate) use self::machine::Asking;
use self::machine::{Answer, Change, Machine, Ticket, Verdict};
use crate::directory::Directory;

/// Whether deliveries to a callback are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    /// They are.
    Closed,
    /// One of them is, or the next one will be, to see how the endpoint is.
    HalfOpen,
    /// They wait.
    Open,
}

impl CircuitState {
    /// As it stands in metrics: 0 closed, 1 half-open, 2 open.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

/// How the circuits of a worker stand.
#[derive(Clone)]
pub struct Circuits {
    directory: Arc<Directory>,
    clock: Arc<dyn Clock>,
}

impl Circuits {
    pub(crate) fn new(directory: Arc<Directory>, clock: Arc<dyn Clock>) -> Self {
        Self { directory, clock }
    }

    /// [`states`](Self::states) as numbers, for metrics; none when the worker is gone.
    pub(crate) fn watched(&self) -> Box<dyn Fn() -> Vec<(CallbackId, u8)> + Send + Sync> {
        // What counts is held by the directory: held by it in turn, neither would ever go.
        let (directory, clock) = (Arc::downgrade(&self.directory), self.clock.clone());
        Box::new(move || {
            let Some(directory) = directory.upgrade() else { return Vec::new() };
            let states = Self { directory, clock: clock.clone() }.states();
            states.into_iter().map(|(id, state)| (id, state.number())).collect()
        })
    }

    /// Each callback that this worker knows, in no order.
    #[must_use]
    pub fn states(&self) -> Vec<(CallbackId, CircuitState)> {
        let now = self.clock.now();
        let listing = self.directory.known();
        let state = |callback: &Callback, circuit: &Circuit| {
            circuit.lock().machine.state(&callback.circuit, now)
        };
        listing
            .all()
            .map(|entry| (entry.callback.id, state(&entry.callback, &entry.circuit)))
            .collect()
    }
}

/// The circuit of one callback.
#[derive(Debug, Default)]
pub(crate) struct Circuit(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    machine: Machine,
    /// Its opening was worth telling, and so its closing is.
    told: bool,
}

/// What is worth telling of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It opened.
    Opened {
        /// When.
        at: Timestamp,
        /// Among the last attempts.
        failures: u32,
    },
    /// It closed.
    Closed {
        /// When.
        at: Timestamp,
        /// Since when it was open.
        since: Timestamp,
    },
}

/// Leave to make one attempt. If it is dropped without a verdict, the attempt says nothing of the endpoint.
pub(crate) struct Pass {
    circuit: Arc<Circuit>,
    ticket: Option<Ticket>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotNow {
    /// Not before so long.
    Open { left: Duration },
    /// Another one finds out how the endpoint is.
    Probing,
}

impl Circuit {
    pub(crate) fn admit(
        self: &Arc<Self>,
        policy: &CircuitPolicy,
        asking: Asking,
        now: Timestamp,
    ) -> Result<Pass, NotNow> {
        match self.lock().machine.admit(policy, asking, now) {
            Answer::Go(ticket) => Ok(Pass { circuit: self.clone(), ticket: Some(ticket) }),
            Answer::Wait(left) => Err(NotNow::Open { left }),
            Answer::Probing => Err(NotNow::Probing),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().expect("nobody panics holding it")
    }
}

impl Pass {
    /// Takes in what came of the attempt to deliver `event`. What is worth telling others.
    ///
    /// An opening that an operational event brought about is not, nor the closing after it: told to the same endpoint, it
    /// could bring about the next one. So all that is told goes back to an event of a producer, twice at the most.
    pub(crate) fn report(
        mut self,
        callback: &Callback,
        event: &Event,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Option<Turn> {
        let verdict = match outcome {
            // Nothing was sent.
            Outcome::Blocked { .. } => return None,
            outcome if outcome.is_trouble() => Verdict::Trouble,
            _ => Verdict::Alive,
        };
        let ticket = self.ticket.take()?;
        let (change, turn) = {
            let mut circuit = self.circuit.lock();
            let change = circuit.machine.verdict(&callback.circuit, ticket, verdict, now);
            (change, circuit.turn(change, event, now))
        };
        let account = callback.account.as_ref().map(Account::as_str);
        match change {
            Some(Change::Opened { .. }) => tracing::warn!(
                event = %event.id, callback = %callback.id, account, outcome = outcome.kind(),
                "its endpoint fails: left alone for {:?}, and longer while it does not recover",
                callback.circuit.open_for
            ),
            Some(Change::Closed { .. }) => {
                tracing::info!(event = %event.id, callback = %callback.id, account, "its endpoint answers again");
            }
            None => {}
        }
        turn
    }
}

impl Watched {
    fn turn(&mut self, change: Option<Change>, by: &Event, at: Timestamp) -> Option<Turn> {
        match change? {
            Change::Opened { failures } => {
                self.told = !operational::is_reserved(&by.name);
                self.told.then_some(Turn::Opened { at, failures })
            }
            Change::Closed { since } => {
                std::mem::take(&mut self.told).then_some(Turn::Closed { at, since })
            }
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.circuit.lock().machine.no_verdict(ticket);
        }
    }
}
