//! `ringback dev`: `serve` for trying out. Loopback targets are allowed, an admin key is made, and a receiver at
//! `/dev/receiver` prints what it gets.

use std::io::Write as _;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::any;
use ringback_core::secret::Secret;

use crate::exit::Failure;
use crate::key_files;
use crate::process::{self, Process, Role};
use crate::settings::{Given, Openness, Settings};

/// Runs until Ctrl-C or SIGTERM.
///
/// # Errors
/// Bad settings, before any port is bound; what is needed and not there; a task that fails.
pub(crate) async fn run(given: Given) -> Result<(), Failure> {
    let settings = given.check(Openness::Loopback).map_err(Failure::Usage)?;
    process::start_logs(&settings)?;
    let key = match &settings.admin_key {
        Some(key) => key.clone(),
        None => key_files::admin_key(&settings.data_dir).map_err(Failure::Unavailable)?,
    };
    let settings = Settings { admin_key: Some(key.clone()), ..settings };
    let data_dir = settings.data_dir.display().to_string();
    let listening = Process::open(Role::All, settings).await?.listen().await?;
    let link = listening.console().link_for(&key).await;
    let link = link.map_err(|problem| Failure::Other(anyhow::anyhow!("{}", problem.detail())))?;
    print(&welcome(listening.address(), &key, &link, &data_dir));
    listening.with(receiver()).run(process::stop_signal()).await
}

fn welcome(address: SocketAddr, key: &Secret, link: &str, data_dir: &str) -> String {
    let url = format!("http://{}", reachable(address));
    let key = key.reveal();
    let curl = |path: &str, body: &str| {
        format!(
            "curl -sS {url}{path} -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{body}'"
        )
    };
    let callback = curl(
        "/v1/callbacks",
        &format!(
            r#"{{"url":"{url}/dev/receiver","account":"acme","events":["COMMENT_*"],"format":"json"}}"#
        ),
    );
    let event = curl(
        "/v1/events",
        r#"{"name":"COMMENT_CREATED","account":"acme","variables":{"COMMENT_ID":178,"COMMENT":"Needs more cowbell"}}"#,
    );
    format!(
        "\nRingback runs at {url} and keeps its data in {data_dir}. Ctrl-C stops it; nothing is lost.\n\n\
         The console: {url}{link}\n\
         (opens it once, within an hour; another such link: ringback console-link)\n\n\
         Admin API key: {key}\n\n\
         Paste these into another terminal.\n\n\
         1. A callback for the events of account acme. It points at /dev/receiver, which prints here what it gets:\n\n\
         {callback}\n\n\
         2. An event:\n\n\
         {event}\n\n\
         What became of it: ringback deliveries list (from this directory it finds the key by itself).\n\
         The API: {url}/openapi.json\n\n"
    )
}

/// Where this machine reaches an address that is listened on: "all addresses" is none to send to.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// Prints each request and answers 204.
fn receiver() -> Router {
    Router::new()
        .route("/dev/receiver", any(receive))
        .route("/dev/receiver/", any(receive))
        .route("/dev/receiver/{*path}", any(receive))
}

async fn receive(request: Request) -> StatusCode {
    const SHOWN_BYTES_MAX: usize = 4 * 1024;

    let (parts, body) = request.into_parts();
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-");
    let Ok(body) = axum::body::to_bytes(body, 1024 * 1024).await else {
        return StatusCode::PAYLOAD_TOO_LARGE;
    };
    let shown = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES_MAX)]);
    print(&format!(
        "received {} {} · event {} · attempt {}\n{}{}",
        parts.method,
        parts.uri,
        header("webhook-id"),
        header("ringback-attempt"),
        shown,
        if shown.is_empty() { "" } else { "\n" },
    ));
    StatusCode::NO_CONTENT
}

/// To standard output, which is for people here; logs go to standard error. Nobody listening is no reason to stop.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _nobody_listens = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
