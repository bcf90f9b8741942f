//! `ringback tail`: attempts as they happen.

use std::time::Duration;

use clap::Args;
use ringback_core::{Account, Timestamp};
use ringback_runtime::{Clock as _, SystemClock};
use serde_json::Value;

use super::Session;
use super::answer::{Answer, shown, text, time};
use super::args::{CallbackRef, short_id};
use super::client::cause_of;
use super::deliveries::{duration_ms, outcome};
use super::failure::Failure;
use super::output::{Form, Tint, plain, remark, short, status_tint};
use super::sse::{Decoder, Message};

/// Watches attempts.
#[derive(Args, Debug)]
pub(crate) struct Tail {
    /// Those of this account only
    #[arg(long)]
    account: Option<Account>,
    /// Those to this callback only: its id, or the end of it
    #[arg(long)]
    callback: Option<CallbackRef>,
    /// Those that failed only
    #[arg(long)]
    failed: bool,
}

/// Which attempts are shown.
#[derive(Debug)]
struct Filter {
    account: Option<Account>,
    callback: Option<String>,
    outcomes: Outcomes,
}

#[derive(Debug, PartialEq)]
enum Outcomes {
    All,
    Failures,
}

impl Filter {
    fn passes(&self, attempt: &Value) -> bool {
        let is = |pointer: &str, wanted: &str| text(attempt, pointer) == Some(wanted);
        self.account.as_ref().is_none_or(|account| is("/delivery/account", account.as_str()))
            && self.callback.as_ref().is_none_or(|callback| is("/delivery/callback", callback))
            && (self.outcomes == Outcomes::All || !is("/attempt/outcome", "success"))
    }
}

/// Waits between attempts to connect again.
const RECONNECT_MIN: Duration = Duration::from_millis(500);
const RECONNECT_MAX: Duration = Duration::from_secs(15);

pub(super) async fn run(tail: Tail, session: &Session) -> anyhow::Result<()> {
    let callback = match tail.callback {
        Some(callback) => Some(callback.resolve(session).await?),
        None => None,
    };
    let outcomes = if tail.failed { Outcomes::Failures } else { Outcomes::All };
    let filter = Filter { account: tail.account, callback, outcomes };
    tokio::select! {
        result = follow(&filter, session) => result,
        signal = tokio::signal::ctrl_c() => Ok(signal?),
    }
}

/// Follows the stream, and opens it again when it breaks off. A server that can't be reached in the first place is an
/// error: it is more likely a mistake than a restart.
async fn follow(filter: &Filter, session: &Session) -> anyhow::Result<()> {
    let mut response = open(session).await?;
    if session.out.form == Form::People {
        remark(format_args!("Waiting for attempts. Ctrl-C ends this."));
    }
    let mut screen = Screen { filter, session, name_width: 20 };
    loop {
        let broken = screen.show_all(&mut response).await?;
        remark(format_args!("The connection is lost ({broken}). Connecting again."));
        response = reopen(session).await?;
        remark(format_args!("Connected again. Attempts made meanwhile are not shown."));
    }
}

async fn open(session: &Session) -> anyhow::Result<reqwest::Response> {
    session.client.stream(&["attempts", "live"]).await
}

async fn reopen(session: &Session) -> anyhow::Result<reqwest::Response> {
    let mut wait = RECONNECT_MIN;
    loop {
        tokio::time::sleep(wait).await;
        let error = match open(session).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        let may_pass = match error.downcast_ref() {
            Some(Failure::Unreachable { .. }) => true,
            Some(Failure::Refused(problem)) => problem.status >= 500,
            _ => false,
        };
        if !may_pass {
            return Err(error);
        }
        wait = (wait * 2).min(RECONNECT_MAX);
        remark(format_args!("Still no connection. Trying again in {}.", short(wait)));
    }
}

struct Screen<'a> {
    filter: &'a Filter,
    session: &'a Session,
    name_width: usize,
}

impl Screen<'_> {
    /// Shows what comes until the connection breaks, and says how it did.
    async fn show_all(&mut self, response: &mut reqwest::Response) -> anyhow::Result<String> {
        let mut decoder = Decoder::default();
        loop {
            match response.chunk().await {
                Ok(Some(bytes)) => {
                    for message in decoder.push(&bytes) {
                        self.show(&message)?;
                    }
                }
                Ok(None) => return Ok("the server closed it".to_owned()),
                Err(error) => return Ok(cause_of(&error)),
            }
        }
    }

    fn show(&mut self, message: &Message) -> anyhow::Result<()> {
        let Ok(answer) = Answer::parse(&message.data) else {
            return Ok(());
        };
        if message.event == "lagged" {
            remark(format_args!(
                "Too many at once, some are not shown: {}",
                plain(answer.json.get())
            ));
            return Ok(());
        }
        // Other kinds of messages are of a newer server.
        if answer.value.pointer("/attempt").is_none() || !self.filter.passes(&answer.value) {
            return Ok(());
        }
        match self.session.out.form {
            Form::Json => self.session.out.json(&answer),
            Form::People => {
                let line = self.line(&answer.value, SystemClock.now());
                self.session.out.line(line)
            }
        }
    }

    fn line(&mut self, live: &Value, now: Timestamp) -> String {
        let out = &self.session.out;
        let name = plain(&shown(live, "/delivery/event_name"));
        self.name_width = self.name_width.max(name.chars().count());
        let clock = text(live, "/attempt/started_at").and_then(|at| at.get(11..19)).unwrap_or("-");
        let callback = shown(live, "/delivery/callback");
        let attempt = live.pointer("/attempt").unwrap_or(&Value::Null);
        let failed = text(attempt, "/outcome") != Some("success");
        let tint = if failed { Tint::Bad } else { Tint::Good };
        let next = out.paint(
            status_tint(text(live, "/delivery/status").unwrap_or_default()),
            &next(live, now),
        );
        let error = text(attempt, "/error").map(|error| format!("  ({})", plain(error)));
        format!(
            "{}  {name:width$}  {}  {:>4}  {}  {:>9}  {next}{}",
            out.paint(Tint::Faint, clock),
            plain(short_id(&callback)),
            format!("#{}", shown(attempt, "/number")),
            out.paint(tint, &format!("{:<25}", plain(&outcome(attempt)))),
            duration_ms(attempt),
            out.paint(Tint::Faint, &error.unwrap_or_default()),
            width = self.name_width,
        )
    }
}

/// What follows the attempt.
fn next(live: &Value, now: Timestamp) -> String {
    match text(live, "/delivery/status") {
        Some("pending") => match time(live, "/delivery/next_attempt_at") {
            Some(moment) => match moment.since(now) {
                soon if soon < Duration::from_secs(1) => format!("next in {} ms", soon.as_millis()),
                wait => format!("next in {}", short(wait)),
            },
            None => "pending".to_owned(),
        },
        Some("exhausted") => "exhausted, no retry follows".to_owned(),
        status => plain(status.unwrap_or("-")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filter() -> Filter {
        Filter { account: None, callback: None, outcomes: Outcomes::All }
    }

    #[test]
    fn a_filter_lets_through_what_was_asked_for() {
        let live = json!({
            "delivery": {"account": "acme", "callback": "c-1", "status": "pending"},
            "attempt": {"outcome": "timeout"},
        });
        let acme = Filter { account: "acme".parse().ok(), ..filter() };
        let other = Filter { account: "other".parse().ok(), ..filter() };
        let callback = Filter { callback: Some("c-2".to_owned()), ..filter() };
        let failures = Filter { outcomes: Outcomes::Failures, ..filter() };
        assert!(filter().passes(&live) && acme.passes(&live) && failures.passes(&live));
        assert!(!other.passes(&live) && !callback.passes(&live));
        assert!(!failures.passes(&json!({"delivery": {}, "attempt": {"outcome": "success"}})));
    }

    #[test]
    fn what_follows_is_the_next_attempt_or_the_end() {
        let live =
            json!({"delivery": {"status": "pending", "next_attempt_at": "1970-01-01T00:05:00Z"}});
        assert_eq!(next(&live, Timestamp::EPOCH), "next in 5m");
        assert_eq!(next(&live, Timestamp::from_ms(299_750)), "next in 250 ms");
        assert_eq!(
            next(&json!({"delivery": {"status": "delivered"}}), Timestamp::EPOCH),
            "delivered"
        );
    }
}
