//! What other processes tell this one.

use std::time::Duration;

use ringback_runtime::Shutdown;
use sqlx::postgres::{PgListener, PgNotification};
use tokio::time::sleep;

use super::configuration::Configuration;
use super::connection::Database;
use super::live::{Live, notify};
use crate::Error;

/// That the configuration has changed. What is said is not believed but looked up: several installations may share a
/// database, each in a schema of its own, and would hear each other.
pub(super) const CONFIGURATION_CHANNEL: &str = "ringback_config";
/// See [`Live`].
pub(super) const LIVE_CHANNEL: &str = "ringback_live";

/// How soon to listen again.
const PAUSE: Duration = Duration::from_millis(200);
/// How often to look without being told: a connection can be dead for long without anybody being told that, either.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Listens until asked to stop, whatever becomes of the connection.
pub(super) async fn run(
    database: &Database,
    configuration: &Configuration,
    live: &Live,
    shutdown: &Shutdown,
) {
    let listening = async {
        tokio::join!(listen(database, configuration, live), look(configuration));
    };
    tokio::select! {
        () = listening => {}
        () = shutdown.requested() => {}
    }
}

async fn listen(database: &Database, configuration: &Configuration, live: &Live) {
    let mut failing = false;
    loop {
        match listen_once(database, configuration, live, &mut failing).await {
            // Once for each time that it is lost, and not for each try.
            Err(error) if !failing => {
                failing = true;
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "changes made by other processes are heard of late");
            }
            Ok(()) | Err(_) => {}
        }
        sleep(PAUSE).await;
    }
}

/// Returns when the connection is lost.
async fn listen_once(
    database: &Database,
    configuration: &Configuration,
    live: &Live,
    failing: &mut bool,
) -> Result<(), Error> {
    let mut listener = PgListener::connect_with(database.pool()).await?;
    // What is missed until the next one listens is looked up then.
    listener.eager_reconnect(false);
    listener.listen_all([CONFIGURATION_CHANNEL, LIVE_CHANNEL]).await?;
    // Whatever changed while nobody listened.
    configuration.look().await?;
    notify(database, vec![live.question()]).await;
    if std::mem::take(failing) {
        tracing::info!("changes made by other processes are heard of at once again");
    }
    while let Some(notification) = listener.try_recv().await? {
        let mut changed = hear(&notification, live);
        while let Some(notification) = listener.next_buffered() {
            changed |= hear(&notification, live);
        }
        if changed {
            configuration.look().await?;
        }
    }
    Ok(())
}

/// Whether the configuration has changed.
fn hear(notification: &PgNotification, live: &Live) -> bool {
    if notification.channel() == LIVE_CHANNEL {
        live.hear(notification.payload());
    }
    notification.channel() == CONFIGURATION_CHANNEL
}

async fn look(configuration: &Configuration) {
    loop {
        sleep(LOOK_INTERVAL).await;
        if let Err(error) = configuration.look().await {
            tracing::debug!(error = &error as &dyn std::error::Error, "no look at the revision");
        }
    }
}
