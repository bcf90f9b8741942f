//! Connections: opened with a limit of time, named for those who look at the server, closed with a limit of time.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::{Connection, ConnectionProperties, Event};
use tokio::time;

use super::error::{ConnectError, NoAnswer};
use super::names::Names;
use super::settings::Target;
use super::topology;

/// Longest wait for a connection, login included.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Longest wait for the topology. On an empty server it takes less than a second.
const DECLARE_WITHIN: Duration = Duration::from_secs(30);
/// Longest wait for a server to agree to a close.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// The state of a connection is looked at this often, besides being told of its end.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Connects and logs in. `purpose` is shown by RabbitMQ's tools.
///
/// # Errors
/// [`ConnectError`] as it is seen from outside.
pub(super) async fn open(target: &Target, purpose: &str) -> Result<Connection, ConnectError> {
    // No recovery by lapin itself: whoever holds a connection makes a new one, and all that hangs on it.
    let properties =
        ConnectionProperties::default().with_connection_name(format!("ringback {purpose}").into());
    let connecting = Connection::connect_uri(target.uri().clone(), properties);
    match time::timeout(CONNECT_WITHIN, connecting).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(ConnectError::of_login(error, target)),
        Err(_) => Err(silent(target, CONNECT_WITHIN)),
    }
}

/// Connects, and declares what is missing.
///
/// # Errors
/// As [`open`], and if something can't be declared.
pub(super) async fn open_declared(
    target: &Target,
    names: &Names,
    purpose: &str,
) -> Result<Connection, ConnectError> {
    let connection = open(target, purpose).await?;
    declare(&connection, target, names).await?;
    Ok(connection)
}

/// Declares what is missing.
///
/// # Errors
/// If something can't be declared.
pub(super) async fn declare(
    connection: &Connection,
    target: &Target,
    names: &Names,
) -> Result<(), ConnectError> {
    let declaring = topology::apply(connection, names, target);
    let declared = time::timeout(DECLARE_WITHIN, declaring).await;
    declared.unwrap_or_else(|_| Err(silent(target, DECLARE_WITHIN)))
}

fn silent(target: &Target, waited: Duration) -> ConnectError {
    let address = target.to_string();
    ConnectError::Unreachable { address, source: Box::new(NoAnswer(waited)) }
}

/// Closes in good order, if the other side still listens.
pub(super) async fn close(connection: &Connection) {
    // An error means that it is closed already.
    let _ = time::timeout(CLOSE_WITHIN, connection.close(200, "OK".into())).await;
}

/// Returns once the connection is lost. `told` hears whether the server takes messages: the reason if it does not.
///
/// # Cancel safety
/// Changes that were not told yet are forgotten.
pub(super) async fn lost(connection: &Connection, mut told: impl FnMut(Option<String>)) {
    let mut events = Box::pin(connection.events_listener());
    let mut look = time::interval(LOOK_EVERY);
    while connection.status().connected() {
        let event = tokio::select! {
            event = events.next() => event,
            _ = look.tick() => continue,
        };
        match event {
            Some(Event::ConnectionBlocked(reason)) => told(Some(reason)),
            Some(Event::ConnectionUnblocked) => told(None),
            // One of a channel, unless the connection is gone.
            Some(_) => {}
            None => return,
        }
    }
}
