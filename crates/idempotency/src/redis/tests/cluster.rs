//! A cluster of three.

use std::time::Instant;

use super::refusals::port;
use super::*;

struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    async fn start() -> Self {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            let bus = ringback_testkit::free_port().expect("a free port").to_string();
            let cluster = ["--cluster-enabled", "yes", "--cluster-port", &bus];
            let patience = ["--cluster-node-timeout", "2000"];
            nodes.push(server(&[cluster.as_slice(), &patience].concat()).await);
        }
        let cluster = Self { nodes };
        let places = cluster.nodes.iter().map(|node| format!("127.0.0.1:{}", port(&node.url())));
        let made = tokio::process::Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(places)
            .arg("--cluster-yes")
            .output()
            .await
            .expect("redis-cli starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        cluster.wait_until_ok().await;
        cluster
    }

    /// Each node has to have heard of all slots.
    async fn wait_until_ok(&self) {
        for node in &self.nodes {
            eventually("agreement of the cluster", async || {
                let info: String = command(&node.url(), &[b"CLUSTER", b"INFO"]).await;
                let ok = info.contains("cluster_state:ok") && info.contains("cluster_size:3");
                ok.then_some(())
            })
            .await;
        }
    }

    fn url(&self) -> String {
        let places: Vec<_> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", port(&node.url()))).collect();
        format!("redis-cluster://{}", places.join(","))
    }
}

#[tokio::test]
async fn redis_store_keeps_the_promises_of_the_port_on_a_cluster() {
    let cluster = Cluster::start().await;
    let url = cluster.url();
    conformance::run(|| RedisHarness::new(&url)).await;
}

#[tokio::test]
async fn claims_of_one_call_lie_on_all_nodes() {
    let cluster = Cluster::start().await;
    let store = connect_as(&cluster.url(), "rb").await;
    let attempts: Vec<_> = (0..100).map(|delivery| attempt(delivery, 1)).collect();
    let claims = store.claim(&attempts, LEASE).await.expect("claimed");
    assert!(claims.iter().all(|claim| matches!(claim, Claim::Granted(_))), "{claims:?}");
    for node in &cluster.nodes {
        assert!(!keys(&node.url(), "rb:c").await.is_empty());
    }
    let again = store.claim(&attempts, LEASE).await.expect("claimed");
    assert!(again.iter().all(|claim| matches!(claim, Claim::Held { .. })), "{again:?}");
    let twice = [attempt(200, 1), attempt(200, 1)];
    let claims = store.claim(&twice, LEASE).await.expect("claimed");
    let granted = claims.iter().filter(|claim| matches!(claim, Claim::Granted(_))).count();
    assert_eq!(granted, 1, "{claims:?}");

    let facts = store.facts(&ringback_runtime::SystemClock).await.expect("they answer");
    assert_eq!(facts.len(), 3, "{facts:?}");
    assert!(facts.iter().all(|node| node.mode == "cluster" && node.node.is_some()), "{facts:?}");
}

#[tokio::test]
async fn node_that_dies_delays_nobody_and_is_used_again() {
    let mut cluster = Cluster::start().await;
    let store = connect(&cluster.url()).await;
    let attempts: Vec<_> = (0..30).map(|delivery| attempt(delivery, 1)).collect();
    store.claim(&attempts, LEASE).await.expect("claimed");

    cluster.nodes[0].kill9().await.expect("it runs");
    for _ in 0..5 {
        let start = Instant::now();
        store.claim(&attempts, LEASE).await.expect_err("a third of it is gone");
        assert!(start.elapsed() < Duration::from_millis(1_500), "{:?}", start.elapsed());
    }
    cluster.nodes[0].start_again().await.expect("it starts");
    cluster.wait_until_ok().await;
    eventually("claim on all nodes", async || store.claim(&attempts, LEASE).await.ok()).await;
    does_everything(&connect(&cluster.url()).await).await;
}
