//! What a message waits for until it is acked.

use std::sync::{Arc, Mutex};

use ringback_broker::{Message, Receipt};
use ringback_core::{Target, Targets};
use ringback_idempotency::{AttemptKey, Fence};
use ringback_store::HistoryRecord;

/// A claim that was granted.
pub(crate) type Granted = (AttemptKey, Fence);

/// A message on its way to its ack.
pub(crate) struct Bundle {
    receipt: Receipt,
    dispatches: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    holds: usize,
    claims: Vec<Granted>,
}

/// Keeps a message from being acked. Dropping it keeps it so for good: the message comes again.
pub(crate) struct Hold(Arc<Bundle>);

/// A message that nothing holds any more.
pub(crate) struct Done {
    /// To ack it with.
    pub(crate) receipt: Receipt,
    /// To be forgotten once it is acked.
    pub(crate) claims: Vec<Granted>,
}

impl Bundle {
    pub(crate) fn of(message: &Message) -> Arc<Self> {
        let dispatches = message.dispatches.len();
        Arc::new(Self { receipt: message.receipt, dispatches, open: Mutex::default() })
    }

    pub(crate) fn hold(self: &Arc<Self>) -> Hold {
        self.with(|open| open.holds += 1);
        Hold(self.clone())
    }

    /// Takes a claim over, to be forgotten once the message is acked.
    pub(crate) fn leave(&self, claim: Option<Granted>) {
        self.with(|open| open.claims.extend(claim));
    }

    fn with<T>(&self, change: impl FnOnce(&mut Open) -> T) -> T {
        change(&mut self.open.lock().expect("nobody panics holding it"))
    }
}

impl Hold {
    /// Whether others wait for the same ack.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.dispatches > 1
    }

    /// See [`Bundle::leave`].
    pub(crate) fn leave(&self, claim: Option<Granted>) {
        self.0.leave(claim);
    }

    /// Whoever lets go last is told, and has to ack the message.
    #[must_use]
    pub(crate) fn let_go(self) -> Option<Done> {
        self.0
            .with(|open| {
                open.holds -= 1;
                let claims = || std::mem::take(&mut open.claims);
                (open.holds == 0).then(claims)
            })
            .map(|claims| Done { receipt: self.0.receipt, claims })
    }
}

/// The events of a message that are not in the history yet: nobody has resolved them, or they try a callback out.
pub(crate) fn new_events(message: &Message) -> Vec<HistoryRecord> {
    message
        .dispatches
        .iter()
        .filter(|dispatch| match &dispatch.targets {
            Targets::Matching => true,
            Targets::These(targets) => targets.iter().any(Target::is_trial),
        })
        .map(|dispatch| HistoryRecord::Event(dispatch.event.clone()))
        .collect()
}
