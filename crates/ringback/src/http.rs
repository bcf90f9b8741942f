//! The HTTP server: connections that take their time take nobody else's.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use ringback_runtime::{Shutdown, TaskGroup};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::Service as _;

/// How long a connection may take to send a request's head; an idle one is closed after it too.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);

/// Connections at once. Further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 4_096;

/// After a failure to accept, which is most often a lack of file handles that passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long requests under way may go on after the server was asked to stop: a live stream would take for ever.
const GRACE: Duration = Duration::from_secs(3);

/// Serves until asked to stop, and then finishes what is under way, within limits.
///
/// # Errors
/// None: what goes wrong with a connection ends that connection.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stopping: Shutdown,
) -> Result<(), std::convert::Infallible> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskGroup::new();
    let graceful = GracefulShutdown::new();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.expect("never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = stopping.requested() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection can't be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = graceful.watch(connection(stream, router.clone()));
        connections.start(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::debug!(connections = connections.len(), "still open");
    }
    Ok(())
}

fn connection(
    stream: TcpStream,
    router: Router,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> {
    // Small answers must not wait for more to send (Nagle's algorithm).
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY can't be set");
    }
    let service = service_fn(move |request: Request<Incoming>| router.clone().call(request));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
}
