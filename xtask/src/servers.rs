//! The servers that tests share, and `cargo xtask servers`.

use std::io;

use anyhow::{Context as _, bail};
use ringback_testkit::servers::{
    AMQP_URL, POSTGRES_URL, Postgres, PostgresSettings, REDIS_URL, Rabbitmq, RabbitmqSettings,
    Redis, RedisSettings,
};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Starts the servers, prints where they are in a form for the shell, and stops them at Ctrl-C.
///
/// # Errors
/// If one does not start.
pub(crate) fn run() -> anyhow::Result<()> {
    crate::machine::complete()?;
    let servers = Starting::begin()?.finish()?;
    for (variable, url) in servers.addresses() {
        println!("export {variable}='{url}'");
    }
    eprintln!("Ctrl-C stops the servers");
    servers.runtime.block_on(servers.interrupted)?.context("waiting for Ctrl-C")
}

/// Servers on their way up, while there is something else to do.
pub(crate) struct Starting {
    runtime: Runtime,
    servers: JoinHandle<anyhow::Result<(Rabbitmq, Redis, Postgres)>>,
    interrupted: JoinHandle<io::Result<()>>,
}

/// Servers that take connections. They stop when this is dropped.
pub(crate) struct Servers {
    rabbitmq: Rabbitmq,
    redis: Redis,
    postgres: Postgres,
    /// Ends at Ctrl-C.
    interrupted: JoinHandle<io::Result<()>>,
    runtime: Runtime,
}

impl Starting {
    /// Starts the servers, without waiting for them.
    ///
    /// From now on Ctrl-C does not end us but only the programs that we have started, so that we get to stop the
    /// servers, which don't hear of it.
    ///
    /// # Errors
    /// If the system does not let us.
    pub(crate) fn begin() -> anyhow::Result<Self> {
        let runtime = Runtime::new()?;
        let interrupted = runtime.spawn(tokio::signal::ctrl_c());
        let servers = runtime.spawn(async {
            tokio::try_join!(
                Rabbitmq::start(RabbitmqSettings::default()),
                Redis::start(RedisSettings::default()),
                Postgres::start(PostgresSettings::default()),
            )
        });
        Ok(Self { runtime, servers, interrupted })
    }

    /// Waits until they take connections.
    ///
    /// # Errors
    /// If one does not start, or Ctrl-C comes first.
    pub(crate) fn finish(self) -> anyhow::Result<Servers> {
        let Self { runtime, servers, mut interrupted } = self;
        let servers = runtime.block_on(async {
            tokio::select! {
                servers = servers => servers.context("a panic while servers started")?,
                _ = &mut interrupted => bail!("interrupted while servers started"),
            }
        });
        let (rabbitmq, redis, postgres) = servers?;
        Ok(Servers { rabbitmq, redis, postgres, interrupted, runtime })
    }
}

impl Servers {
    /// The variables in which tests look for them.
    pub(crate) fn addresses(&self) -> [(&'static str, String); 3] {
        [
            (AMQP_URL, self.rabbitmq.url()),
            (REDIS_URL, self.redis.url()),
            (POSTGRES_URL, self.postgres.url()),
        ]
    }
}
