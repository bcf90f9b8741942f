//! Processes that a benchmark starts: this program again, or Ringback. They are stopped by their pid.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::measure;

/// A process; killed if this is dropped.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// This program, with other arguments. Gives the first line that it prints: then it is ready.
    pub(crate) async fn own(arguments: &[&str]) -> Result<(Self, String)> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            // It ends with its standard input, so when we do.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        let line = BufReader::new(stdout).lines().next_line().await?;
        let line = line.with_context(|| format!("`{}` did not start", arguments.join(" ")))?;
        Ok((Self { child }, line))
    }

    /// Ringback in a role, and the address that it says it is ready on.
    pub(crate) async fn ringback(
        role: &'static str,
        variables: &[(&str, String)],
    ) -> Result<(Self, SocketAddr)> {
        let mut child = Command::new(ringback()?)
            .arg(role)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .env("RINGBACK_LOG", "info")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stderr = child.stderr.take().context("no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut said = Vec::new();
        let address = loop {
            let line = lines.next_line().await?;
            let line = line.with_context(|| {
                format!("ringback {role} ended before it was ready:\n{}", said.join("\n"))
            })?;
            if let Some((_, address)) = line.split_once("ringback is ready on http://") {
                break address.trim().parse()?;
            }
            said.push(line);
        };
        crate::receiver::start(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                eprintln!("ringback {role}: {line}");
            }
        });
        Ok((Self { child }, address))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs until it is dropped")
    }

    /// Seconds of processor time that it has used so far.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        measure::cpu_seconds(self.pid())
    }

    /// Asks it to stop in good order (SIGTERM), and waits until it is gone.
    pub(crate) async fn stop(mut self) -> Result<()> {
        const PATIENCE: Duration = Duration::from_secs(35);
        // Safe Rust has no signals without one more dependency.
        let asked = Command::new("kill").arg(self.pid().to_string()).status().await?;
        ensure!(asked.success(), "process {} can't be stopped", self.pid());
        tokio::time::timeout(PATIENCE, self.child.wait()).await.context("it does not stop")??;
        Ok(())
    }
}

/// Beside this program: both are built together.
fn ringback() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("ringback");
    ensure!(path.exists(), "{} is missing: run `cargo xtask bench`", path.display());
    Ok(path)
}
