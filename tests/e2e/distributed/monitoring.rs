//! A real Prometheus watches a running pipeline: every panel of every dashboard has data, every query of a runbook is
//! one, and alerts go by what happens.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use reqwest::Url;
use ringback_testkit::builders::event_id;
use ringback_testkit::servers::{Prometheus, RabbitmqSettings};
use ringback_testkit::{Behaviour, Receiver};
use serde_json::{Value, json};

use super::cluster::{Cluster, Node, Part, ServerSettings, Shape};
use super::producers::Amqp;
use crate::monitoring::{blocks_of_runbooks, dashboards, panels, queries, root};
use crate::support::{Api, callback, callback_once, event, eventually, text, with};

/// Some scrapes, evaluations, and a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// What the configuration in `deploy/prometheus` calls the processes, each where it is here; its alerts, all of them every
/// second.
fn configuration(cluster: &Cluster) -> Value {
    let rules = fs::read_to_string(root().join("deploy/prometheus/alerts.yml"));
    let impatient = rules.expect("they are there").replace("    interval: 1m\n", "");
    let rules = cluster.servers.directory().join("alerts.yml");
    fs::write(&rules, impatient).expect("there is room");
    let job = |name: &str, targets: Vec<String>| json!({"job_name": name, "static_configs": [{"targets": targets}]});
    let addresses = |nodes: &[Node]| {
        let address = |node: &Node| node.api.url().trim_start_matches("http://").to_owned();
        nodes.iter().map(address).collect()
    };
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [rules],
        "scrape_configs": [
            job("ringback-ingest", addresses(&cluster.ingests)),
            job("ringback-worker", addresses(&cluster.workers)),
            job("ringback-console", addresses(&cluster.consoles)),
            job("rabbitmq", vec![cluster.servers.rabbitmq.metrics_address()]),
        ],
    })
}

/// Asks Prometheus.
async fn ask(prometheus: &Api, query: &str) -> Result<Vec<Value>, String> {
    let url = Url::parse_with_params("http://prometheus/api/v1/query", [("query", query)]);
    let url = url.expect("a URL");
    let path = format!("{}?{}", url.path(), url.query().unwrap_or_default());
    let answer = prometheus.get(&path).await;
    match answer.body["data"]["result"].as_array() {
        Some(found) if answer.status == 200 => Ok(found.clone()),
        _ => Err(answer.body["error"].to_string()),
    }
}

/// Whether there is at least one number in it. A quantile of nothing is none.
fn has_number(found: &[Value]) -> bool {
    let number = |sample: &Value| sample["value"][1].as_str().is_some_and(|value| value != "NaN");
    found.iter().any(number)
}

/// A query as Grafana would send it, with everything chosen, for the last minutes.
fn filled_in(query: &str) -> String {
    let filled = query
        .replace("$__rate_interval", "10s")
        .replace("$__range", "3m")
        .replace("$callback", ".+")
        .replace("$instance", ".+");
    assert!(!filled.contains('$'), "nobody knows what this stands for: {filled}");
    filled
}

/// A query without what it says in place of nothing: here everything happens.
fn without_fallback(query: &str) -> String {
    [" or vector(", " or on () label_replace(vector("]
        .into_iter()
        .filter_map(|fallback| query.split_once(fallback))
        .map(|(before, _)| before.to_owned())
        .next()
        .unwrap_or_else(|| query.to_owned())
}

/// Everything that is to show something: what it is, and the query.
fn expected_to_have_data() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            let what = format!("{file}: {}", text(&panel["title"]));
            for query in queries(panel).iter().map(|query| filled_in(query)) {
                all.push((what.clone(), without_fallback(&query)));
                all.push((what.clone(), query));
            }
        }
        for variable in dashboard["templating"]["list"].as_array().expect("variables") {
            if variable["type"] == "query" {
                let definition = text(&variable["definition"]);
                let inner = definition
                    .strip_prefix("label_values(")
                    .and_then(|rest| rest.strip_suffix(')'));
                let (metric, label) =
                    inner.and_then(|inner| inner.split_once(", ")).expect("label_values");
                all.push((
                    format!("{file}: ${}", text(&variable["name"])),
                    format!("count by ({label}) ({metric})"),
                ));
            }
        }
    }
    assert!(all.len() > 50, "{} queries", all.len());
    all
}

/// Endpoints of every kind.
struct Endpoints {
    _receiver: Receiver,
}

impl Endpoints {
    async fn start(api: &Api) -> Self {
        let receiver = Receiver::start().await.expect("a port");
        receiver.on("/fails", Behaviour::status(500));
        receiver.on("/hangs", Behaviour::Hang);
        let once = |path: &str| callback_once(&receiver.url(path));
        api.create_callback(&once("/well")).await;
        let again = json!({"retry": {"delay_seconds": 0.5, "max_retries": 1}, "circuit": {"enabled": false}});
        api.create_callback(&with(callback(&receiver.url("/fails")), again)).await;
        let short = json!({"timeout_ms": 200, "circuit": {"failures": 2, "open_seconds": 2}});
        api.create_callback(&with(once("/hangs"), short)).await;
        let slowly = json!({"rate_limit": {"per_second": 1, "burst": 1}});
        api.create_callback(&with(once("/slowly"), slowly)).await;
        let paused = api.create_callback(&once("/paused")).await;
        api.post(&format!("/v1/callbacks/{paused}/pause"), &Value::Null).await.expect(200);
        Self { _receiver: receiver }
    }
}

/// Some of everything that may happen to an event on its way in.
async fn send_some(cluster: &Cluster, amqp: &Amqp) {
    const EVENTS: usize = 4;
    for _ in 0..EVENTS {
        cluster.ingest().send(&event("COMMENT_CREATED")).await;
    }
    let twice = with(event("COMMENT_CREATED"), json!({"id": event_id().to_string()}));
    cluster.ingest().send(&twice).await;
    cluster.ingest().send(&twice).await;
    cluster.ingest().post("/v1/events", &json!({"name": "no good name"})).await.expect_problem(422);
    amqp.publish("acme.COMMENT_CREATED", event("COMMENT_CREATED").to_string().as_bytes(), None)
        .await;
    amqp.publish("acme.COMMENT_CREATED", b"garbage", None).await;
}

/// The alerts that fire or are about to.
async fn active_alerts(prometheus: &Api) -> BTreeSet<String> {
    let answer = prometheus.get("/api/v1/alerts").await.expect(200);
    let alerts = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
    alerts.iter().map(|alert| text(&alert["labels"]["alertname"])).collect()
}

#[tokio::test]
async fn every_panel_has_data_and_alerts_go_by_what_happens() {
    let servers = ServerSettings {
        rabbitmq: RabbitmqSettings::default().with_metrics(),
        ..ServerSettings::default()
    };
    let mut cluster = Cluster::start(Shape { workers: 2, servers, ..Shape::default() }).await;
    let prometheus = Prometheus::start(configuration(&cluster).to_string()).await;
    let prometheus = prometheus.expect("it starts");
    let watching = Api::new(prometheus.url(), "");
    let _endpoints = Endpoints::start(cluster.api()).await;
    let amqp = Amqp::connect(&cluster.servers).await;

    // Rates are there while something happens, so events go in until each query was answered with something.
    let mut left = expected_to_have_data();
    let deadline = Instant::now() + LONG;
    while !left.is_empty() {
        assert!(Instant::now() < deadline, "no data:\n{left:#?}");
        send_some(&cluster, &amqp).await;
        let mut still_left = Vec::new();
        for (what, query) in left {
            let found = ask(&watching, &query).await;
            let found = found.unwrap_or_else(|error| panic!("{what}: {query}: {error}"));
            if !has_number(&found) {
                still_left.push((what, query));
            }
        }
        left = still_left;
    }

    for (file, query) in blocks_of_runbooks("promql") {
        let found = ask(&watching, &query).await;
        assert!(found.is_ok(), "{file}: {query}: {found:?}");
    }

    // What happened is told, and nothing else.
    let active = eventually("alerts about what happened", LONG, async || {
        let active = active_alerts(&watching).await;
        let happened =
            ["RingbackDeliveriesExhausted", "RingbackEndpointFailing", "RingbackRejected"];
        happened.iter().all(|name| active.contains(*name)).then_some(active)
    })
    .await;
    for quiet in [
        "RingbackBacklogGrowing",
        "RingbackDependencyDown",
        "RingbackEventsRefused",
        "RingbackFewerWorkers",
        "RingbackHeldBack",
        "RingbackOldestPending",
        "RingbackPoison",
        "RingbackProcessDown",
        "RingbackRetriesStuck",
        "RingbackRoleMissing",
        "RingbackUnrouted",
    ] {
        assert!(!active.contains(quiet), "{quiet} is active, and {active:?}");
    }

    cluster.kill(Part::Worker(0)).await;
    until_active(&watching, "RingbackProcessDown").await;
    cluster.kill(Part::Worker(1)).await;
    until_active(&watching, "RingbackRoleMissing").await;
    cluster.kill(Part::Redis).await;
    until_active(&watching, "RingbackDependencyDown").await;
}

async fn until_active(prometheus: &Api, alert: &str) {
    eventually(&format!("active {alert}"), LONG, async || {
        active_alerts(prometheus).await.contains(alert).then_some(())
    })
    .await;
}
