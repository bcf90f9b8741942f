//! A chromedriver of one's own, which starts browsers and tells them what to do.

use std::path::Path;

use anyhow::Context as _;

use super::server::{Launch, Server, directory};
use super::{blocking, find_program};

/// A chromedriver of one's own. Browsers that it has started end with it, however it ends, if they are told to take their
/// orders through a pipe (`--remote-debugging-pipe`): they end when that is closed.
#[derive(Debug)]
pub(crate) struct Chromedriver {
    server: Server,
    port: u16,
}

impl Chromedriver {
    /// Starts one, and waits until it takes connections.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        blocking(|| {
            let program = find_program("chromedriver")
                .context("there is no `chromedriver` (Debian package chromium-driver)")?;
            let directory = directory("browser")?;
            // Chromium leaves files where others keep theirs, too.
            let temporary = directory.path().as_os_str().to_owned();
            let (server, [port]) = Server::start(directory, |[port]| Launch {
                name: "chromedriver",
                program: program.clone(),
                arguments: vec![format!("--port={port}").into()],
                environment: vec![("TMPDIR", temporary.clone())],
                account: None,
                ready: "started successfully on port",
                stop_signal: "TERM",
                drop_signal: "KILL",
            })?;
            Ok(Self { server, port })
        })
        .await
    }

    /// Where it takes connections: host and port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it keeps its log, and its browsers their profiles.
    pub(crate) fn directory(&self) -> &Path {
        self.server.directory()
    }
}
