//! `kill -9`, again and again, under load: nothing acknowledged is lost, and nothing is sent twice without need.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use ringback_testkit::builders::event_id;
use ringback_testkit::{Behaviour, Received, Receiver};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::{Api, Ringback, callback, event, eventually, text, with};

const EVENTS: usize = 5_000;
const PATHS: [&str; 3] = ["/steady", "/slow", "/flaky"];
const KILLS: usize = 12;
const PRODUCERS: usize = 8;
/// Events go alone and in arrays, as producers send them.
const ARRAY: usize = 5;
/// Answered so shortly before a kill, a request may have been settled in memory and nowhere else.
const SETTLING: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(120);

#[expect(clippy::disallowed_methods, reason = "the test waits for the producers that it spawns")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_at_any_moment_loses_nothing() {
    let mut ringback = Ringback::start().await;
    let receiver = misbehaving_receiver().await;
    for path in PATHS {
        let policy = json!({"retry": {"delay_seconds": 1, "max_retries": 50}, "format": "json"});
        ringback.api.create_callback(&with(callback(&receiver.url(path)), policy)).await;
    }
    let ids: Arc<Vec<String>> = Arc::new((0..EVENTS).map(|_| event_id().to_string()).collect());
    let (api, current_api) = watch::channel(ringback.api.clone());
    let next = Arc::new(AtomicUsize::new(0));
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|_| tokio::spawn(produce(ids.clone(), next.clone(), current_api.clone())))
        .collect();

    let kills = kill_again_and_again(
        &mut ringback,
        &receiver,
        &api,
        kill_thresholds(KILLS, EVENTS * PATHS.len()),
    )
    .await;
    let mut resent = 0;
    for producer in producers {
        resent += producer.await.expect("no producer fails");
    }
    let all_came = |requests: &[Received]| received_all(requests, &ids);
    receiver.wait_until("request for each event and path", LONG, all_came).await;
    eventually("settled history", LONG, async || {
        ringback.api.list("/v1/deliveries?status=pending").await.is_empty().then_some(())
    })
    .await;

    let requests = receiver.requests();
    let duplicates = duplicates(&requests);
    let unexplained: Vec<_> =
        duplicates.iter().filter(|pair| !pair.was_on_the_wire(&kills)).collect();
    let settling = duplicates.iter().filter_map(|pair| pair.settling(&kills)).max();
    println!(
        "{EVENTS} events to {} callbacks, {} kills: {} requests, {} requests of producers repeated, {} duplicates, \
         {} of them without a kill to blame, the longest answered {:?} before it",
        PATHS.len(),
        kills.len(),
        requests.len(),
        resent,
        duplicates.len(),
        unexplained.len(),
        settling.unwrap_or_default(),
    );
    let shown: Vec<_> = unexplained.iter().take(20).map(|pair| pair.describe(&kills)).collect();
    assert!(shown.is_empty(), "for example\n{}", shown.join("\n"));
    assert_history_is_whole(&ringback.api, &ids).await;
}

#[expect(clippy::disallowed_methods, reason = "the test waits for the producers that it spawns")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_leaves_one_event_for_each_idempotency_key() {
    const KEYS: usize = 600;
    let mut ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let (api, current_api) = watch::channel(ringback.api.clone());
    let next = Arc::new(AtomicUsize::new(0));
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|_| tokio::spawn(produce_with_keys(KEYS, next.clone(), current_api.clone())))
        .collect();
    kill_again_and_again(&mut ringback, &receiver, &api, kill_thresholds(KILLS, KEYS)).await;
    for producer in producers {
        producer.await.expect("no producer fails");
    }
    let delivered = eventually("delivery of each event", LONG, async || {
        let deliveries = ringback.api.list("/v1/deliveries?status=delivered").await;
        (deliveries.len() >= KEYS).then_some(deliveries.len())
    });
    assert_eq!(delivered.await, KEYS);
    assert_eq!(ringback.api.list("/v1/events").await.len(), KEYS);
}

/// Sends events without ids, each with a key of its own and again until it is accepted.
async fn produce_with_keys(keys: usize, next: Arc<AtomicUsize>, mut api: watch::Receiver<Api>) {
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= keys {
            return;
        }
        let key = format!("key-{index}");
        send(&event("COMMENT_CREATED"), &[("idempotency-key", &key)], &mut api).await;
    }
}

/// Kills the process at moments that nobody chose, and starts it again each time.
async fn kill_again_and_again(
    ringback: &mut Ringback,
    receiver: &Receiver,
    api: &watch::Sender<Api>,
    thresholds: Vec<u64>,
) -> Vec<Kill> {
    let mut kills = Vec::new();
    for threshold in thresholds {
        receiver.wait_for(threshold, LONG).await;
        // A little later, so that it is not a request that decides the moment.
        tokio::time::sleep(Duration::from_millis(random_below(40))).await;
        let asked = Instant::now();
        ringback.process.kill9().await.expect("it runs");
        kills.push(Kill { asked, dead: Instant::now() });
        ringback.restart().await;
        api.send(ringback.api.clone()).expect("producers listen");
    }
    kills
}

/// Takes everything at one path, takes its time at another, and fails the first attempt of every third event at the
/// third.
async fn misbehaving_receiver() -> Receiver {
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/slow", Behaviour::slow(Duration::from_millis(20)));
    receiver.on(
        "/flaky",
        Behaviour::choose(|request| {
            let unlucky = request.webhook_id().bytes().map(u32::from).sum::<u32>() % 3 == 0;
            Behaviour::status(if unlucky && request.number == 1 { 500 } else { 204 })
        }),
    );
    receiver
}

/// After how many requests the process is killed: any number, and so that the last kill still meets work.
fn kill_thresholds(kills: usize, requests: usize) -> Vec<u64> {
    let last = requests as u64 * 95 / 100;
    let mut thresholds: Vec<_> = (0..kills).map(|_| random_below(last)).collect();
    thresholds.sort_unstable();
    thresholds
}

fn random_below(bound: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    u64::from_le_bytes(bytes) % bound
}

/// Sends events until there are none left, each again until it is accepted. Gives how many requests it repeated.
async fn produce(
    ids: Arc<Vec<String>>,
    next: Arc<AtomicUsize>,
    mut api: watch::Receiver<Api>,
) -> usize {
    let mut repeated = 0;
    loop {
        let first = next.fetch_add(ARRAY, Ordering::Relaxed);
        if first >= EVENTS {
            return repeated;
        }
        let ids = &ids[first..(first + ARRAY).min(EVENTS)];
        let events: Vec<Value> =
            ids.iter().map(|id| with(event("COMMENT_CREATED"), json!({"id": id}))).collect();
        match (first / ARRAY).is_multiple_of(2) {
            true => repeated += send(&json!(events), &[], &mut api).await,
            false => {
                for event in &events {
                    repeated += send(event, &[], &mut api).await;
                }
            }
        }
    }
}

async fn send(body: &Value, headers: &[(&str, &str)], api: &mut watch::Receiver<Api>) -> usize {
    let mut repeated = 0;
    loop {
        let now = api.borrow_and_update().clone();
        let answer = now.request(Method::POST, "/v1/events", Some(body.to_string()), headers).await;
        match answer {
            Ok(answer) if is_accepted(&answer.body) => return repeated,
            // The process may still be working on the request that this one repeats.
            Ok(answer) => assert!([202, 409, 503].contains(&answer.status), "{answer:?}"),
            // The process was killed: the answer is lost, and nobody knows what became of the events.
            Err(_) => api.changed().await.expect("the test starts it again"),
        }
        repeated += 1;
    }
}

fn is_accepted(answer: &Value) -> bool {
    match answer["data"].as_array() {
        Some(answers) => answers.iter().all(is_accepted),
        None => answer["status"] == "accepted",
    }
}

fn received_all(requests: &[Received], ids: &[String]) -> bool {
    // Counted first: looking at each request is for the end.
    if requests.len() < ids.len() * PATHS.len() {
        return false;
    }
    let taken: std::collections::HashSet<_> =
        requests.iter().filter(|request| request.answered.is_some()).map(key_of).collect();
    PATHS.iter().all(|path| ids.iter().all(|id| taken.contains(&(*path, id.as_str()))))
}

fn key_of(request: &Received) -> (&str, &str) {
    (request.uri.path(), request.webhook_id())
}

/// The process died between these two.
struct Kill {
    asked: Instant,
    dead: Instant,
}

/// A request that came though the one before it, of the same event to the same callback, had not failed.
struct Duplicate<'a> {
    first: &'a Received,
    second: &'a Received,
}

impl Duplicate<'_> {
    /// The process died between the two, while the first one was open, or so shortly after it that nothing of it was
    /// kept.
    fn was_on_the_wire(&self, kills: &[Kill]) -> bool {
        self.settling(kills).is_some_and(|settling| settling <= SETTLING)
    }

    /// How long before the process died the first one had ended: not at all, if it was open then. None if the process
    /// did not die between the two.
    fn settling(&self, kills: &[Kill]) -> Option<Duration> {
        let between =
            |kill: &&Kill| self.first.arrived <= kill.dead && kill.dead <= self.second.arrived;
        let settling = |kill: &Kill| {
            let ended = self.first.ended.unwrap_or(kill.asked);
            kill.asked.saturating_duration_since(ended)
        };
        kills.iter().filter(between).map(settling).min()
    }

    fn describe(&self, kills: &[Kill]) -> String {
        let Self { first, second } = self;
        let (path, id) = key_of(first);
        let next_kill = kills.iter().find(|kill| kill.dead >= first.arrived);
        let next_kill = next_kill.map(|kill| kill.dead - first.arrived);
        let attempts = [first, second].map(|request| request.header("ringback-attempt"));
        let statuses = [first, second].map(|request| request.status);
        let apart = second.arrived - first.arrived;
        format!(
            "{path} {id}: attempts {attempts:?}, {statuses:?}, {apart:?} apart, killed {next_kill:?} after the first"
        )
    }
}

fn duplicates(requests: &[Received]) -> Vec<Duplicate<'_>> {
    let mut last: HashMap<(&str, &str), &Received> = HashMap::new();
    let pairs = requests.iter().filter_map(|second| {
        let first = last.insert(key_of(second), second)?;
        Some(Duplicate { first, second })
    });
    pairs.filter(|pair| !is_retry(pair)).collect()
}

/// The next attempt after a failure.
fn is_retry(pair: &Duplicate<'_>) -> bool {
    let attempt =
        |request: &Received| request.header("ringback-attempt").parse::<u32>().unwrap_or(0);
    pair.first.status == Some(500) && attempt(pair.second) == attempt(pair.first) + 1
}

/// One delivery for each event and callback, each delivered.
async fn assert_history_is_whole(api: &Api, ids: &[String]) {
    let deliveries = api.list("/v1/deliveries?status=delivered").await;
    let mut count: HashMap<String, usize> = HashMap::new();
    for delivery in &deliveries {
        *count.entry(text(&delivery["event"])).or_default() += 1;
    }
    assert_eq!(deliveries.len(), ids.len() * PATHS.len());
    assert!(ids.iter().all(|id| count.get(id) == Some(&PATHS.len())));
    assert_eq!(api.list("/v1/deliveries").await.len(), deliveries.len());
    assert_eq!(api.list("/v1/events").await.len(), ids.len());
}
