//! From the queue to the receiver.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use reqwest::{RequestBuilder, StatusCode};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Semaphore, mpsc};

use super::frames::{self, Event};
use super::marks::Marks;
use super::queue::Queue;
use super::rows::{Row, Rows};
use super::settle::{Done, settle};
use super::{Options, Yardstick};
use crate::receiver::{ATTEMPT, now_ns, say, start};

/// Messages that may be at the worker at once.
const PREFETCH: u16 = 1_000;
const BUNDLE_PREFETCH: u16 = 72;

/// Requests at once.
const IN_FLIGHT: usize = 64;

/// Delivers until standard input ends.
pub(crate) async fn run(options: Options) -> Result<()> {
    let queue = Arc::new(Queue::connect(&options.amqp_url, &options.queue).await?);
    let (settled, done) = mpsc::unbounded_channel();
    let mut rows = None;
    if options.yardstick.has_stores() {
        rows = Some(Rows::connect(&options.database_url).await?);
    }
    let settling = settle(done, queue.clone(), rows);
    start(async move {
        if let Err(error) = settling.await {
            eprintln!("bare worker: {error:#}");
        }
    });
    let bundles = options.yardstick == Yardstick::Bundles;
    let mut consumer = queue.consume(if bundles { BUNDLE_PREFETCH } else { PREFETCH }).await?;
    let worker = Arc::new(Worker::new(&options, settled).await?);
    say("ready\n")?;
    let mut stdin = tokio::io::stdin();
    let mut parent_gone = [0; 1];
    loop {
        let delivery = tokio::select! {
            delivery = consumer.next() => delivery,
            _ = stdin.read(&mut parent_gone) => return Ok(()),
        };
        let Some(delivery) = delivery.transpose()? else { return Ok(()) };
        let worker = worker.clone();
        start(async move {
            if let Err(error) = worker.deliver(delivery.delivery_tag, delivery.data).await {
                eprintln!("bare worker: {error:#}");
            }
        });
    }
}

struct Worker {
    client: reqwest::Client,
    urls: Vec<String>,
    marks: Option<Marks>,
    in_flight: Semaphore,
    settled: mpsc::UnboundedSender<Done>,
}

impl Worker {
    async fn new(options: &Options, settled: mpsc::UnboundedSender<Done>) -> Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tls_certs_only([])
            .timeout(Duration::from_secs(15))
            .build()?;
        let url = |target| format!("http://{}/{}/{target}", options.receiver, options.behaviour);
        let mut marks = None;
        if options.yardstick.has_stores() {
            marks = Some(Marks::connect(&options.redis_url).await?);
        }
        Ok(Self {
            client,
            urls: (0..options.fan_out).map(url).collect(),
            marks,
            in_flight: Semaphore::new(IN_FLIGHT),
            settled,
        })
    }

    async fn deliver(&self, delivery_tag: u64, message: Vec<u8>) -> Result<()> {
        let events = frames::read(message);
        let mut wanted: Vec<(&Event, u16)> = events
            .iter()
            .flat_map(|event| event.targets.clone().map(move |target| (event, target)))
            .collect();
        if let Some(marks) = &self.marks {
            let key = |(event, target): &(&Event, u16)| format!("d:{}:{target}", event.id);
            let keys: Vec<_> = wanted.iter().map(key).collect();
            let mut new = marks.set(&keys).await?.into_iter();
            wanted.retain(|_| new.next().unwrap_or(true));
        }
        let sent = join_all(wanted.iter().map(|(event, target)| self.send(event, *target))).await;
        let rows = sent.into_iter().collect::<Result<_>>()?;
        self.settled.send(Done { delivery_tag, rows })?;
        Ok(())
    }

    async fn send(&self, event: &Event, target: u16) -> Result<Row> {
        let _place = self.in_flight.acquire().await?;
        let began = Instant::now();
        let mut status = answer(self.post(event, target)).await?;
        if !status.is_success() {
            status = answer(self.post(event, target).header(ATTEMPT, "2")).await?;
        }
        Ok(Row {
            event_id: event.id.clone(),
            target,
            status: status.as_u16(),
            duration_ms: i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX),
            at_ms: i64::try_from(now_ns() / 1_000_000).unwrap_or(i64::MAX),
        })
    }

    fn post(&self, event: &Event, target: u16) -> RequestBuilder {
        self.client
            .post(&self.urls[usize::from(target)])
            .header("content-type", "application/json")
            .body(event.body.clone())
    }
}

/// What is answered, once all of it is there.
async fn answer(request: RequestBuilder) -> reqwest::Result<StatusCode> {
    let response = request.send().await?;
    let status = response.status();
    response.bytes().await?;
    Ok(status)
}
