//! A Prometheus of one's own.

use std::fs;
use std::ops::{Deref, DerefMut};

use anyhow::Context as _;

use super::server::{Launch, Server, directory};
use super::{blocking, find_program};

/// A Prometheus of one's own.
#[derive(Debug)]
pub struct Prometheus {
    server: Server,
    port: u16,
}

impl Prometheus {
    /// Starts one with this configuration (YAML or JSON, names of files in it absolute), and waits until it answers
    /// queries.
    ///
    /// # Errors
    /// If it is not installed, finds fault with the configuration, or does not start.
    pub async fn start(configuration: String) -> anyhow::Result<Self> {
        blocking(move || {
            let program = find_program("prometheus")
                .context("there is no `prometheus` (Debian package prometheus)")?;
            let directory = directory("prometheus")?;
            fs::write(directory.path().join("prometheus.yml"), configuration)?;
            // Names of files are relative to the directory, in which it is started.
            let (server, [port]) = Server::start(directory, |[port]| Launch {
                name: "Prometheus",
                program: program.clone(),
                arguments: vec![
                    "--config.file=prometheus.yml".into(),
                    "--storage.tsdb.path=data".into(),
                    format!("--web.listen-address=127.0.0.1:{port}").into(),
                ],
                environment: Vec::new(),
                account: None,
                ready: "Server is ready to receive web requests",
                stop_signal: "TERM",
                drop_signal: "KILL",
            })?;
            Ok(Self { server, port })
        })
        .await
    }

    /// Its address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Deref for Prometheus {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for Prometheus {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}
