//! `ringback deliveries`: events on their way to callbacks, each with its attempts.

mod retry;
mod show;

use std::num::NonZeroUsize;

use clap::{Args, Subcommand, ValueEnum};
use ringback_core::{Account, DeliveryId, EventId, Timestamp};
use serde_json::Value;

use super::Session;
use super::answer::{shown, text, time};
use super::args::{CallbackRef, Since, short_id};
use super::client::Query;
use super::output::{Column, Field, Fit, Form, Tint, relative, remark};

/// Looks into deliveries.
#[derive(Args, Debug)]
pub(crate) struct Deliveries {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List deliveries, those of the last events first
    List {
        #[command(flatten)]
        filter: Filter,
        /// How many at the most
        #[arg(long, default_value = "50", value_name = "N")]
        limit: NonZeroUsize,
    },
    /// Show a delivery and each of its attempts: what was sent, what came back
    Show {
        /// The delivery's id
        id: DeliveryId,
        /// Show headers and bodies whole
        #[arg(long)]
        full: bool,
    },
    /// Try again now: the deliveries named, or all that a filter finds
    Retry(retry::Retry),
    /// Cancel a pending delivery: no further attempt is made
    Cancel {
        /// The delivery's id
        id: DeliveryId,
    },
}

/// Which deliveries.
#[derive(Args, Debug)]
struct Filter {
    /// Those that stand so only
    #[arg(long)]
    status: Option<Status>,
    /// Those to this callback only: its id, or the end of it
    #[arg(long)]
    callback: Option<CallbackRef>,
    /// Those of this event only
    #[arg(long)]
    event: Option<EventId>,
    /// Those of this account only
    #[arg(long)]
    account: Option<Account>,
    /// Of events accepted so long ago at the most (1h), or since a moment (RFC 3339)
    #[arg(long)]
    since: Option<Since>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Status {
    Pending,
    Delivered,
    Exhausted,
    Cancelled,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Filter {
    async fn query(&self, session: &Session) -> anyhow::Result<Query> {
        let callback = match &self.callback {
            Some(callback) => Some(callback.resolve(session).await?),
            None => None,
        };
        Ok(Query::new()
            .with("status", self.status.map(Status::as_str))
            .with("callback", callback)
            .with("event", self.event)
            .with("account", self.account.as_ref())
            .with("since", self.since.map(|since| since.resolve(session.now))))
    }
}

const COLUMNS: [Column; 8] = [
    Column { title: "ID", fit: Fit::Whole },
    Column { title: "STATUS", fit: Fit::Whole },
    Column { title: "EVENT", fit: Fit::Wraps },
    Column { title: "CALLBACK", fit: Fit::Optional(0) },
    Column { title: "ATTEMPTS", fit: Fit::Optional(2) },
    Column { title: "ACCOUNT", fit: Fit::Optional(3) },
    Column { title: "CHANGED", fit: Fit::Optional(4) },
    Column { title: "NEXT", fit: Fit::Optional(1) },
];

pub(super) async fn run(deliveries: Deliveries, session: &Session) -> anyhow::Result<()> {
    match deliveries.action {
        Action::List { filter, limit } => {
            let query = filter.query(session).await?;
            let list = session.client.list(&["deliveries"], &query, limit).await?;
            let row = |delivery: &super::answer::Answer| row(&delivery.value, session);
            session.out.list(&list, &COLUMNS, row, "No such deliveries.")
        }
        Action::Show { id, full } => {
            let detail = if full { show::Detail::Full } else { show::Detail::Short };
            show::run(id, detail, session).await
        }
        Action::Retry(retry) => retry::run(retry, session).await,
        Action::Cancel { id } => {
            let path = ["deliveries", &id.to_string(), "cancel"];
            let answer = session.client.post_empty(&path).await?;
            if session.out.form == Form::Json {
                return session.out.json(&answer);
            }
            remark(format_args!("Delivery {id} is cancelled."));
            Ok(())
        }
    }
}

/// A table of deliveries that came with something else.
pub(super) fn print(deliveries: &[Value], session: &Session) -> anyhow::Result<()> {
    debug_assert_eq!(session.out.form, Form::People, "JSON is printed as it came");
    session.out.table(&COLUMNS, deliveries.iter().map(|delivery| row(delivery, session)).collect())
}

fn row(delivery: &Value, session: &Session) -> Vec<Field> {
    let told = |pointer: &str| time(delivery, pointer).map(|moment| relative(moment, session.now));
    let next = match (time(delivery, "/next_attempt_at"), text(delivery, "/waits_for")) {
        (Some(moment), Some(reason)) if moment > session.now => {
            format!("{} ({})", relative(moment, session.now), reason.replace('_', " "))
        }
        // No reason to wait, or due: the attempt is being made.
        (Some(_), _) => "now".to_owned(),
        (None, Some("paused")) => "when resumed".to_owned(),
        (None, _) => String::new(),
    };
    vec![
        Field::new(shown(delivery, "/id")),
        Field::status(&shown(delivery, "/status")),
        Field::new(shown(delivery, "/event_name")),
        Field::new(short_id(&shown(delivery, "/callback"))),
        Field::new(attempts_made(delivery)),
        Field::new(shown(delivery, "/account")),
        Field::new(told("/updated_at").unwrap_or_default()),
        Field::new(next),
    ]
}

fn attempts_made(delivery: &Value) -> String {
    shown(delivery, "/attempts_made")
}

/// A moment, and how long ago that is.
pub(super) fn moment(value: &Value, pointer: &str, now: Timestamp) -> Field {
    match time(value, pointer) {
        Some(moment) => Field::new(format!("{moment} ({})", relative(moment, now))),
        None => Field::tinted(shown(value, pointer), Tint::Faint),
    }
}

/// What an attempt met, and the reason where no whole answer came: `timeout: no answer within 15 s`.
pub(super) fn result(attempt: &Value) -> String {
    match text(attempt, "/error") {
        Some(error) => format!("{}: {error}", outcome(attempt)),
        None => outcome(attempt),
    }
}

/// What an attempt met, in few words: `503 Service Unavailable`, `timeout`.
pub(super) fn outcome(attempt: &Value) -> String {
    let status = attempt.pointer("/response/status").and_then(Value::as_u64);
    let code = status.and_then(|status| u16::try_from(status).ok());
    match code.and_then(|code| reqwest::StatusCode::from_u16(code).ok()) {
        Some(code) if text(attempt, "/error").is_none() => {
            let reason = code.canonical_reason().unwrap_or_default();
            format!("{} {reason}", code.as_str()).trim_end().to_owned()
        }
        _ => shown(attempt, "/outcome").replace('_', " "),
    }
}

/// How long an attempt took.
pub(super) fn duration_ms(attempt: &Value) -> String {
    format!("{} ms", shown(attempt, "/duration_ms"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_is_the_status_or_the_reason_for_none() {
        let answered = json!({"outcome": "http_error", "response": {"status": 503}, "error": null});
        assert_eq!(result(&answered), "503 Service Unavailable");
        assert_eq!(result(&json!({"outcome": "success", "response": {"status": 299}})), "299");
        let timeout =
            json!({"outcome": "timeout", "response": null, "error": "no answer within 15 s"});
        assert_eq!(result(&timeout), "timeout: no answer within 15 s");
    }
}
