//! What people type: `dev`, `demo`, and the commands for daily use.

use std::time::Duration;

use ringback_testkit::builders::event_id;
use ringback_testkit::{Behaviour, Launch, Receiver, ringback_binary};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{ADMIN_KEY, Api, READY, Ringback, SOON, callback, event, eventually, text};

/// A terminal in an empty directory.
pub(crate) struct Terminal {
    pub(crate) directory: TempDir,
    url: String,
}

impl Terminal {
    pub(crate) fn of(ringback: &Ringback) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { directory, url: ringback.api.url().to_owned() }
    }

    fn launch(&self, arguments: &[&str]) -> Launch {
        Launch::new(ringback_binary().expect("the binary is built"), self.directory.path())
            .args(arguments)
            .env("RINGBACK_URL", &self.url)
            .env("RINGBACK_API_KEY", ADMIN_KEY)
    }

    /// Runs a command to its end; gives its exit code and what it said.
    pub(crate) async fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut process = self.launch(arguments).start().expect("it starts");
        let status = process.wait_exit(SOON).await.expect("it ends");
        (status.code(), process.output())
    }

    /// Runs a command that is to succeed.
    pub(crate) async fn ok(&self, arguments: &[&str]) -> String {
        let (code, output) = self.run(arguments).await;
        assert_eq!(code, Some(0), "{arguments:?}: {output}");
        output
    }

    /// Runs a command that is to succeed with JSON.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        let output = self.ok(&[arguments, &["--json"]].concat()).await;
        serde_json::from_str(&output)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output}"))
    }
}

#[tokio::test]
async fn commands_send_show_and_try_again() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    receiver.on_others(Behaviour::status(500));
    let terminal = Terminal::of(&ringback);
    let url = receiver.url("/hook");
    let added =
        terminal.json(&["callbacks", "add", &url, "--events", "COMMENT_*", "--no-retry"]).await;
    let callback = text(&added["id"]);
    assert!(terminal.ok(&["callbacks", "list"]).await.contains(&url));
    assert!(terminal.ok(&["callbacks", "show", &callback]).await.contains("COMMENT_*"));

    let sent =
        terminal.json(&["send", "COMMENT_CREATED", "--account", "acme", "COMMENT_ID=178"]).await;
    let event = text(&sent["id"]);
    let delivery = text(&ringback.api.settled_delivery(&event).await["id"]);
    assert!(receiver.requests()[0].text().contains("COMMENT_ID=178"));
    let listed = terminal.ok(&["deliveries", "list", "--status", "exhausted"]).await;
    assert!(listed.contains("exhausted"), "{listed}");
    assert!(terminal.ok(&["deliveries", "show", &delivery]).await.contains("500"));

    receiver.on_others(Behaviour::status(204));
    terminal.ok(&["deliveries", "retry", &delivery]).await;
    ringback.api.delivery_when(&event, |delivery| delivery["status"] == "delivered").await;

    terminal.ok(&["callbacks", "remove", &callback, "--yes"]).await;
    ringback.api.get(&format!("/v1/callbacks/{callback}")).await.expect_problem(404);
}

#[tokio::test]
async fn commands_pause_and_resume_and_show_limits() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    let terminal = Terminal::of(&ringback);
    let url = receiver.url("/hook");
    let limits = ["--rate-limit", "50", "--burst", "10", "--circuit-failures", "5"];
    let added = terminal.json(&[&["callbacks", "add", &url], &limits[..]].concat()).await;
    assert_eq!(added["rate_limit"], json!({"per_second": 50, "burst": 10}));
    assert_eq!(added["circuit"]["failures"], 5);
    let callback = text(&added["id"]);
    let shown = terminal.ok(&["callbacks", "show", &callback]).await;
    assert!(shown.contains("50 requests a second, 10 at once"), "{shown}");
    assert!(shown.contains("opens after 5 failures in a row"), "{shown}");

    assert_eq!(terminal.json(&["callbacks", "pause", &callback]).await["paused"], true);
    let list = terminal.ok(&["callbacks", "list"]).await;
    assert!(list.contains("paused") && list.contains("50/s"), "{list}");
    let sent = terminal.json(&["send", "COMMENT_CREATED", "--account", "acme"]).await;
    let kept = |delivery: &Value| delivery["waits_for"] == "paused";
    let delivery = ringback.api.delivery_when(&text(&sent["id"]), kept).await;
    let listed = terminal.ok(&["deliveries", "list"]).await;
    assert!(listed.contains("when resumed"), "{listed}");
    let shown = terminal.ok(&["deliveries", "show", &text(&delivery["id"])]).await;
    assert!(shown.contains("its callback, which is paused"), "{shown}");

    let said = terminal.ok(&["callbacks", "resume", &callback]).await;
    assert!(said.contains("goes out now"), "{said}");
    receiver.wait_for_ended(1, SOON).await;
    assert!(terminal.ok(&["callbacks", "list"]).await.contains("enabled"));
    let (code, output) = terminal.run(&["callbacks", "add", &url, "--rate-limit", "0"]).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("/rate_limit/per_second"), "{output}");
}

#[tokio::test]
async fn tail_shows_attempts_as_they_happen() {
    let ringback = Ringback::start().await;
    let receiver = Receiver::start().await.expect("a port");
    ringback.api.create_callback(&callback(&receiver.url("/hook"))).await;
    let tail = Terminal::of(&ringback).launch(&["tail"]).start().expect("it starts");
    // Attempts before it listens are not shown: events go out until one is.
    let shown = async || {
        ringback.api.send(&event("TAILED")).await;
        tail.wait_for_line("TAILED", Duration::from_millis(500)).await.ok()
    };
    eventually("line of an attempt", SOON, shown).await;
}

#[tokio::test]
async fn commands_say_what_is_wrong_by_their_exit_code() {
    let ringback = Ringback::start().await;
    let terminal = Terminal::of(&ringback);
    let nothing = event_id().to_string();
    let (code, output) = terminal.run(&["callbacks", "show", &nothing]).await;
    assert_eq!(code, Some(1), "{output}");
    let (code, output) = terminal.run(&["send", "BAD NAME", "--account", "acme"]).await;
    assert_eq!(code, Some(64), "{output}");
    assert!(output.contains("event name"), "{output}");
    let (code, output) = terminal.run(&["callbacks", "list", "--api-key", "rbk_wrong"]).await;
    assert_eq!(code, Some(1), "{output}");
    let (code, output) = terminal.run(&["callbacks", "list", "--url", "http://127.0.0.1:1"]).await;
    assert_eq!(code, Some(69), "{output}");
    let (code, output) = terminal.run(&["callbacks", "lsit"]).await;
    assert_eq!(code, Some(64), "{output}");
}

#[tokio::test]
async fn dev_prints_commands_that_work_when_pasted() {
    let directory = tempfile::tempdir().expect("a directory");
    let launch = Launch::new(ringback_binary().expect("the binary is built"), directory.path())
        .arg("dev")
        .env("RINGBACK_LISTEN", "127.0.0.1:0");
    let (mut process, url) = launch.start_ready(READY, SOON).await.expect("it starts");
    let welcome = process.output();
    assert!(welcome.contains(&url), "{welcome}");
    let commands: Vec<_> = welcome.lines().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(commands.len(), 2, "{welcome}");
    for command in commands {
        let shell = Launch::new("sh", directory.path()).args(["-c", command]);
        let mut shell = shell.start().expect("there is a shell");
        let status = shell.wait_exit(SOON).await.expect("curl ends");
        assert!(status.success(), "{command}: {}", shell.output());
    }
    process.wait_for_line("received POST /dev/receiver", SOON).await.expect("the event arrives");

    // The same key at the next start, so that what was pasted goes on working.
    let key = welcome.split_once("Admin API key: ").and_then(|(_, rest)| rest.lines().next());
    let key = key.expect("a key is printed").to_owned();
    process.kill9().await.expect("it runs");
    let (process, url) = launch.start_ready(READY, SOON).await.expect("it starts again");
    assert!(process.output().contains(&key));
    assert_eq!(Api::new(url, &key).list("/v1/callbacks").await.len(), 1);
}

#[tokio::test]
async fn demo_delivers_its_events_before_your_eyes() {
    let directory = tempfile::tempdir().expect("a directory");
    let launch = Launch::new(ringback_binary().expect("the binary is built"), directory.path());
    let mut process = launch.arg("demo").start().expect("it starts");
    let status = process.wait_exit(SOON).await.expect("it ends by itself");
    let output = process.output();
    assert_eq!(status.code(), Some(0), "{output}");
    assert!(output.contains("all 20 delivered") && output.contains("next attempt in"), "{output}");
}
