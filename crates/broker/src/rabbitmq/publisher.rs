//! Publishing: one connection, rebuilt for ever, with a channel for new events, one for delayed ones and one for the
//! rest. A storm of retries does not stand before new events.
//!
//! Whatever happens, whoever publishes new events has an answer within [`ANSWER_WITHIN`]: a producer waits for it. An answer
//! that is no confirm leaves open whether the message is on the queue.

mod gather;
mod lane;
mod ticket;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use lapin::Connection;
use ringback_core::Dispatch;
use ringback_runtime::{Clock, Shutdown};
use tokio::sync::{mpsc, watch};
use tokio::time::{self, Instant};

use self::gather::{Delayed, Fresh, Gather, Ready};
pub(super) use self::gather::{Ids, Part};
pub(super) use self::lane::confirming;
use self::lane::{Lane, Outlet};
pub(super) use self::ticket::Ticket;
use super::connection;
use super::error::{Lost, Unconfirmed};
use super::message::Outgoing;
use super::names::Names;
use super::retry::whole;
use crate::Delayed as DelayedDispatch;

/// A call has its answer within this, unless it is for later.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);
/// For a worker's retries, which nobody waits for. Given up on sooner, a server that is slow would get each of them twice,
/// and be slower.
const ANSWER_FOR_LATER_WITHIN: Duration = Duration::from_secs(10);
/// A connection that is lost may be back in a moment: a call waits this long for it.
const UP_WITHIN: Duration = Duration::from_millis(300);
/// A confirm that came too late counts this long. Not until the next one: who is told to send nothing would never find
/// out that it would come.
const STALL_COUNTS: Duration = Duration::from_secs(10);
/// After the shutdown is requested, what was handed in is confirmed within this, or not at all.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// Whether the server takes messages.
#[derive(Clone)]
pub(super) enum State {
    /// No connection. Why, as far as it is known.
    Down(String),
    /// A connection that takes messages.
    Up(Arc<Connection>),
    /// A connection that does not, and what the server says about it.
    Blocked(String),
    /// This process stops.
    Stopped,
}

/// Hands messages to the task that publishes them. Cheap to share.
pub(super) struct Publisher {
    address: String,
    ids: Ids,
    fresh: mpsc::UnboundedSender<<Fresh as Gather>::Piece>,
    delayed: mpsc::UnboundedSender<<Delayed as Gather>::Piece>,
    ready: mpsc::UnboundedSender<<Ready as Gather>::Piece>,
    state: watch::Sender<State>,
    /// When a confirm last came too late, if none came since.
    stalled: Mutex<Option<Instant>>,
}

/// What waits to be published, for whoever has a connection.
pub(super) struct Lanes {
    fresh: Lane<Fresh>,
    delayed: Lane<Delayed>,
    ready: Lane<Ready>,
}

impl Publisher {
    pub(super) fn new(address: String, names: &Names) -> (Self, Lanes) {
        let ids = Ids::new();
        let (fresh, fresh_inbox) = mpsc::unbounded_channel();
        let (delayed, delayed_inbox) = mpsc::unbounded_channel();
        let (ready, ready_inbox) = mpsc::unbounded_channel();
        let lanes = Lanes {
            fresh: Lane::new(Fresh::new(names, ids.clone()), fresh_inbox),
            delayed: Lane::new(Delayed::new(names, ids.clone()), delayed_inbox),
            ready: Lane::new(Ready::default(), ready_inbox),
        };
        let (state, _) = watch::channel(State::Down("it has not been made yet".to_owned()));
        (Self { address, ids, fresh, delayed, ready, state, stalled: Mutex::new(None) }, lanes)
    }

    /// An id for a message.
    pub(super) fn id(&self) -> String {
        self.ids.next()
    }

    /// Publishes new events.
    pub(super) async fn publish(&self, dispatches: &[Dispatch]) -> Result<(), Unconfirmed> {
        let hand_in = |ticket: Ticket| {
            let parts = dispatches.iter().map(|dispatch| Part::of(dispatch, &ticket)).collect();
            self.fresh.send(parts).is_ok()
        };
        self.confirmed(dispatches.len(), ANSWER_WITHIN, hand_in).await
    }

    /// Publishes what is due later.
    pub(super) async fn publish_after(
        &self,
        delayed: &[DelayedDispatch],
    ) -> Result<(), Unconfirmed> {
        let part = |ticket: &Ticket, DelayedDispatch { due, dispatch }: &DelayedDispatch| {
            (*due, Part::of(dispatch, ticket))
        };
        let hand_in = |ticket: Ticket| {
            let parts = delayed.iter().map(|delayed| part(&ticket, delayed)).collect();
            self.delayed.send(parts).is_ok()
        };
        self.confirmed(delayed.len(), ANSWER_FOR_LATER_WITHIN, hand_in).await
    }

    /// Publishes a message as it is.
    pub(super) async fn publish_ready(&self, message: Outgoing) -> Result<(), Unconfirmed> {
        self.confirmed(1, ANSWER_WITHIN, |ticket| self.ready.send((message, ticket)).is_ok()).await
    }

    async fn confirmed(
        &self,
        parts: usize,
        within: Duration,
        hand_in: impl FnOnce(Ticket) -> bool,
    ) -> Result<(), Unconfirmed> {
        if parts == 0 {
            return Ok(());
        }
        let deadline = Instant::now() + within;
        self.up().await?;
        let (ticket, answered) = Ticket::new(parts);
        if !hand_in(ticket) {
            return Err(Unconfirmed::Stopped);
        }
        let answer = match time::timeout_at(deadline, answered).await {
            Ok(answer) => answer.unwrap_or(Err(Unconfirmed::Lost)),
            Err(_) => Err(self.usable().err().unwrap_or(Unconfirmed::TooLate(within))),
        };
        *self.stalled() = match answer {
            Err(Unconfirmed::TooLate(_)) => Some(Instant::now()),
            _ => None,
        };
        answer
    }

    /// Whether a message would be taken and confirmed now, as far as it is known.
    pub(super) async fn ready(&self) -> Result<(), Unconfirmed> {
        self.up().await?;
        match *self.stalled() {
            Some(at) if at.elapsed() < STALL_COUNTS => Err(Unconfirmed::TooLate(ANSWER_WITHIN)),
            _ => Ok(()),
        }
    }

    fn stalled(&self) -> MutexGuard<'_, Option<Instant>> {
        self.stalled.lock().expect("nobody panics holding it")
    }

    /// The connection, once it takes messages. One that is lost gets a moment to come back.
    pub(super) async fn up(&self) -> Result<Arc<Connection>, Unconfirmed> {
        let mut state = self.state.subscribe();
        let back = state.wait_for(|state| !matches!(state, State::Down(_)));
        // Too late is told by the state itself.
        let _ = time::timeout(UP_WITHIN, back).await;
        self.usable()
    }

    /// The connection, if it takes messages.
    pub(super) fn usable(&self) -> Result<Arc<Connection>, Unconfirmed> {
        match &*self.state.borrow() {
            State::Up(connection) => Ok(Arc::clone(connection)),
            State::Down(why) => {
                Err(Unconfirmed::NotConnected { address: self.address.clone(), why: why.clone() })
            }
            State::Blocked(reason) => Err(Unconfirmed::Blocked { reason: reason.clone() }),
            State::Stopped => Err(Unconfirmed::Stopped),
        }
    }

    /// It can't be published: why.
    pub(super) fn down(&self, error: &dyn std::error::Error) {
        self.state.send_replace(State::Down(whole(error)));
    }

    /// Nothing is published any more.
    pub(super) fn stop(&self) {
        self.state.send_replace(State::Stopped);
    }

    /// Publishes on this connection until it is lost, or until the shutdown is requested and all that was handed in is
    /// confirmed.
    ///
    /// # Errors
    /// Why the connection is lost.
    pub(super) async fn session(
        &self,
        connection: Arc<Connection>,
        lanes: &mut Lanes,
        clock: &dyn Clock,
        shutdown: &Shutdown,
    ) -> Result<(), Lost> {
        let fresh = Outlet::open(&connection).await?;
        let delayed = Outlet::open(&connection).await?;
        let ready = Outlet::open(&connection).await?;
        self.state.send_replace(State::Up(Arc::clone(&connection)));
        let publishing = async {
            tokio::try_join!(
                lanes.fresh.run(fresh, clock, shutdown),
                lanes.delayed.run(delayed, clock, shutdown),
                lanes.ready.run(ready, clock, shutdown),
            )
        };
        let lost = connection::lost(&connection, |blocked| self.blocked(&connection, blocked));
        let stopped = async {
            shutdown.requested().await;
            self.stop();
            time::sleep(DRAIN_WITHIN).await;
        };
        tokio::select! {
            published = publishing => Ok(published.map(drop)?),
            () = lost => Err(Lost::Connection),
            () = stopped => Ok(()),
        }
    }

    fn blocked(&self, connection: &Arc<Connection>, blocked: Option<String>) {
        let now = match blocked {
            Some(reason) => {
                tracing::error!(
                    address = self.address,
                    error = reason,
                    "RabbitMQ takes no messages now: memory or disk alarm"
                );
                State::Blocked(reason)
            }
            None => {
                tracing::info!(address = self.address, "RabbitMQ takes messages again");
                State::Up(Arc::clone(connection))
            }
        };
        self.state.send_if_modified(|state| {
            let stopped = matches!(state, State::Stopped);
            if !stopped {
                *state = now;
            }
            !stopped
        });
    }
}
