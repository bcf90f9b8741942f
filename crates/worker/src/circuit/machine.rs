//! The states of a circuit: pure, time comes in as an argument.
//!
//! Time is that of the [`Clock`](ringback_runtime::Clock) and not monotonic, as everything is that what waits for it
//! comes back by; so both agree after a step of the clock or a suspended machine, and tests move it by hand.

use std::collections::VecDeque;
use std::time::Duration;

use ringback_core::Timestamp;
use ringback_core::callback::CircuitPolicy;

use super::CircuitState;

/// No circuit stays open longer than so many times its first time.
const OPEN_FACTOR_MAX: u32 = 10;

/// A circuit.
#[derive(Debug, Default)]
pub(super) struct Machine {
    state: State,
    /// Counts openings and closings: a verdict on an attempt that began before the last one is late.
    turn: u64,
}

#[derive(Debug)]
enum State {
    Closed(Lately),
    Open(Open),
}

/// The last attempts. None are kept while none of them failed, so a healthy callback costs nothing.
#[derive(Debug, Default)]
struct Lately {
    failures_in_a_row: u32,
    /// Whether each failed.
    last: VecDeque<bool>,
    failures: usize,
}

#[derive(Debug)]
struct Open {
    /// When it last turned out to be in trouble.
    since: Timestamp,
    opened_at: Timestamp,
    probes_failed: u32,
    /// A probe is under way.
    probing: bool,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    /// A delivery whose turn it is.
    InTurn,
    /// Somebody who wants to see what happens: is let through an open circuit.
    ByHand,
}

/// What is answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// An attempt may be made.
    Go(Ticket),
    /// Not before so long.
    Wait(Duration),
    /// Not while a probe is under way.
    Probing,
}

/// Names an attempt. To be given back, with a verdict or without.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    turn: u64,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Usual,
    /// Of an open circuit, the only one of its kind at a time.
    Probe,
    /// Of an open circuit. Its success is as good as a probe's, its failure changes nothing: who tries ten deliveries by
    /// hand should not have the circuit stay open ten times as long.
    ByHand,
}

/// What an attempt says of the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is in trouble.
    Trouble,
    /// It answers, be it to refuse.
    Alive,
}

/// What a verdict brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Opened {
        /// Among the last attempts.
        failures: u32,
    },
    Closed {
        /// Since when it was open.
        since: Timestamp,
    },
}

impl Machine {
    /// Asks for leave to make an attempt. The policy may be another one each time: it counts from now on.
    pub(super) fn admit(
        &mut self,
        policy: &CircuitPolicy,
        asking: Asking,
        now: Timestamp,
    ) -> Answer {
        if !policy.enabled && matches!(self.state, State::Open(_)) {
            self.turn_to(State::default());
        }
        let turn = self.turn;
        let go = |role| Answer::Go(Ticket { turn, role });
        let State::Open(open) = &mut self.state else {
            return go(Role::Usual);
        };
        let left = open.left(policy, now);
        if asking == Asking::ByHand {
            go(Role::ByHand)
        } else if !left.is_zero() {
            Answer::Wait(left)
        } else if open.probing {
            Answer::Probing
        } else {
            open.probing = true;
            go(Role::Probe)
        }
    }

    /// Takes in what came of an attempt.
    pub(super) fn verdict(
        &mut self,
        policy: &CircuitPolicy,
        ticket: Ticket,
        verdict: Verdict,
        now: Timestamp,
    ) -> Option<Change> {
        if ticket.turn != self.turn || !policy.enabled {
            self.no_verdict(ticket);
            return None;
        }
        match &mut self.state {
            State::Closed(lately) => {
                if !lately.takes(policy, verdict) {
                    return None;
                }
                let failures = u32::try_from(lately.failures).unwrap_or(u32::MAX);
                self.turn_to(State::Open(Open::at(now)));
                Some(Change::Opened { failures })
            }
            State::Open(Open { opened_at: since, .. }) if verdict == Verdict::Alive => {
                let since = *since;
                self.turn_to(State::default());
                Some(Change::Closed { since })
            }
            State::Open(open) => {
                if ticket.role == Role::Probe {
                    let probes_failed = open.probes_failed.saturating_add(1);
                    *open = Open { opened_at: open.opened_at, probes_failed, ..Open::at(now) };
                }
                None
            }
        }
    }

    /// An attempt was not made, or says nothing. The next one may be the probe instead.
    pub(super) fn no_verdict(&mut self, ticket: Ticket) {
        if let State::Open(open) = &mut self.state
            && ticket.turn == self.turn
            && ticket.role == Role::Probe
        {
            open.probing = false;
        }
    }

    pub(super) fn state(&self, policy: &CircuitPolicy, now: Timestamp) -> CircuitState {
        match &self.state {
            State::Closed(_) => CircuitState::Closed,
            State::Open(_) if !policy.enabled => CircuitState::Closed,
            State::Open(open) if now < open.since + open.lasts(policy) => CircuitState::Open,
            State::Open(_) => CircuitState::HalfOpen,
        }
    }

    fn turn_to(&mut self, state: State) {
        self.state = state;
        self.turn += 1;
    }
}

impl Default for State {
    fn default() -> Self {
        Self::Closed(Lately::default())
    }
}

impl Lately {
    /// Takes in a verdict. Whether it is one too many.
    fn takes(&mut self, policy: &CircuitPolicy, verdict: Verdict) -> bool {
        let failed = verdict == Verdict::Trouble;
        if !failed && self.last.is_empty() {
            return false;
        }
        self.failures_in_a_row = if failed { self.failures_in_a_row.saturating_add(1) } else { 0 };
        self.last.push_back(failed);
        self.failures += usize::from(failed);
        let limit = policy.failures.get();
        while self.last.len() > limit as usize * 4 {
            self.failures -= usize::from(self.last.pop_front() == Some(true));
        }
        if self.failures == 0 {
            self.last.clear();
        }
        self.failures_in_a_row >= limit || self.failures >= limit as usize * 3
    }
}

impl Open {
    fn at(now: Timestamp) -> Self {
        Self { since: now, opened_at: now, probes_failed: 0, probing: false }
    }

    fn lasts(&self, policy: &CircuitPolicy) -> Duration {
        let factor = 1_u32.checked_shl(self.probes_failed).unwrap_or(OPEN_FACTOR_MAX);
        policy.open_for * factor.min(OPEN_FACTOR_MAX)
    }

    fn left(&mut self, policy: &CircuitPolicy, now: Timestamp) -> Duration {
        // The clock may have been put back: then it begins anew, and does not wait for the old time to come again.
        self.since = self.since.min(now);
        (self.since + self.lasts(policy)).since(now)
    }
}

#[cfg(test)]
mod tests;
