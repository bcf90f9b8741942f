//! What this process says of itself in the console.

use std::net::SocketAddr;
use std::sync::Arc;

use ringback_console::{Dependency, Facts, Kept};

use crate::health::{Checkup, Standing};
use crate::settings::{BrokerSettings, IdempotencySettings, Settings, StoreSettings};

/// What this process says of itself.
pub(crate) fn of(settings: &Settings, listens_at: SocketAddr, checkup: Arc<Checkup>) -> Facts {
    let kept = kept(settings);
    Facts {
        version: env!("CARGO_PKG_VERSION"),
        listens_at,
        retention: settings.retention,
        dependencies: Arc::new(move || dependencies(kept, checkup.standing())),
    }
}

/// Where broker, store and idempotency are.
fn kept(settings: &Settings) -> [Kept; 3] {
    let broker = match settings.broker {
        BrokerSettings::Embedded => Kept::InDirectory,
        BrokerSettings::Rabbitmq(_) => Kept::OnServer("RabbitMQ"),
    };
    let store = match settings.store {
        StoreSettings::Sqlite => Kept::InDirectory,
        StoreSettings::Postgres(_) => Kept::OnServer("PostgreSQL"),
    };
    let idempotency = match settings.idempotency {
        IdempotencySettings::Embedded => Kept::InDirectory,
        IdempotencySettings::Redis(_) => Kept::OnServer("Redis"),
    };
    [broker, store, idempotency]
}

fn dependencies(kept: [Kept; 3], standing: Option<Standing>) -> Vec<Dependency> {
    let since = standing.as_ref().map(|standing| standing.since);
    let troubles = standing.map_or([const { None }; 3], |Standing { findings, .. }| {
        [findings.broker, findings.store, findings.idempotency].map(Result::err)
    });
    let names = ["Queue", "Configuration and history", "Idempotency"];
    let all = names.into_iter().zip(kept).zip(troubles).enumerate();
    all.map(|(index, ((name, kept), trouble))| Dependency {
        name,
        kept,
        trouble,
        since: since.map(|since| since[index]),
    })
    .collect()
}
