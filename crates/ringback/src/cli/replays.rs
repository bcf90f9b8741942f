//! `ringback replays`: what failed, delivered again in bulk.

use std::num::NonZeroUsize;

use clap::{Args, Subcommand, ValueEnum};
use ringback_core::{Account, EventName, ReplayId};
use serde_json::{Value, json};

use super::Session;
use super::answer::{Answer, shown, text, time};
use super::args::{CallbackRef, Since, short_id};
use super::client::Query;
use super::deliveries::moment;
use super::failure::Failure;
use super::output::{Column, Field, Fit, Form, Tint, relative, remark};

/// Manages bulk replays.
#[derive(Args, Debug)]
pub(crate) struct Replays {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Deliver again what failed, as a job of the server that survives its restart
    Create(Create),
    /// List bulk replays, newest first
    List {
        /// How many at the most
        #[arg(long, default_value = "20", value_name = "N")]
        limit: NonZeroUsize,
    },
    /// Show how far a bulk replay is
    Show {
        /// Its id
        id: ReplayId,
    },
    /// End a bulk replay: what is on its way is delivered, the rest stays as it is
    Cancel {
        /// Its id
        id: ReplayId,
    },
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  ringback replays create --callback 1e0c8b21 --since 14:00
  ringback replays create --account acme --event COMMENT_CREATED --since 2h --per-second 20")]
struct Create {
    /// Deliveries to this callback only: its id, or the end of it
    #[arg(long)]
    callback: Option<CallbackRef>,
    /// Those of this account only
    #[arg(long)]
    account: Option<Account>,
    /// Those of events of this name only
    #[arg(long, value_name = "NAME")]
    event: Option<EventName>,
    /// Those that stand so
    #[arg(long, default_value = "exhausted")]
    status: Status,
    /// Of events accepted since then: so long ago (2h), a time of today in UTC (14:00), `yesterday
    /// 14:00`, or a moment (RFC 3339)
    #[arg(long)]
    since: Option<Since>,
    /// Of events accepted before then
    #[arg(long)]
    until: Option<Since>,
    /// How many are put on the queue in a second: 1 to 10000
    #[arg(long, value_name = "N")]
    per_second: Option<u32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Status {
    Exhausted,
    Cancelled,
    Delivered,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Cancelled => "cancelled",
            Self::Delivered => "delivered",
        }
    }
}

const COLUMNS: [Column; 7] = [
    Column { title: "ID", fit: Fit::Whole },
    Column { title: "STATUS", fit: Fit::Whole },
    Column { title: "DONE", fit: Fit::Whole },
    Column { title: "SKIPPED", fit: Fit::Optional(2) },
    Column { title: "WHAT", fit: Fit::Wraps },
    Column { title: "RATE", fit: Fit::Optional(1) },
    Column { title: "CREATED", fit: Fit::Optional(0) },
];

pub(super) async fn run(replays: Replays, session: &Session) -> anyhow::Result<()> {
    match replays.action {
        Action::Create(create) => create.run(session).await,
        Action::List { limit } => {
            let list = session.client.list(&["replays"], &Query::new(), limit).await?;
            let row = |replay: &Answer| row(replay, session);
            session.out.list(&list, &COLUMNS, row, "No bulk replays.")
        }
        Action::Show { id } => {
            let answer = session.client.get(&["replays", &id.to_string()]).await?;
            show(&answer, session)
        }
        Action::Cancel { id } => {
            let path = ["replays", &id.to_string(), "cancel"];
            let answer = session.client.post_empty(&path).await?;
            if session.out.form == Form::Json {
                return session.out.json(&answer);
            }
            let replayed = answer.shown("/replayed");
            remark(format_args!("Cancelled after {replayed} deliveries, which are on their way."));
            Ok(())
        }
    }
}

impl Create {
    async fn run(self, session: &Session) -> anyhow::Result<()> {
        let callback = match &self.callback {
            Some(callback) => Some(callback.resolve(session).await?),
            None => None,
        };
        if callback.is_none()
            && self.account.is_none()
            && self.event.is_none()
            && self.since.is_none()
        {
            let said = "say what: --callback, --account, --event or --since. Without any of them it would be \
                        everything, at every callback";
            return Err(Failure::usage(said));
        }
        let [since, until] =
            [self.since, self.until].map(|it| it.map(|moment| moment.resolve(session.now)));
        let body = json!({
            "filter": {
                "callback": callback,
                "account": self.account,
                "event_name": self.event,
                "status": self.status.as_str(),
                "since": since,
                "until": until,
            },
            "per_second": self.per_second,
        });
        let answer = session.client.post(&["replays"], &body).await?;
        show(&answer, session)?;
        if session.out.form == Form::People {
            let id = answer.shown("/id");
            remark(format_args!(
                "It goes on by itself. See how far it is: ringback replays show {id}"
            ));
        }
        Ok(())
    }
}

fn show(answer: &Answer, session: &Session) -> anyhow::Result<()> {
    if session.out.form == Form::Json {
        return session.out.json(answer);
    }
    let replay = &answer.value;
    let mut facts = vec![
        ("Replay", Field::tinted(answer.shown("/id"), Tint::Strong)),
        ("Status", status(replay)),
        ("Delivers", Field::new(what(replay))),
        ("Since", moment(replay, "/filter/since", session.now)),
        ("Until", moment(replay, "/filter/until", session.now)),
        ("Rate", Field::new(format!("{} a second", answer.shown("/per_second")))),
        ("Done", Field::new(done(replay))),
        ("Skipped", Field::new(answer.shown("/skipped"))),
        ("Created", moment(replay, "/created_at", session.now)),
    ];
    if text(replay, "/finished_at").is_some() {
        facts.push(("Ended", moment(replay, "/finished_at", session.now)));
    }
    if let Some(error) = text(replay, "/error") {
        facts.push(("Error", Field::tinted(error, Tint::Bad)));
    }
    session.out.facts(&facts)
}

fn row(replay: &Answer, session: &Session) -> Vec<Field> {
    let created = time(&replay.value, "/created_at").map(|moment| relative(moment, session.now));
    vec![
        Field::new(replay.shown("/id")),
        status(&replay.value),
        Field::new(done(&replay.value)),
        Field::new(replay.shown("/skipped")),
        Field::new(what(&replay.value)),
        Field::new(format!("{}/s", replay.shown("/per_second"))),
        Field::new(created.unwrap_or_default()),
    ]
}

fn status(replay: &Value) -> Field {
    let status = shown(replay, "/status");
    let tint = match status.as_str() {
        "finished" => Tint::Good,
        "failed" => Tint::Bad,
        "running" => Tint::Waiting,
        _ => Tint::Faint,
    };
    Field::tinted(status, tint)
}

/// `20 of 30`, or how many there are so far.
fn done(replay: &Value) -> String {
    match replay.pointer("/total").and_then(Value::as_u64) {
        Some(total) => format!("{} of {total}", shown(replay, "/replayed")),
        None => shown(replay, "/replayed"),
    }
}

/// `exhausted COMMENT_CREATED of acme to 1e0c8b21`.
fn what(replay: &Value) -> String {
    let filter = |member: &str| text(replay, &format!("/filter/{member}"));
    let mut words = filter("status").unwrap_or("-").to_owned();
    if let Some(name) = filter("event_name") {
        words = format!("{words} {name}");
    }
    if let Some(account) = filter("account") {
        words = format!("{words} of {account}");
    }
    if let Some(callback) = filter("callback") {
        words = format!("{words} to {}", short_id(callback));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_is_told_in_words() {
        let replay = json!({
            "replayed": 20, "total": 30,
            "filter": {"status": "exhausted", "event_name": "A", "account": "acme",
                "callback": "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21"},
        });
        assert_eq!(what(&replay), "exhausted A of acme to 1e0c8b21");
        assert_eq!(done(&replay), "20 of 30");
        let all = json!({"replayed": 5, "total": null, "filter": {"status": "cancelled"}});
        assert_eq!((what(&all), done(&all)), ("cancelled".to_owned(), "5".to_owned()));
    }
}
