//! Registration and log callback with several consoles, and workers that are none.

use reqwest::Method;
use ringback_testkit::free_port;
use serde_json::{Value, json};

use super::cluster::{Cluster, Node, Shape};
use crate::support::callback_once;

#[tokio::test]
async fn consoles_keep_one_registration_and_one_log_and_workers_reach_them_by_the_public_url() {
    // Known beforehand: whoever is behind it may differ, as with a proxy before several consoles.
    let public_url = format!("http://127.0.0.1:{}", free_port().expect("a port"));
    let settings = vec![
        ("RINGBACK_ALLOW_NETWORKS", String::new()),
        ("RINGBACK_PUBLIC_URL", public_url.clone()),
    ];
    let shape = Shape { consoles: 0, settings: settings.clone(), ..Shape::default() };
    let cluster = Cluster::start(shape).await;
    let launch = cluster.servers.launch("console");
    let launch = settings.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
    let listen = public_url.trim_start_matches("http://");
    let first = Node::start(launch.clone().env("RINGBACK_LISTEN", listen)).await;
    let second = Node::start(launch).await;

    // Two register at once, each at another console, again and again: there is one callback, made anew or changed.
    let key = first.api.create_key(Some("acme")).await;
    let register = async |node: &Node, number: usize| {
        let url = format!("{public_url}/system.ashx?f=lp&number={number}");
        let body = json!({ "callbackUrl": url, "authType": "None", "callbackKey": "k" });
        let path = "/api/callback/register";
        let api = node.api.with_key(&key);
        let answer = api.request(Method::PUT, path, Some(body.to_string()), &[]);
        assert_eq!(answer.await.expect("it answers").expect(200), body);
    };
    for round in 0..5 {
        futures_util::join!(register(&first, 2 * round), register(&second, 2 * round + 1));
        let callbacks = first.api.list("/v1/callbacks").await;
        assert_eq!(callbacks.len(), 1, "{callbacks:?}");
        if round < 4 {
            let id = callbacks[0]["id"].as_str().expect("an id");
            second.api.delete(&format!("/v1/callbacks/{id}")).await.expect(204);
        }
    }

    // The worker sends to the console though its address is a loopback one; any console shows it.
    let variables = json!({ "sessionUser": "u", "packageId": "p" });
    let event = json!({ "name": "PACKAGE_CREATE", "account": "acme", "variables": variables });
    let sent = cluster.ingest().send(&event).await;
    let delivery = first.api.settled_delivery(&sent).await;
    assert_eq!(delivery["status"], "delivered", "{delivery}");
    let logged = second.api.with_key(&key).list("/v1/sink/log").await;
    assert_eq!(logged.len(), 1);
    assert_eq!((&logged[0]["account"], &logged[0]["method"]), (&json!("acme"), &json!("POST")));
    assert_eq!(logged[0]["callback"], delivery["callback"]);

    // And nothing else there.
    let elsewhere = callback_once(&format!("{public_url}/healthz"));
    first.api.post("/v1/callbacks", &elsewhere).await.expect_problem(422);
    assert_eq!(first.api.list("/v1/sink/log?account=other").await, Vec::<Value>::new());
}
