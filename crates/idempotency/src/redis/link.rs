//! The one connection, made anew when it breaks, and given a rest when nobody answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::time::Instant;

use super::fault::{Fault, Standing};
use super::server::{Connection, Server};

/// After a failure nobody asks for so long, then one does; others fail at once until that one has its answer. Longer
/// when it fails again: a connection that is refused costs little, one that hangs a timeout.
const REST_MIN: Duration = Duration::from_millis(250);
const REST_MAX: Duration = Duration::from_secs(1);

/// How Redis was when it was last asked.
#[derive(Clone, Debug)]
pub enum Reachability {
    /// It answers.
    Connected,
    /// The connection is made with the next call.
    Unconnected,
    /// It is not there. It is asked again within a second of the next call, and needs no help from here.
    Away(Arc<Fault>),
}

/// Whether a call may be made twice, where it is not known what came of the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    Safe,
    Never,
}

/// Which time a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    First,
    /// After the first broke off: Redis may have done it or not.
    Second,
}

pub(super) struct Link {
    server: Server,
    state: Mutex<State>,
    /// Held by whoever makes a connection.
    connecting: tokio::sync::Mutex<()>,
    /// How many were made.
    connections: AtomicU64,
}

enum State {
    Unconnected,
    /// Connections are numbered, so that a late failure of an old one says nothing about the next.
    Connected {
        connection: Connection,
        number: u64,
    },
    Away {
        why: Arc<Fault>,
        rest: Duration,
        until: Instant,
    },
}

impl Link {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            state: Mutex::new(State::Unconnected),
            connecting: tokio::sync::Mutex::new(()),
            connections: AtomicU64::new(0),
        }
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.server.is_cluster()
    }

    pub(super) fn reachability(&self) -> Reachability {
        match &*self.lock() {
            State::Unconnected => Reachability::Unconnected,
            State::Connected { .. } => Reachability::Connected,
            State::Away { why, .. } => Reachability::Away(Arc::clone(why)),
        }
    }

    /// Makes a call; a second time over a new connection if the first broke, as it does when Redis was started afresh
    /// since the last call. Not if it took too long: the second time would too.
    pub(super) async fn call(
        &self,
        repeat: Repeat,
        command: impl Fn(Turn) -> Cmd,
    ) -> Result<Value, Fault> {
        let first = self.attempt(&command(Turn::First), Turn::First).await;
        match first {
            Err(fault) if repeat == Repeat::Safe && fault.standing() == Standing::Spent => {
                self.attempt(&command(Turn::Second), Turn::Second).await
            }
            answer => answer,
        }
    }

    async fn attempt(&self, command: &Cmd, turn: Turn) -> Result<Value, Fault> {
        let (mut connection, number) = self.connection().await?;
        match connection.send(command).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                let fault = Fault::from(error);
                match (fault.standing(), turn) {
                    (Standing::Fine, _) => {}
                    (Standing::Spent, Turn::First) => self.drop_connection(number),
                    // Connections that are made and break at once are no better than none.
                    (Standing::Spent, Turn::Second) | (Standing::Away, _) => {
                        self.give_rest(Some(number), &fault);
                    }
                }
                Err(fault)
            }
        }
    }

    async fn connection(&self) -> Result<(Connection, u64), Fault> {
        let may_wait = match &*self.lock() {
            State::Connected { connection, number } => return Ok((connection.clone(), *number)),
            State::Away { why, .. } => Err(Fault::Away(Arc::clone(why))),
            State::Unconnected => Ok(()),
        };
        let _connecting = match may_wait {
            Ok(()) => self.connecting.lock().await,
            // One is enough to see whether it is back.
            Err(away) => self.connecting.try_lock().map_err(|_taken| away)?,
        };
        // Somebody else may have made it, or found that there is none to be made.
        match &*self.lock() {
            State::Connected { connection, number } => return Ok((connection.clone(), *number)),
            State::Away { why, until, .. } if Instant::now() < *until => {
                return Err(Fault::Away(Arc::clone(why)));
            }
            State::Away { .. } | State::Unconnected => {}
        }
        match self.server.connect().await {
            Ok(connection) => {
                let number = self.connected(connection.clone());
                Ok((connection, number))
            }
            Err(fault) => {
                self.give_rest(None, &fault);
                Err(fault)
            }
        }
    }

    fn connected(&self, connection: Connection) -> u64 {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let mut state = self.lock();
        if matches!(*state, State::Away { .. }) {
            tracing::info!("redis is there again");
        }
        *state = State::Connected { connection, number };
        number
    }

    fn drop_connection(&self, number: u64) {
        let mut state = self.lock();
        if matches!(*state, State::Connected { number: current, .. } if current == number) {
            *state = State::Unconnected;
        }
    }

    /// `number` is that of the connection that failed; none if there was none to be had.
    fn give_rest(&self, number: Option<u64>, fault: &Fault) {
        let mut state = self.lock();
        let rest = match &*state {
            State::Connected { number: current, .. } if number != Some(*current) => return,
            State::Away { .. } if number.is_some() => return,
            State::Away { rest, .. } => (*rest * 2).min(REST_MAX),
            State::Connected { .. } | State::Unconnected => {
                tracing::warn!(
                    error = fault as &dyn std::error::Error,
                    "redis is away; it is asked again each second"
                );
                REST_MIN
            }
        };
        *state = State::Away { why: Arc::new(fault.clone()), rest, until: Instant::now() + rest };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics holding it")
    }
}
