//! `ringback events`: what happened, and what became of it.

use std::num::NonZeroUsize;

use clap::{Args, Subcommand};
use ringback_core::{Account, EventId, EventName, Variables};
use serde::Deserialize;
use serde_json::json;

use super::answer::{Answer, items, shown, time};
use super::args::{CallbackRef, Since};
use super::client::Query;
use super::output::{Column, Field, Fit, Form, Tint, relative, remark};
use super::{Session, deliveries};

/// Looks up events.
#[derive(Args, Debug)]
pub(crate) struct Events {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List events, last one first
    List {
        /// Those of this account only
        #[arg(long)]
        account: Option<Account>,
        /// Those of this name only
        #[arg(long)]
        name: Option<EventName>,
        /// Accepted so long ago at the most (1h), or since a moment (RFC 3339)
        #[arg(long)]
        since: Option<Since>,
        /// How many at the most
        #[arg(long, default_value = "50", value_name = "N")]
        limit: NonZeroUsize,
    },
    /// Show an event, its variables and its deliveries
    Show {
        /// The event's id
        id: EventId,
        /// The account it belongs to, should several have an event of this id
        #[arg(long)]
        account: Option<Account>,
    },
    /// Deliver an event again: to all callbacks that match now, or to those named
    Replay {
        /// The event's id
        id: EventId,
        /// To this callback, whether or not it matches: its id, or the end of it; more than once for several
        #[arg(long = "callback", value_name = "CALLBACK")]
        callbacks: Vec<CallbackRef>,
        /// The account it belongs to, should several have an event of this id
        #[arg(long)]
        account: Option<Account>,
    },
    /// Cancel what is pending of an event: what is scheduled is not sent, what failed is not tried again
    Cancel {
        /// The event's id
        id: EventId,
        /// The account it belongs to, should several have an event of this id
        #[arg(long)]
        account: Option<Account>,
    },
}

const COLUMNS: [Column; 5] = [
    Column { title: "ID", fit: Fit::Whole },
    Column { title: "NAME", fit: Fit::Wraps },
    Column { title: "ACCOUNT", fit: Fit::Wraps },
    Column { title: "ACCEPTED", fit: Fit::Optional(0) },
    Column { title: "TIME", fit: Fit::Optional(1) },
];

pub(super) async fn run(events: Events, session: &Session) -> anyhow::Result<()> {
    match events.action {
        Action::List { account, name, since, limit } => {
            let query = Query::new()
                .with("account", account)
                .with("name", name)
                .with("since", since.map(|since| since.resolve(session.now)));
            let list = session.client.list(&["events"], &query, limit).await?;
            session.out.list(&list, &COLUMNS, |event| row(event, session), "No such events.")
        }
        Action::Show { id, account } => show(id, account, session).await,
        Action::Replay { id, callbacks, account } => {
            let mut ids = Vec::with_capacity(callbacks.len());
            for callback in callbacks {
                ids.push(callback.resolve(session).await?);
            }
            replay(id, &ids, account, session).await
        }
        Action::Cancel { id, account } => cancel(id, account, session).await,
    }
}

async fn replay(
    id: EventId,
    callbacks: &[String],
    account: Option<Account>,
    session: &Session,
) -> anyhow::Result<()> {
    let body = if callbacks.is_empty() { json!({}) } else { json!({ "callbacks": callbacks }) };
    let query = Query::new().with("account", account);
    let path = ["events", &id.to_string(), "replay"];
    let answer = session.client.post_with(&path, &query, &body).await?;
    if session.out.form == Form::Json {
        return session.out.json(&answer);
    }
    let deliveries = items(&answer.value, "/deliveries");
    for delivery in deliveries {
        session.out.line(shown(delivery, ""))?;
    }
    let many = if deliveries.len() == 1 { "delivery is" } else { "deliveries are" };
    remark(format_args!("{} new {many} on the way. Watch: ringback tail", deliveries.len()));
    Ok(())
}

async fn cancel(id: EventId, account: Option<Account>, session: &Session) -> anyhow::Result<()> {
    let query = Query::new().with("account", account);
    let path = ["events", &id.to_string(), "cancel"];
    let answer = session.client.post_with(&path, &query, &json!({})).await?;
    if session.out.form == Form::Json {
        return session.out.json(&answer);
    }
    remark(format_args!("Cancelled {} of its deliveries.", answer.shown("/cancelled")));
    Ok(())
}

fn row(event: &Answer, session: &Session) -> Vec<Field> {
    let accepted = time(&event.value, "/accepted_at").map(|moment| relative(moment, session.now));
    vec![
        Field::new(event.shown("/id")),
        Field::new(event.shown("/name")),
        Field::new(event.shown("/account")),
        Field::new(accepted.unwrap_or_default()),
        Field::new(event.shown("/time")),
    ]
}

async fn show(id: EventId, account: Option<Account>, session: &Session) -> anyhow::Result<()> {
    let out = &session.out;
    let query = Query::new().with("account", account);
    let event = session.client.get_with(&["events", &id.to_string()], &query).await?;
    if out.form == Form::Json {
        return out.json(&event);
    }
    let mut facts = vec![
        ("Event", Field::tinted(event.shown("/name"), Tint::Strong)),
        ("Id", Field::new(event.shown("/id"))),
        ("Account", Field::new(event.shown("/account"))),
        ("Time", Field::new(event.shown("/time"))),
        ("Accepted", deliveries::moment(&event.value, "/accepted_at", session.now)),
    ];
    if event.text("/deliver_at").is_some() {
        facts.push(("Deliver at", deliveries::moment(&event.value, "/deliver_at", session.now)));
    }
    out.facts(&facts)?;
    let With { variables } = serde_json::from_str(event.json.get())?;
    if !variables.is_empty() {
        out.line(format_args!("\n{}", out.paint(Tint::Strong, "Variables")))?;
        // As JSON: it tells "178" from 178, and keeps a text of many lines on one.
        let facts: Vec<(&str, Field)> =
            variables.iter().map(|(name, value)| (name, Field::new(value.get()))).collect();
        out.facts(&facts)?;
    }
    let made = items(&event.value, "/deliveries");
    out.line("")?;
    if made.is_empty() {
        return out.line("No deliveries: no callback matched, or it is still on its way.");
    }
    deliveries::print(made, session)?;
    if event.text("/deliveries_next_cursor").is_some() {
        remark(format_args!("There are more: ringback deliveries list --event {id} --limit 1000"));
    }
    Ok(())
}

/// The part of an event that is shown as it came.
#[derive(Deserialize)]
struct With {
    #[serde(default)]
    variables: Variables,
}
