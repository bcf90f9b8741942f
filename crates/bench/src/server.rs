//! What a benchmark talks to: the receiver, and the management API of Ringback.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::process::Process;

/// The key that benchmarks use.
pub(crate) const ADMIN_KEY: &str = "rbk_benchmark0000000000000000000000000000";

/// A receiver in a process of its own.
pub(crate) struct Receiver {
    process: Process,
    pub(crate) address: SocketAddr,
    client: reqwest::Client,
}

impl Receiver {
    pub(crate) async fn start() -> Result<Self> {
        let (process, address) = Process::own(&["receiver"]).await?;
        Ok(Self { process, address: address.parse()?, client: client()? })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Requests since it was started, but for those that it let fail once.
    pub(crate) async fn count(&self) -> Result<u64> {
        self.ask("count").await?["count"].as_u64().context("not a number")
    }

    /// How long requests took from the sending of their event, in milliseconds: half of them no longer than the
    /// first, 99 of 100 no longer than the second. Of the requests since the last time this was asked.
    pub(crate) async fn latencies_ms(&self) -> Result<(f64, f64)> {
        let latencies = self.ask("latencies").await?;
        let ms =
            |name: &str| latencies[name].as_f64().map(|us| us / 1_000.0).context("not a number");
        Ok((ms("p50_us")?, ms("p99_us")?))
    }

    async fn ask(&self, what: &str) -> Result<serde_json::Value> {
        let answer = self.client.get(format!("http://{}/{what}", self.address)).send().await?;
        Ok(serde_json::from_str(&answer.text().await?)?)
    }

    /// Waits until it has seen this many requests; returns when it had.
    pub(crate) async fn wait_for(&self, count: u64) -> Result<Instant> {
        let mut last_news = (0, Instant::now());
        loop {
            let seen = self.count().await?;
            if seen >= count {
                return Ok(Instant::now());
            }
            if seen > last_news.0 {
                last_news = (seen, Instant::now());
            }
            if last_news.1.elapsed() > Duration::from_secs(60) {
                bail!("only {seen} of {count} requests arrived, and none for a minute");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The management API of a Ringback.
pub(crate) struct Management {
    address: SocketAddr,
    client: reqwest::Client,
}

impl Management {
    pub(crate) fn of(address: SocketAddr) -> Result<Self> {
        Ok(Self { address, client: client()? })
    }

    pub(crate) async fn create_callback(&self, callback: &serde_json::Value) -> Result<()> {
        let answer = self
            .client
            .post(format!("http://{}/v1/callbacks", self.address))
            .header("authorization", format!("Bearer {ADMIN_KEY}"))
            .header("content-type", "application/json")
            .body(callback.to_string())
            .send()
            .await?;
        let status = answer.status();
        ensure!(status == 201, "a callback was answered {status}: {}", answer.text().await?);
        Ok(())
    }
}

/// A Ringback of one process with a data directory of its own.
pub(crate) struct Ringback {
    process: Process,
    pub(crate) address: SocketAddr,
    management: Management,
    _data_dir: tempfile::TempDir,
}

impl Ringback {
    pub(crate) async fn start() -> Result<Self> {
        let data_dir = tempfile::Builder::new().prefix("ringback-bench-").tempdir_in(scratch())?;
        let variables = [
            ("RINGBACK_DATA_DIR", data_dir.path().display().to_string()),
            ("RINGBACK_LISTEN", "127.0.0.1:0".to_owned()),
            ("RINGBACK_ADMIN_KEY", ADMIN_KEY.to_owned()),
            ("RINGBACK_ALLOW_NETWORKS", "127.0.0.0/8".to_owned()),
        ];
        let (process, address) = Process::ringback("serve", &variables).await?;
        Ok(Self { process, address, management: Management::of(address)?, _data_dir: data_dir })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(crate) async fn create_callback(&self, callback: &serde_json::Value) -> Result<()> {
        self.management.create_callback(callback).await
    }
}

fn client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?)
}

/// On the disk that the build is on: /tmp may be memory, and a sync there costs nothing.
fn scratch() -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    exe.parent().unwrap_or(Path::new(".")).to_owned()
}
