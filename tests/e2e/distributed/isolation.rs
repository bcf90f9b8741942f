//! One endpoint that hangs, and nineteen that do not feel it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ringback_testkit::builders::event_id;
use ringback_testkit::{Behaviour, Receiver};
use serde_json::{Value, json};

use super::cluster::{Cluster, Shape};
use crate::support::{Api, callback_once, event, eventually, with};

const CALLBACKS: usize = 20;
const HANGING: usize = 7;
/// Events a second, where the machine can do twice that.
const RATE_MAX: f64 = 1_000.0;
/// Events of one request, one for each callback.
const GROUP: usize = CALLBACKS;
const TIME: Duration = Duration::from_secs(8);
const LONG: Duration = Duration::from_secs(60);
/// Whatever the machine is busy with besides: one who waited for the hanging one would come after 30 s.
const P99_MAX: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoint_that_hangs_is_not_felt_by_the_others() {
    let cluster = Cluster::start(Shape { ingests: 2, workers: 2, ..Shape::default() }).await;
    let receiver = Receiver::start().await.expect("a port");
    for number in 0..CALLBACKS {
        let wants = json!({"events": [name_of(number)], "timeout_ms": 30_000});
        let callback = with(callback_once(&receiver.url(&path_of(number))), wants);
        cluster.api().create_callback(&callback).await;
    }
    let ingests: Vec<Api> = cluster.ingests.iter().map(|node| node.api.clone()).collect();
    // What the machine can do is shared with whatever else runs on it; half of it leaves room for a hiccup.
    let capacity = capacity(&ingests, &receiver).await;
    let rate = RATE_MAX.min(capacity / 2.0);

    let before = load(&ingests, &receiver, rate, None).await;
    receiver.on(&path_of(HANGING), Behaviour::Hang);
    let during = load(&ingests, &receiver, rate, Some(HANGING)).await;
    println!(
        "{capacity:.0} events/s at most; at {:.0}/s, all well: p50 {:?}, p99 {:?}, max {:?}; at {:.0}/s, one of \
         {CALLBACKS} hanging: p50 {:?}, p99 {:?}, max {:?}: p99 times {:.2}; the longest of each \
         second {:?}, {:?}",
        before.rate,
        before.at(0.5),
        before.at(0.99),
        before.at(1.0),
        during.rate,
        during.at(0.5),
        during.at(0.99),
        during.at(1.0),
        during.at(0.99).as_secs_f64() / before.at(0.99).as_secs_f64(),
        before.longest,
        during.longest,
    );
    assert!(during.at(0.99) < P99_MAX, "{:?}", during.at(0.99));
    assert!(during.at(1.0) < Duration::from_secs(10), "{:?}", during.at(1.0));

    // The hanging one has what its limit allows under way; the rest waits, and says for what.
    let pending = eventually("deliveries that wait", LONG, async || {
        let pending = cluster.api().list("/v1/deliveries?status=pending").await;
        let waiting = |delivery: &Value| !delivery["waits_for"].is_null();
        (pending.iter().any(waiting)).then_some(pending)
    })
    .await;
    for delivery in &pending {
        assert_eq!(delivery["event_name"], name_of(HANGING));
        let waits_for = delivery["waits_for"].as_str();
        assert!(matches!(waits_for, None | Some("concurrency" | "circuit_open")), "{delivery}");
    }
    assert!(receiver.open_now() <= 2 * 32, "{} requests under way", receiver.open_now());
}

fn name_of(number: usize) -> String {
    format!("FOR_{number:02}")
}

fn path_of(number: usize) -> String {
    format!("/hook/{number:02}")
}

/// Latencies from sending to receiving, in order, and the rate that was reached.
struct Measured {
    rate: f64,
    latencies: Vec<Duration>,
    /// The longest of each second.
    longest: Vec<Duration>,
}

impl Measured {
    /// The latency that this share of the events has at most.
    fn at(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a list of thousands"
        )]
        let place = (self.latencies.len() as f64 * share).ceil() as usize;
        self.latencies[place.clamp(1, self.latencies.len()) - 1]
    }
}

/// How many events a second get through when they are sent as fast as they are accepted.
async fn capacity(ingests: &[Api], receiver: &Receiver) -> f64 {
    const GROUPS: u64 = 150;
    let began = Instant::now();
    let before = receiver.total();
    let quarter = async |quarter: u64| {
        for group in 0..GROUPS / 4 {
            let (body, _) = group_of_events();
            let ingest = &ingests[usize::try_from(group + quarter).expect("small") % ingests.len()];
            ingest.post("/v1/events", &body).await.expect(202);
        }
    };
    futures_util::join!(quarter(0), quarter(1), quarter(2), quarter(3));
    let sent = GROUPS / 4 * 4 * GROUP as u64;
    receiver.wait_for(before + sent, LONG).await;
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let sent = sent as f64;
    sent / began.elapsed().as_secs_f64()
}

/// Sends so many events a second for a while, one to each callback in turn, and measures when they come.
async fn load(ingests: &[Api], receiver: &Receiver, rate: f64, without: Option<usize>) -> Measured {
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(GROUP as f64 / rate));
    let mut sent_at: HashMap<String, Instant> = HashMap::new();
    let mut sending = Vec::new();
    let began = Instant::now();
    while began.elapsed() < TIME {
        ticks.tick().await;
        let (body, ids) = group_of_events();
        let ids = ids.into_iter().enumerate().filter(|(number, _)| Some(*number) != without);
        let now = Instant::now();
        sent_at.extend(ids.map(|(_, id)| (id, now)));
        let ingest = ingests[sending.len() % ingests.len()].clone();
        sending.push(send(ingest, body));
    }
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let rate = (sending.len() * GROUP) as f64 / began.elapsed().as_secs_f64();
    for answer in sending {
        answer.await.expect("it is not cancelled");
    }
    let mut arrived = HashMap::new();
    eventually("request for each event", LONG, async || {
        arrived = receiver
            .tallies()
            .into_iter()
            .map(|((_, id), tally)| (id, tally.first_arrived))
            .collect();
        sent_at.keys().all(|id| arrived.contains_key(id)).then_some(())
    })
    .await;
    let mut latencies = Vec::with_capacity(sent_at.len());
    let mut longest = Vec::new();
    for (id, sent) in &sent_at {
        let latency = arrived[id] - *sent;
        let second = usize::try_from((*sent - began).as_secs()).expect("a few");
        longest.resize(longest.len().max(second + 1), Duration::ZERO);
        longest[second] = latency.max(longest[second]);
        latencies.push(latency);
    }
    latencies.sort_unstable();
    Measured { rate, latencies, longest }
}

/// Sends beside what else is sent: the load does not wait for answers.
#[expect(clippy::disallowed_methods, reason = "the test waits for it")]
fn send(ingest: Api, body: Value) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        ingest.post("/v1/events", &body).await.expect(202);
    })
}

/// An event for each callback, as one request, and their ids.
fn group_of_events() -> (Value, Vec<String>) {
    let ids: Vec<_> = (0..GROUP).map(|_| event_id().to_string()).collect();
    let events = ids.iter().enumerate();
    let events = events.map(|(number, id)| with(event(&name_of(number)), json!({"id": id})));
    (events.collect(), ids)
}
