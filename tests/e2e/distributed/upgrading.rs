//! Processes of two versions on the same servers, as while an upgrade is under way.

use ringback_testkit::builders::event_id;
use ringback_testkit::{Behaviour, Receiver, old_ringback_binary};
use serde_json::json;

use super::cluster::{Node, Servers};
use crate::support::{Api, SOON, callback, event, eventually, with};

/// Sent by each ingest in each phase.
const EVENTS: usize = 60;

/// What is sent, and what has to come of it.
struct Traffic {
    receiver: Receiver,
    events: usize,
}

impl Traffic {
    /// Sends events through these ingests and waits until each is delivered, as both consoles see it.
    async fn phase(&mut self, what: &str, ingests: &[&Node], consoles: &[&Node]) {
        for ingest in ingests {
            let named = || with(event("COMMENT_CREATED"), json!({"id": event_id().to_string()}));
            let batch: Vec<_> = (0..EVENTS).map(|_| named()).collect();
            ingest.api.post("/v1/events", &json!(batch)).await.expect(202);
            self.events += EVENTS;
        }
        for console in consoles {
            eventually(&format!("end of phase `{what}`"), SOON * 2, async || {
                let delivered = console.api.list("/v1/deliveries?status=delivered").await;
                (delivered.len() == 2 * self.events).then_some(())
            })
            .await;
        }
        let (good, flaky) =
            (self.receiver.requests_to("/good"), self.receiver.requests_to("/flaky"));
        assert_eq!(good.len(), self.events, "{what}: each once");
        assert_eq!(flaky.len(), 2 * self.events, "{what}: each once more after its failure");
    }
}

/// Nobody met anything that it could not read or do.
fn assert_quiet(what: &str, node: &Node) {
    let said = node.said();
    for word in [" ERROR ", "can't be read", "panicked"] {
        assert!(!said.contains(word), "{what} said {word}:\n{said}");
    }
}

async fn make_callback(api: &Api, url: &str) {
    let fields =
        json!({"circuit": {"enabled": false}, "authorization": {"type": "bearer", "token": "t"}});
    api.create_callback(&with(callback(url), fields)).await;
}

/// Every pair that a rolling upgrade has at work at once: an old ingest with a new worker, a new ingest with an old worker,
/// consoles of both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the binary of another version: `cargo xtask upgrade-test`"]
async fn two_versions_work_together_and_each_event_comes_once() {
    let old_binary = old_ringback_binary().expect("another version");
    let servers = Servers::start().await;
    let old = |role| Node::start(servers.launch(role).binary(&old_binary));
    let new = |role| Node::start(servers.launch(role));
    let (old_ingest, mut old_worker, old_console) =
        futures_util::join!(old("ingest"), old("worker"), old("console"));
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/flaky", Behaviour::fail_first(1, 503));
    let mut traffic = Traffic { receiver, events: 0 };
    make_callback(&old_console.api, &traffic.receiver.url("/good")).await;

    // A console first: it brings the tables up to date, beneath processes that are at work.
    let new_console = new("console").await;
    make_callback(&new_console.api, &traffic.receiver.url("/flaky")).await;
    let consoles = [&old_console, &new_console];
    traffic.phase("new tables", &[&old_ingest], &consoles).await;
    let new_ingest = new("ingest").await;
    let ingests = [&old_ingest, &new_ingest];
    traffic.phase("new ingest, old worker", &ingests, &consoles).await;
    let new_worker = new("worker").await;
    traffic.phase("workers of both", &ingests, &consoles).await;
    old_worker.stop().await;
    traffic.phase("old ingest, new worker", &ingests, &consoles).await;

    // An old one that is started again meanwhile: it works, or says that the tables are of a newer version.
    let mut again =
        servers.launch("worker").binary(&old_binary).start().expect("it can be started");
    let ready = again.wait_for_line(crate::support::READY, SOON).await;
    let said = again.output();
    assert!(ready.is_ok() || said.contains("of a newer version of Ringback"), "{said}");
    println!(
        "an old worker that starts on new tables: {}",
        if ready.is_ok() { "works" } else { "refuses" }
    );
    if ready.is_ok() {
        again.terminate().await.expect("it runs");
        again.wait_exit(SOON).await.expect("it stops");
    }

    traffic.phase("the end", &[&new_ingest], &[&new_console]).await;
    servers.wait_for_empty_queues().await;
    for (what, node) in [
        ("the old ingest", &old_ingest),
        ("the old worker", &old_worker),
        ("the old console", &old_console),
        ("the new ingest", &new_ingest),
        ("the new worker", &new_worker),
        ("the new console", &new_console),
    ] {
        assert_quiet(what, node);
    }
}
