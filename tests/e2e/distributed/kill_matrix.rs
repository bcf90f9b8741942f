//! Every process and every server is killed, again and again, under load: nothing acknowledged is lost, and what comes
//! twice was on the wire when something died.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use ringback_testkit::builders::event_id;
use ringback_testkit::{Behaviour, Received, Receiver};
use serde_json::{Value, json};

use super::cluster::{Cluster, Part, Shape};
use super::duplicates::{
    Kill, assert_explained, duplicates, silences_of_redis, summary, without_timeouts,
};
use crate::support::{Api, callback, event, eventually, text, with};

/// At least; they go on until the killing is over.
const EVENTS: usize = 20_000;
/// Events of one request, or of as many requests in a row.
const GROUP: usize = 5;
const PRODUCERS: usize = 24;
/// Each producer waits so long between its groups: as much as two processors can do at the same time as all the rest.
const PACE: Duration = Duration::from_millis(450);
const PATHS: [&str; 2] = ["/steady", "/troubled"];
/// How often each part is killed.
const ROUNDS: usize = 3;
const TIMEOUT: Duration = Duration::from_secs(2);
/// Answered so shortly before a kill, a request may not have been recorded yet.
const SETTLING: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_part_is_killed_under_load_and_nothing_is_lost() {
    let shape = Shape { ingests: 2, workers: 3, ..Shape::default() };
    let mut cluster = Cluster::start(shape).await;
    let receiver = misbehaving_receiver().await;
    for path in PATHS {
        let policy = json!({
            "retry": {"delay_seconds": 1, "max_retries": 100},
            "timeout_ms": TIMEOUT.as_millis(),
            "format": "json",
        });
        cluster.api().create_callback(&with(callback(&receiver.url(path)), policy)).await;
    }
    let began = Instant::now();
    let ingests: Vec<Api> = cluster.ingests.iter().map(|node| node.api.clone()).collect();
    let ledger = Ledger::default();
    let producing = join_all((0..PRODUCERS).map(|number| produce(number, &ingests, &ledger)));
    let killing = async {
        let kills = kill_each_in_turn(&mut cluster, &receiver).await;
        ledger.killing_is_over.store(true, Ordering::Relaxed);
        kills
    };
    let (_, mut kills) = futures_util::join!(producing, killing);
    let produced = began.elapsed();

    let sent = ledger.sent.into_inner().expect("no producer panicked");
    assert!(sent.len() >= EVENTS);
    let all_came = |requests: &[Received]| received_all(requests, &sent);
    receiver.wait_until("request for each event and path", LONG, all_came).await;
    eventually("settled history", LONG, async || {
        let pending = cluster.api().get("/v1/deliveries?status=pending&limit=1").await.expect(200);
        pending["data"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
    let settled = began.elapsed();
    cluster.servers.wait_for_empty_queues().await;

    let requests = receiver.requests();
    let killed = kills.len();
    kills.extend(silences_of_redis(&cluster.workers, &requests[0]));
    let duplicates = without_timeouts(duplicates(&requests, TIMEOUT), &kills, cluster.api()).await;
    let made_twice = made_twice(&requests, &sent);
    println!(
        "{} events to {} callbacks, {} kills, Redis silent {} times: produced in {produced:?}, settled after {settled:?}; {} requests, \
         {} requests of producers repeated, {} events made twice; {} duplicates: {}",
        sent.len(),
        PATHS.len(),
        killed,
        kills.len() - killed,
        requests.len(),
        ledger.repeated.load(Ordering::Relaxed),
        made_twice.len(),
        duplicates.len(),
        summary(&duplicates, &kills),
    );
    assert_explained(&duplicates, &kills, SETTLING);
    assert_redis_forgot(&made_twice, &kills);
    assert_history_is_whole(cluster.api(), &sent, &made_twice).await;
}

/// Takes everything at one path; takes its time at the other, and fails the first attempt of every third event there.
async fn misbehaving_receiver() -> Receiver {
    let receiver = Receiver::start().await.expect("a port");
    receiver.on(
        "/troubled",
        Behaviour::choose(|request| {
            let unlucky = request.webhook_id().bytes().map(u32::from).sum::<u32>() % 3 == 0;
            let status = if unlucky && request.number == 1 { 500 } else { 204 };
            Behaviour::After(Duration::from_millis(50), Box::new(Behaviour::status(status)))
        }),
    );
    receiver
}

/// Kills each part in turn, in another order each round, while requests flow; at the end all of them at once.
async fn kill_each_in_turn(cluster: &mut Cluster, receiver: &Receiver) -> Vec<Kill> {
    let mut kills = Vec::new();
    for round in 0..ROUNDS {
        let mut parts = vec![
            Part::Worker(round % 3),
            Part::Ingest(round % 2),
            Part::Console(0),
            Part::Rabbitmq,
            Part::Redis,
            Part::Postgres,
        ];
        while !parts.is_empty() {
            let part = parts.swap_remove(random_below(parts.len()));
            flow_again(receiver).await;
            kills.push(cluster.kill_and_start_again(part).await);
        }
    }
    flow_again(receiver).await;
    kills.extend(power_failure(cluster).await);
    kills
}

/// Kills all parts at once, and starts them again one after the other.
async fn power_failure(cluster: &mut Cluster) -> Vec<Kill> {
    let parts = [
        Part::Worker(0),
        Part::Rabbitmq,
        Part::Worker(1),
        Part::Redis,
        Part::Ingest(0),
        Part::Postgres,
        Part::Ingest(1),
        Part::Worker(2),
        Part::Console(0),
    ];
    let mut kills = Vec::new();
    for part in parts {
        kills.push(cluster.kill(part).await);
    }
    // PostgreSQL first: nobody is ready before it is there.
    kills.sort_by_key(|kill| kill.part != Part::Postgres);
    for kill in &mut kills {
        cluster.start_again(kill.part).await;
        kill.back = Instant::now();
    }
    kills
}

/// Returns once requests come in again, a little later, so that it is not a request that decides the moment.
async fn flow_again(receiver: &Receiver) {
    receiver.wait_for(receiver.total() + 400, LONG).await;
    let later = u64::try_from(random_below(1_000)).expect("it is small");
    tokio::time::sleep(Duration::from_millis(later)).await;
}

fn random_below(bound: usize) -> usize {
    let random = getrandom::u32().expect("the system has random numbers");
    random as usize % bound
}

/// What producers know of their events.
#[derive(Default)]
struct Ledger {
    next: AtomicUsize,
    killing_is_over: AtomicBool,
    repeated: AtomicUsize,
    /// By serial number.
    sent: Mutex<HashMap<u64, Sent>>,
}

/// An event that was accepted.
struct Sent {
    id: String,
    first_tried: Instant,
    accepted: Instant,
}

/// Sends events until there have been enough, in the four ways there are: alone or together, with ids or with a key.
async fn produce(number: usize, ingests: &[Api], ledger: &Ledger) {
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let first = ledger.next.fetch_add(GROUP, Ordering::Relaxed);
        if first >= EVENTS && ledger.killing_is_over.load(Ordering::Relaxed) {
            return;
        }
        let serials: Vec<u64> = (first..first + GROUP).map(|n| n as u64).collect();
        let group = first / GROUP;
        let producer = Producer { ingests, ledger, prefers: number + group };
        let has_ids = group % 4 < 2;
        if group.is_multiple_of(2) {
            producer.send(&serials, has_ids).await;
        } else {
            for serial in &serials {
                producer.send(std::slice::from_ref(serial), has_ids).await;
            }
        }
    }
}

struct Producer<'a> {
    ingests: &'a [Api],
    ledger: &'a Ledger,
    /// Which ingest it tries first.
    prefers: usize,
}

impl Producer<'_> {
    /// Sends events, the same request again until it is accepted, at whichever ingest answers.
    async fn send(&self, serials: &[u64], has_ids: bool) {
        let events: Vec<Value> = serials
            .iter()
            .map(|serial| with(event("COMMENT_CREATED"), json!({"variables": {"SERIAL": serial}})))
            .map(|event| match has_ids {
                true => with(event, json!({"id": event_id().to_string()})),
                false => event,
            })
            .collect();
        let body =
            if let [event] = &events[..] { event.to_string() } else { json!(events).to_string() };
        let key = format!("serial-{}", serials[0]);
        let key = [("idempotency-key", key.as_str())];
        let headers = if has_ids { &[][..] } else { &key[..] };

        let first_tried = Instant::now();
        let mut tried = 0;
        let ids = loop {
            let ingest = &self.ingests[(self.prefers + tried) % self.ingests.len()];
            let answer =
                ingest.request(Method::POST, "/v1/events", Some(body.clone()), headers).await;
            match answer {
                Ok(answer) if answer.status == 202 => break accepted(&answer.body),
                Ok(answer) => assert!([409, 503].contains(&answer.status), "{answer:?}"),
                // It was killed: the answer is lost, and nobody knows what became of the events.
                Err(_) => {}
            }
            tried += 1;
            self.ledger.repeated.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let accepted = Instant::now();
        assert_eq!(ids.len(), serials.len());
        let mut sent = self.ledger.sent.lock().expect("no producer panicked");
        for (serial, id) in serials.iter().zip(ids) {
            sent.insert(*serial, Sent { id, first_tried, accepted });
        }
    }
}

/// The ids of an answer, whose events are all accepted.
fn accepted(answer: &Value) -> Vec<String> {
    let one = std::slice::from_ref(answer);
    let answers = answer["data"].as_array().map_or(one, Vec::as_slice);
    assert!(answers.iter().all(|answer| answer["status"] == "accepted"), "{answer}");
    answers.iter().map(|answer| text(&answer["id"])).collect()
}

fn received_all(requests: &[Received], sent: &HashMap<u64, Sent>) -> bool {
    // Counted first: looking at each request is for the end.
    if requests.len() < sent.len() * PATHS.len() {
        return false;
    }
    let taken: HashSet<_> = requests
        .iter()
        .filter(|request| request.status == Some(204))
        .map(|request| (request.uri.path(), request.webhook_id()))
        .collect();
    PATHS.iter().all(|path| sent.values().all(|sent| taken.contains(&(*path, sent.id.as_str()))))
}

/// An event that was made of a request whose producer was told another id, or none.
struct MadeTwice<'a> {
    id: String,
    sent: &'a Sent,
}

fn made_twice<'a>(requests: &[Received], sent: &'a HashMap<u64, Sent>) -> Vec<MadeTwice<'a>> {
    let known: HashSet<&str> = sent.values().map(|sent| sent.id.as_str()).collect();
    let mut strange: HashMap<&str, u64> = HashMap::new();
    for request in requests.iter().filter(|request| !known.contains(request.webhook_id())) {
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let serial = body["variables"]["SERIAL"].as_u64().expect("a number");
        strange.insert(request.webhook_id(), serial);
    }
    strange
        .into_iter()
        .map(|(id, serial)| MadeTwice { id: id.to_owned(), sent: &sent[&serial] })
        .collect()
}

/// Fails if a request made two events though Redis, which remembers keys, was not killed while its producer tried. (What
/// Redis was told less than a second before is not on its disk yet.)
#[track_caller]
fn assert_redis_forgot(made_twice: &[MadeTwice<'_>], kills: &[Kill]) {
    const UNSYNCED: Duration = Duration::from_secs(3);
    let forgot = |one: &MadeTwice<'_>| {
        kills.iter().any(|kill| {
            kill.part == Part::Redis
                && one.sent.first_tried <= kill.back
                && kill.asked <= one.sent.accepted + UNSYNCED
        })
    };
    let unexplained: Vec<_> =
        made_twice.iter().filter(|one| !forgot(one)).map(|one| &one.id).collect();
    assert!(unexplained.is_empty(), "events that nobody knows: {unexplained:?}");
}

/// One delivery for each event and callback, each delivered.
async fn assert_history_is_whole(
    api: &Api,
    sent: &HashMap<u64, Sent>,
    made_twice: &[MadeTwice<'_>],
) {
    let events = sent.len() + made_twice.len();
    let deliveries = api.list("/v1/deliveries?status=delivered").await;
    let mut count: HashMap<String, usize> = HashMap::new();
    for delivery in &deliveries {
        *count.entry(text(&delivery["event"])).or_default() += 1;
    }
    assert!(sent.values().all(|sent| count.get(&sent.id) == Some(&PATHS.len())));
    assert_eq!(deliveries.len(), events * PATHS.len());
    for other in ["exhausted", "cancelled"] {
        assert_eq!(api.list(&format!("/v1/deliveries?status={other}")).await, [] as [Value; 0]);
    }
    assert_eq!(api.list("/v1/events").await.len(), events);
}
