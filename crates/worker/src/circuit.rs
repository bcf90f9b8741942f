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
use ringback_core::{Account, Callback, CallbackId, Outcome, Timestamp};
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

    /// Each callback that this worker knows, in no order.
    #[must_use]
    pub fn states(&self) -> Vec<(CallbackId, CircuitState)> {
        let now = self.clock.now();
        let listing = self.directory.known();
        let state =
            |callback: &Callback, circuit: &Circuit| circuit.lock().state(&callback.circuit, now);
        listing
            .all()
            .map(|entry| (entry.callback.id, state(&entry.callback, &entry.circuit)))
            .collect()
    }
}

/// The circuit of one callback.
#[derive(Debug, Default)]
pub(crate) struct Circuit(Mutex<Machine>);

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
        match self.lock().admit(policy, asking, now) {
            Answer::Go(ticket) => Ok(Pass { circuit: self.clone(), ticket: Some(ticket) }),
            Answer::Wait(left) => Err(NotNow::Open { left }),
            Answer::Probing => Err(NotNow::Probing),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().expect("nobody panics holding it")
    }
}

impl Pass {
    /// Tells what came of the attempt.
    pub(crate) fn report(mut self, callback: &Callback, outcome: &Outcome, now: Timestamp) {
        let verdict = match outcome {
            // Nothing was sent.
            Outcome::Blocked { .. } => return,
            outcome if outcome.is_trouble() => Verdict::Trouble,
            _ => Verdict::Alive,
        };
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let change = self.circuit.lock().verdict(&callback.circuit, ticket, verdict, now);
        let account = callback.account.as_ref().map(Account::as_str);
        match change {
            Some(Change::Opened) => tracing::warn!(
                callback = %callback.id, account,
                "its endpoint fails: left alone for {:?}, and longer while it does not recover",
                callback.circuit.open_for
            ),
            Some(Change::Closed) => {
                tracing::info!(callback = %callback.id, account, "its endpoint answers again");
            }
            None => {}
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.circuit.lock().no_verdict(ticket);
        }
    }
}
