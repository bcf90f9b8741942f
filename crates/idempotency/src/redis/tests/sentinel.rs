//! A primary, a replica, and a sentinel that looks after them.

use ringback_testkit::{Launch, Process};
use tempfile::TempDir;

use super::refusals::port;
use super::*;

const SOON: Duration = Duration::from_secs(10);

struct Watched {
    primary: Server,
    replica: Server,
    _sentinel: Process,
    _directory: TempDir,
    sentinel_port: u16,
}

impl Watched {
    async fn start() -> Self {
        let primary = server(&[]).await;
        let primary_port = port(&primary.url());
        let replica = server(&["--replicaof", &format!("127.0.0.1 {primary_port}")]).await;
        eventually("replica that is up to date", async || {
            let info: String = command(&replica.url(), &[b"INFO", b"replication"]).await;
            info.contains("master_link_status:up").then_some(())
        })
        .await;

        let directory = tempfile::tempdir().expect("a directory");
        let sentinel_port = ringback_testkit::free_port().expect("a free port");
        // Sentinel writes what it learns into its own settings.
        let settings = directory.path().join("sentinel.conf");
        let text = format!(
            "port {sentinel_port}\nbind 127.0.0.1\n\
             sentinel monitor ours 127.0.0.1 {primary_port} 1\n\
             sentinel down-after-milliseconds ours 500\nsentinel failover-timeout ours 2000\n"
        );
        std::fs::write(&settings, text).expect("written");
        let launch = Launch::new("redis-server", directory.path()).arg(&settings).arg("--sentinel");
        let (sentinel, _) = launch.start_ready("+slave slave", SOON).await.expect("it starts");
        Self { primary, replica, _sentinel: sentinel, _directory: directory, sentinel_port }
    }

    /// With a sentinel that does not exist: one that answers is enough.
    fn url(&self) -> String {
        let nobody = ringback_testkit::free_port().expect("a free port");
        format!("redis-sentinel://127.0.0.1:{nobody},127.0.0.1:{}/ours", self.sentinel_port)
    }
}

#[tokio::test]
async fn primary_is_found_by_sentinel_and_its_successor_too() {
    let mut watched = Watched::start().await;
    let store = connect_as(&watched.url(), "rb").await;
    does_everything(&store).await;
    assert!(!keys(&watched.primary.url(), "rb").await.is_empty());
    eventually("copy of everything", async || {
        let at_the_primary = keys(&watched.primary.url(), "rb").await.len();
        (keys(&watched.replica.url(), "rb").await.len() == at_the_primary).then_some(())
    })
    .await;

    watched.primary.kill9().await.expect("it runs");
    store.claim(&[attempt(7, 1)], LEASE).await.expect_err("nobody has taken over yet");
    let claims = eventually("claim on the successor", async || {
        store.claim(&[attempt(7, 1)], LEASE).await.ok()
    });
    assert!(matches!(claims.await[..], [Claim::Granted(_)]));
    let role: Vec<redis::Value> = command(&watched.replica.url(), &[b"ROLE"]).await;
    assert_eq!(role.first(), Some(&redis::Value::BulkString(b"master".to_vec())));
    // What was copied is still known.
    let claims = store.claim(&[attempt(1, 1)], LEASE).await.expect("claimed");
    assert!(matches!(claims[..], [Claim::Held { .. }]), "{claims:?}");
}

#[tokio::test]
async fn name_that_sentinel_does_not_know_is_told_at_the_start() {
    let watched = Watched::start().await;
    let url = format!("redis-sentinel://127.0.0.1:{}/others", watched.sentinel_port);
    let error = try_connect(&url, "t").await.err().expect("nobody has that name");
    assert!(matches!(error, ConnectError::Refused(Fault::UnknownPrimary)), "{error:?}");
}
