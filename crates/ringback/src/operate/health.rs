//! `ringback health`: asks a running process whether it can do its job.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use url::Url;

use super::say;
use crate::exit::Failure;

/// Longer than a process looks for its servers before it answers that one is silent.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Ask a running process whether it can do its job. Exit code 0: it can; 1: it can't, or can't be reached.
///
/// Which one: that of --url; or the one on this machine that listens at RINGBACK_METRICS_LISTEN, or else at
/// RINGBACK_LISTEN, or else at 127.0.0.1:8080.
#[derive(Args, Debug)]
pub(crate) struct Health {
    /// The process's URL, without a path
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
    /// Ask only whether it is alive, and not whether the servers are there that it needs
    #[arg(long)]
    alive: bool,
    #[arg(long, env = "RINGBACK_METRICS_LISTEN", value_name = "ADDRESS:PORT", hide = true)]
    metrics_listen: Option<SocketAddr>,
    #[arg(
        long,
        env = "RINGBACK_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080",
        hide = true
    )]
    listen: SocketAddr,
}

impl Health {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let url = self.address()?;
        let answer = ask(&url).await.map_err(|error| {
            Failure::Other(anyhow::Error::from(error.without_url()).context(url.to_string()))
        })?;
        let status = answer.status();
        let body = answer.text().await.unwrap_or_default();
        let body = body.trim_end();
        if status.is_success() {
            say(body);
            return Ok(());
        }
        // Made by a process that may be anybody's: a terminal must not obey it.
        let body = body.replace(char::is_control, " ");
        Err(Failure::Other(anyhow::anyhow!("{url}: {status}: {body}")))
    }

    fn address(&self) -> Result<Url, Failure> {
        let path = if self.alive { "/healthz" } else { "/readyz" };
        let base = match &self.url {
            Some(url) if url.scheme() == "http" && url.has_host() => url.clone(),
            Some(url) => {
                return Err(Failure::Usage(anyhow::anyhow!(
                    "--url: `{url}` is no URL of a process: http://host:port"
                )));
            }
            None => {
                let listens = reached_at(self.metrics_listen.unwrap_or(self.listen));
                Url::parse(&format!("http://{listens}")).context("an address is a URL")?
            }
        };
        Ok(base.join(path).context("a path can be joined")?)
    }
}

/// Where a process that listens at `address` is reached on its own machine.
fn reached_at(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn ask(url: &Url) -> reqwest::Result<reqwest::Response> {
    // Whoever was first has set the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWER_TIMEOUT)
        // No TLS is spoken: no certificate has to be read.
        .tls_certs_only([])
        .build()?;
    client.get(url.clone()).send().await
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        health: Health,
    }

    fn asked(arguments: &[&str]) -> String {
        let line = Line::try_parse_from([&["health"], arguments].concat()).expect("arguments");
        line.health.address().expect("an address").to_string()
    }

    #[test]
    fn process_is_asked_where_it_listens() {
        assert_eq!(asked(&[]), "http://127.0.0.1:8080/readyz");
        assert_eq!(asked(&["--listen", "0.0.0.0:81"]), "http://127.0.0.1:81/readyz");
        let both = ["--listen", "0.0.0.0:81", "--metrics-listen", "[::]:82", "--alive"];
        assert_eq!(asked(&both), "http://[::1]:82/healthz");
        assert_eq!(asked(&["--metrics-listen", "10.0.0.9:82"]), "http://10.0.0.9:82/readyz");
        assert_eq!(asked(&["--url", "http://worker:9464"]), "http://worker:9464/readyz");
    }

    #[test]
    fn url_that_is_no_http_is_a_mistake() {
        for bad in ["https://worker", "unix:/run/x"] {
            let line = Line::try_parse_from(["health", "--url", bad]).expect("a URL");
            assert!(matches!(line.health.address(), Err(Failure::Usage(_))), "{bad}");
        }
    }
}
