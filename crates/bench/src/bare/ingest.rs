//! HTTP in front of the queue: an event is answered 202 once RabbitMQ has confirmed it.

use std::convert::Infallible;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use bytes::Bytes;
use futures_util::future::try_join_all;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::frames::{self, Event};
use super::marks::Marks;
use super::queue::Queue;
use super::{Options, Yardstick};
use crate::receiver::{now_ns, say, start};

/// Messages that may wait for their confirm at once.
const WINDOW: usize = 256;
const BUNDLE_WINDOW: usize = 4;

/// What a bundle holds at the most.
const BUNDLE_EVENTS: usize = 64;
const BUNDLE_BYTES: usize = 128 * 1024;

/// Serves until standard input ends.
pub(crate) async fn serve(options: Options) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let ingest = Arc::new(Ingest::connect(&options).await?);
    say(&format!("{}\n", listener.local_addr()?))?;
    let mut stdin = tokio::io::stdin();
    let mut parent_gone = [0; 1];
    loop {
        let connection = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            _ = stdin.read(&mut parent_gone) => return Ok(()),
        };
        connection.set_nodelay(true)?;
        let ingest = ingest.clone();
        start(async move {
            let service = service_fn(|request| accept(request, ingest.clone()));
            let served = http1::Builder::new().serve_connection(TokioIo::new(connection), service);
            let _client_gone = served.await;
        });
    }
}

async fn accept(
    request: Request<Incoming>,
    ingest: Arc<Ingest>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    let (id, targets) = (ingest.next_id(), 0..ingest.fan_out);
    let event = Event { id, targets, body: body.unwrap_or_default() };
    let mut response = Response::new(Full::default());
    *response.status_mut() = match ingest.take(event).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(error) => {
            eprintln!("bare ingest: {error:#}");
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    Ok(response)
}

struct Ingest {
    out: Arc<Out>,
    /// Bundles are made by one task of what waits here.
    waiting: Option<mpsc::UnboundedSender<Waiting>>,
    per_delivery: bool,
    fan_out: u16,
    began_ns: u64,
    events: AtomicU64,
}

/// The way to the queue.
struct Out {
    queue: Queue,
    marks: Option<Marks>,
    window: Arc<Semaphore>,
}

/// An event, and whom to tell that it is durable.
struct Waiting {
    event: Event,
    answer: oneshot::Sender<()>,
}

impl Ingest {
    async fn connect(options: &Options) -> Result<Self> {
        let queue = Queue::connect(&options.amqp_url, &options.queue).await?;
        queue.confirm_publishes().await?;
        let marks = match options.yardstick.has_stores() {
            true => Some(Marks::connect(&options.redis_url).await?),
            false => None,
        };
        let bundles = options.yardstick == Yardstick::Bundles;
        let window = Arc::new(Semaphore::new(if bundles { BUNDLE_WINDOW } else { WINDOW }));
        let out = Arc::new(Out { queue, marks, window });
        let waiting = bundles.then(|| {
            let (waiting, events) = mpsc::unbounded_channel();
            start(bundle(events, out.clone()));
            waiting
        });
        Ok(Self {
            out,
            waiting,
            per_delivery: options.yardstick.is_per_delivery(),
            fan_out: options.fan_out,
            began_ns: now_ns(),
            events: AtomicU64::new(0),
        })
    }

    fn next_id(&self) -> String {
        let number = self.events.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}{number:016x}", self.began_ns)
    }

    /// Returns once the event is durable.
    async fn take(&self, event: Event) -> Result<()> {
        let Some(waiting) = &self.waiting else {
            return self.out.publish_alone(event, self.per_delivery).await;
        };
        let (answer, durable) = oneshot::channel();
        waiting.send(Waiting { event, answer })?;
        Ok(durable.await?)
    }
}

impl Out {
    /// One message with these events.
    async fn publish(&self, events: &[Event]) -> Result<()> {
        self.mark(events).await?;
        self.queue.publish(&frames::write(events)).await
    }

    /// One message with this event, or one for each of its deliveries. Each waits for a place in the window.
    async fn publish_alone(&self, event: Event, per_delivery: bool) -> Result<()> {
        self.mark(slice::from_ref(&event)).await?;
        let message = async |event: Event| {
            let _place = self.window.acquire().await?;
            self.queue.publish(&frames::write([&event])).await
        };
        if !per_delivery {
            return message(event).await;
        }
        let to_one = |target| Event { targets: target..target + 1, ..event.clone() };
        try_join_all(event.targets.clone().map(|target| message(to_one(target)))).await?;
        Ok(())
    }

    async fn mark(&self, events: &[Event]) -> Result<()> {
        let Some(marks) = &self.marks else { return Ok(()) };
        let keys: Vec<_> = events.iter().map(|event| format!("e:{}", event.id)).collect();
        marks.set(&keys).await?;
        Ok(())
    }
}

/// Takes what waits when there is room for a message, and waits for no more.
async fn bundle(mut waiting: mpsc::UnboundedReceiver<Waiting>, out: Arc<Out>) {
    loop {
        let place = out.window.clone().acquire_owned().await.expect("it is never closed");
        let Some(first) = waiting.recv().await else { return };
        let mut bytes = first.event.body.len();
        let mut bundle = vec![first];
        while bundle.len() < BUNDLE_EVENTS && bytes < BUNDLE_BYTES {
            let Ok(next) = waiting.try_recv() else { break };
            bytes += next.event.body.len();
            bundle.push(next);
        }
        let out = out.clone();
        start(async move {
            let (events, answers): (Vec<_>, Vec<_>) =
                bundle.into_iter().map(|Waiting { event, answer }| (event, answer)).unzip();
            // Who is not answered is refused.
            match out.publish(&events).await {
                Ok(()) => {
                    for answer in answers {
                        let _producer_gone = answer.send(());
                    }
                }
                Err(error) => eprintln!("bare ingest: {error:#}"),
            }
            drop(place);
        });
    }
}
