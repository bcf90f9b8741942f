//! What a caller waits for: the confirms of all messages that its dispatches went into.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::rabbitmq::error::Unconfirmed;

/// What a caller is told.
pub(super) type Answer = Result<(), Unconfirmed>;

/// One for each call; each of its dispatches holds a clone. A caller whose tickets are all dropped unanswered is told
/// by its receiver.
#[derive(Clone, Debug)]
pub(in crate::rabbitmq) struct Ticket(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    open: AtomicUsize,
    answer: Mutex<Option<oneshot::Sender<Answer>>>,
}

impl Ticket {
    /// A ticket of so many parts, 1 at least, and where its answer comes.
    pub(super) fn new(parts: usize) -> (Self, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        let inner = Inner { open: AtomicUsize::new(parts), answer: Mutex::new(Some(answer)) };
        (Self(Arc::new(inner)), answered)
    }

    /// One part is durable. The last one answers the caller.
    pub(super) fn confirm(&self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.answer(Ok(()));
        }
    }

    /// One part is not: the caller is told at once.
    pub(super) fn fail(&self, why: &Unconfirmed) {
        self.answer(Err(why.clone()));
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.lock().as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    fn answer(&self, answer: Answer) {
        if let Some(caller) = self.lock().take() {
            // A caller that went away has its own answer.
            let _ = caller.send(answer);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<oneshot::Sender<Answer>>> {
        self.0.answer.lock().expect("nobody panics holding it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caller_is_answered_with_the_last_confirm() {
        let (ticket, mut answered) = Ticket::new(2);
        ticket.confirm();
        assert!(answered.try_recv().is_err());
        ticket.confirm();
        assert!(matches!(answered.try_recv(), Ok(Ok(()))));
    }

    #[test]
    fn caller_is_answered_with_the_first_failure() {
        let (ticket, mut answered) = Ticket::new(2);
        ticket.fail(&Unconfirmed::Refused);
        ticket.confirm();
        assert!(matches!(answered.try_recv(), Ok(Err(Unconfirmed::Refused))));
        assert!(ticket.is_abandoned());
    }

    #[test]
    fn caller_that_went_away_is_noticed() {
        let (ticket, answered) = Ticket::new(1);
        assert!(!ticket.is_abandoned());
        drop(answered);
        assert!(ticket.is_abandoned());
    }
}
