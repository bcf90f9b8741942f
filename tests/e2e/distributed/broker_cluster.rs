//! RabbitMQ as a cluster of three nodes, as `deploy/rabbitmq/cluster` sets it up: each queue is on all of them, and one may
//! die.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use ringback_testkit::builders::event_id;
use ringback_testkit::servers::RabbitmqCluster;
use ringback_testkit::{Behaviour, Receiver};
use serde_json::{Value, json};

use crate::support::{Api, Ringback, callback, event, eventually, text, with};

const LONG: Duration = Duration::from_secs(60);

/// One port in front of all nodes, as a Kubernetes service or a name with several addresses is: a connection goes to the
/// first node that takes it.
fn service(nodes: Vec<u16>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("it has an address").port();
    // It ends with the process.
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let node = nodes.iter().find_map(|port| TcpStream::connect(("127.0.0.1", *port)).ok());
            let Some(node) = node else { continue };
            let [client_again, node_again] =
                [&client, &node].map(|stream| stream.try_clone().expect("a handle"));
            thread::spawn(move || pass_on(&client, &node));
            thread::spawn(move || pass_on(&node_again, &client_again));
        }
    });
    port
}

/// Passes on what one says to the other, until either is gone.
fn pass_on(mut from: &TcpStream, mut to: &TcpStream) {
    let _ended_either_way = io::copy(&mut from, &mut to);
    // Whoever is gone already needs no notice.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Has an event accepted, asking again with the same id while the answer is 503. Gives its id.
async fn accepted_again(api: &Api) -> String {
    let body = with(event("COMMENT_CREATED"), json!({"id": event_id().to_string()}));
    let accepted = eventually("event that is accepted", LONG, async || {
        let answer = api.post("/v1/events", &body).await;
        assert!([202, 409, 503].contains(&answer.status), "{answer:?}");
        (answer.status == 202).then_some(answer.body)
    });
    text(&accepted.await["id"])
}

#[tokio::test]
async fn queues_are_on_three_nodes_and_one_that_is_killed_loses_nothing() {
    let mut rabbitmq = RabbitmqCluster::start().await.expect("it starts");
    let port = service(rabbitmq.ports());
    let address = format!("amqp://guest:guest@127.0.0.1:{port}/%2f");
    let ringback = Ringback::start_with(|launch| launch.env("RINGBACK_AMQP_URL", address)).await;

    let listed = rabbitmq.ctl(0, &["list_queues", "--no-table-headers", "members"]).await;
    let listed = listed.expect("it answers");
    let members: Vec<usize> =
        listed.lines().map(|line| line.matches("@localhost").count()).collect();
    assert!(members.len() > 20 && members.iter().all(|members| *members == 3), "{listed}");

    let receiver = Receiver::start().await.expect("a port");
    // So that each goes by way of the ladder of delays too, whose queues are led by all three nodes.
    receiver.on_others(Behaviour::fail_first(1, 500));
    let tireless = with(callback(&receiver.url("/hook")), json!({"circuit": {"enabled": false}}));
    ringback.api.create_callback(&tireless).await;
    let mut accepted = Vec::new();
    for _ in 0..20 {
        accepted.push(accepted_again(&ringback.api).await);
    }
    // The one that all connections go to.
    rabbitmq.node(0).kill9().await.expect("it runs");
    for _ in 0..20 {
        accepted.push(accepted_again(&ringback.api).await);
    }
    all_delivered(&ringback.api, &accepted).await;

    rabbitmq.node(0).start_again().await.expect("it starts again");
    let late = accepted_again(&ringback.api).await;
    all_delivered(&ringback.api, &[late]).await;
    eventually("queues that are empty", LONG, async || {
        let left = rabbitmq.ctl(1, &["list_queues", "--no-table-headers", "messages"]).await;
        left.expect("it answers").lines().all(|messages| messages.trim() == "0").then_some(())
    })
    .await;
}

async fn all_delivered(api: &Api, ids: &[String]) {
    for id in ids {
        let delivery = eventually("delivery that is settled", LONG, async || {
            let deliveries = api.list(&format!("/v1/deliveries?event={id}")).await;
            deliveries.into_iter().find(|delivery: &Value| delivery["status"] != "pending")
        });
        let delivery = delivery.await;
        assert_eq!(delivery["status"], "delivered", "{delivery}");
    }
}
