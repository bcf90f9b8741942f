//! A Redis of one's own.

use std::ops::{Deref, DerefMut};

use anyhow::Context as _;

use super::server::{Launch, Server, directory};
use super::{blocking, find_program};

/// How a Redis is set up. By default it writes each command to an append-only file and syncs that once a second.
#[derive(Clone, Debug, Default)]
pub struct RedisSettings {
    /// More arguments of `redis-server`, such as `["--appendfsync", "always"]`.
    pub arguments: Vec<String>,
}

/// A Redis of one's own.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    port: u16,
}

impl Redis {
    /// Starts one, and waits until it takes connections.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub async fn start(settings: RedisSettings) -> anyhow::Result<Self> {
        blocking(move || {
            let program = find_program("redis-server")
                .context("there is no `redis-server` (Debian package redis-server)")?;
            let (server, [port]) = Server::start(directory("redis")?, |[port]| {
                let port = port.to_string();
                let own =
                    ["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "yes"];
                let own = own.into_iter().map(str::to_owned);
                Launch {
                    name: "Redis",
                    program: program.clone(),
                    arguments: own.chain(settings.arguments.clone()).map(Into::into).collect(),
                    environment: Vec::new(),
                    account: None,
                    ready: "Ready to accept connections",
                    stop_signal: "TERM",
                    drop_signal: "KILL",
                }
            })?;
            Ok(Self { server, port })
        })
        .await
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

impl Deref for Redis {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for Redis {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}
