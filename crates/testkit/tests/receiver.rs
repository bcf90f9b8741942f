//! The receiver does what tests rely on.

use std::time::Duration;

use ringback_testkit::{Answer, Behaviour, Receiver, Wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(5);

/// Sends a POST and reads until the connection is closed.
async fn post(receiver: &Receiver, path: &str, id: &str) -> String {
    let mut stream = begin_post(receiver, path, id).await;
    let mut answer = Vec::new();
    // A reset is an end like any other.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn begin_post(receiver: &Receiver, path: &str, id: &str) -> TcpStream {
    let mut stream = TcpStream::connect(receiver.address()).await.expect("it listens");
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nwebhook-id: {id}\r\ncontent-length: 4\r\n\r\nbody"
    );
    stream.write_all(request.as_bytes()).await.expect("it reads");
    stream
}

#[tokio::test]
async fn receiver_answers_204_and_remembers_what_came() {
    let receiver = Receiver::start().await.expect("a port");
    assert!(post(&receiver, "/hook?a=1", "e-1").await.starts_with("HTTP/1.1 204 "));
    receiver.wait_for_ended(1, SOON).await;
    let [request] = &receiver.requests()[..] else { panic!("one request") };
    assert_eq!((request.uri.path(), request.uri.query()), ("/hook", Some("a=1")));
    assert_eq!((request.webhook_id(), request.text().as_str()), ("e-1", "body"));
    assert!(request.answered.is_some());
}

#[tokio::test]
async fn failures_are_counted_for_each_event_and_path() {
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/flaky", Behaviour::fail_first(2, 500));
    for (id, status) in [("a", 500), ("b", 500), ("a", 500), ("a", 204), ("b", 500), ("b", 204)] {
        let answer = post(&receiver, "/flaky", id).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{id}: {answer}");
    }
    assert_eq!(receiver.tallies()[&("/flaky".to_owned(), "a".to_owned())].count, 3);
}

#[tokio::test]
async fn answers_carry_headers_and_bodies_of_any_length() {
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/wait", Answer::new(503).retry_after_seconds(7).body("later"));
    let answer = post(&receiver, "/wait", "a").await;
    assert!(answer.contains("retry-after: 7\r\n") && answer.ends_with("\r\n\r\nlater"), "{answer}");

    receiver.on("/large", Answer::new(200).zeros(200_000));
    let answer = post(&receiver, "/large", "a").await;
    assert!(answer.contains("content-length: 200000\r\n"));
    assert_eq!(answer.split_once("\r\n\r\n").expect("a body").1.len(), 200_000);
}

#[tokio::test]
async fn endless_body_goes_on_until_the_client_has_enough() {
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/drip", Answer::new(200).endless(Duration::from_millis(1)));
    let mut stream = begin_post(&receiver, "/drip", "a").await;
    let mut buffer = vec![0; 32 * 1024];
    stream.read_exact(&mut buffer).await.expect("more than 32 KiB");
}

#[tokio::test]
async fn connections_close_without_an_answer_when_told_to() {
    let receiver = Receiver::start().await.expect("a port");
    receiver.on("/before", Behaviour::CloseBeforeBody);
    receiver.on("/after", Behaviour::CloseAfterRequest);
    assert_eq!(post(&receiver, "/before", "a").await, "");
    assert_eq!(post(&receiver, "/after", "a").await, "");
    receiver.wait_for_ended(2, SOON).await;
    assert!(receiver.requests().iter().all(|request| request.answered.is_none()));

    receiver.on_connections(Wire::CloseAtOnce);
    assert_eq!(post(&receiver, "/", "a").await, "");
    receiver.on_connections(Wire::Garbage);
    assert!(post(&receiver, "/", "a").await.contains("not HTTP"));
    assert_eq!(receiver.total(), 2);
}

#[tokio::test]
async fn hanging_request_is_open_until_its_client_goes() {
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::Hang);
    let stream = begin_post(&receiver, "/hook", "a").await;
    receiver.wait_for(1, SOON).await;
    assert_eq!(receiver.open_now(), 1);
    drop(stream);
    receiver.wait_until("end", SOON, |requests| requests[0].ended.is_some()).await;
    assert_eq!(receiver.open_now(), 0);
}

#[tokio::test]
async fn behaviour_can_follow_from_the_request() {
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::choose(|request| {
        Behaviour::status(if request.webhook_id() == "a" { 204 } else { 429 })
    }));
    assert!(post(&receiver, "/", "a").await.starts_with("HTTP/1.1 204 "));
    assert!(post(&receiver, "/", "b").await.starts_with("HTTP/1.1 429 "));
}
