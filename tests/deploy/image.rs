//! What the container's health check runs: `ringback health`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use crate::support::command;

/// Answers one request with this status.
fn answers_once(status: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("it has an address").to_string();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        let mut lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
        let asked = lines.next().expect("a line").expect("text");
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nwords");
        stream.write_all(answer.as_bytes()).expect("it is read");
        asked
    });
    (address, answering)
}

fn health(metrics_listen: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let binary = ringback_testkit::ringback_binary().expect("the binary is built");
    let output = command(binary)
        .arg("health")
        .args(arguments)
        .env("RINGBACK_METRICS_LISTEN", metrics_listen)
        .output()
        .expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn health_is_asked_where_the_process_listens_and_told_by_the_exit_code() {
    for (status, arguments, asked, code) in [
        ("200 OK", &[][..], "GET /readyz HTTP/1.1", 0),
        ("503 Service Unavailable", &[], "GET /readyz HTTP/1.1", 1),
        ("200 OK", &["--alive"], "GET /healthz HTTP/1.1", 0),
    ] {
        let (address, answering) = answers_once(status);
        let (ended, said) = health(&address, arguments);
        assert_eq!(ended, Some(code), "{said}");
        assert!(said.contains("words"), "{said}");
        assert_eq!(answering.join().expect("it answers"), asked);
    }
    let nobody = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = nobody.local_addr().expect("it has an address").to_string();
    drop(nobody);
    assert_eq!(health(&address, &[]).0, Some(1));
    assert_eq!(health("nonsense", &[]).0, Some(64));
}
