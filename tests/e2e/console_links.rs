//! Links to the console, from the command that makes them to the page that they open.

use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use ringback_testkit::{Launch, ringback_binary};

use crate::commands::Terminal;
use crate::support::{READY, Ringback, SOON, text};

/// A browser that does what it is told to, and no more.
fn browser() -> Client {
    // Whoever was first has set the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().redirect(Policy::none()).timeout(SOON);
    client.build().expect("a client")
}

/// The first address in what a command said.
fn link_in(output: &str) -> &str {
    let words = output.split_whitespace();
    let mut links = words.filter(|word| word.contains("/console/enter/"));
    links.next().unwrap_or_else(|| panic!("no link in {output}"))
}

async fn press(link: &str) -> Response {
    browser().post(link).send().await.expect("it answers")
}

/// The settings, as whoever came by this answer sees them; none: they are sent to sign in.
async fn settings(url: &str, came_by: &Response) -> Option<String> {
    let cookie = came_by.headers()["set-cookie"].to_str().expect("text");
    let cookie = cookie.split(';').next().unwrap_or_default();
    let request = browser().get(format!("{url}/console/settings")).header("cookie", cookie);
    let page = request.send().await.expect("it answers");
    match page.status().as_u16() {
        200 => Some(page.text().await.expect("whole")),
        _ => None,
    }
}

#[tokio::test]
async fn link_of_the_command_opens_an_account_once_and_ends_with_its_key() {
    let mut ringback = Ringback::start().await;
    let key = serde_json::json!({"account": "acme"});
    let key = ringback.api.post("/v1/api-keys", &key).await.expect(201);
    let terminal = Terminal::of(&ringback);
    let made_by = text(&key["key"]);
    let output = terminal.ok(&["console-link", "--api-key", &made_by]).await;
    let link = link_in(&output);
    assert!(link.starts_with(ringback.api.url()), "{output}");

    let looked_at = browser().get(link).send().await.expect("it answers");
    assert_eq!(looked_at.status(), 200);
    let opened = press(link).await;
    assert_eq!(opened.status(), 303);
    let page = settings(ringback.api.url(), &opened).await.expect("signed in");
    assert!(page.contains("acme") && !page.contains("API keys"), "{page}");
    assert_eq!(press(link).await.status(), 404);

    ringback.stop().await;
    ringback.restart().await;
    let url = ringback.api.url();
    assert!(settings(url, &opened).await.is_some(), "a restart ends no session");
    let key = format!("/v1/api-keys/{}", text(&key["id"]));
    ringback.api.delete(&key).await.expect(204);
    assert!(settings(url, &opened).await.is_none());
}

#[tokio::test]
async fn link_of_an_instance_that_does_not_know_its_address_begins_with_the_one_that_was_called() {
    let everywhere = |launch: Launch| launch.env("RINGBACK_LISTEN", "0.0.0.0:0");
    let ringback = Ringback::start_with(everywhere).await;
    let terminal = Terminal::of(&ringback);
    let made = terminal.json(&["console-link", "--account", "acme"]).await;
    assert!(made["url"].is_null(), "{made}");
    let output = terminal.ok(&["console-link", "--account", "acme"]).await;
    let link = link_in(&output);
    assert!(link.starts_with(ringback.api.url()), "{output}");
    assert_eq!(press(link).await.status(), 303);
    let (code, output) = terminal.run(&["console-link", "--expires-in-seconds", "59"]).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("/expires_in_seconds"), "{output}");
}

#[tokio::test]
async fn dev_prints_a_link_that_opens_everything() {
    let directory = tempfile::tempdir().expect("a directory");
    let launch = Launch::new(ringback_binary().expect("the binary is built"), directory.path())
        .arg("dev")
        .env("RINGBACK_LISTEN", "127.0.0.1:0");
    let (process, url) = launch.start_ready(READY, SOON).await.expect("it starts");
    let welcome = process.output();
    let opened = press(link_in(&welcome)).await;
    assert_eq!(opened.status(), 303);
    assert!(settings(&url, &opened).await.expect("signed in").contains("API keys"));
}
