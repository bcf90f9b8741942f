//! `ringback callbacks`: who gets which events.

mod add;
mod rotate_secret;
mod test;

use std::io::{IsTerminal as _, Write as _};
use std::num::NonZeroUsize;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use ringback_core::Account;
use serde_json::{Value, json};

use super::Session;
use super::answer::{Answer, items, shown, text};
use super::args::CallbackRef;
use super::client::Query;
use super::deliveries::moment;
use super::failure::Failure;
use super::output::{Column, Field, Fit, Form, Tint, plain, remark};

/// Manages callbacks.
#[derive(Args, Debug)]
pub(crate) struct Callbacks {
    #[command(subcommand)]
    action: Action,
}

/// A callback's id, or the end of it.
#[derive(Args, Debug)]
struct One {
    /// The callback's id, or its last 4 or more characters
    id: CallbackRef,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List callbacks, newest first
    List {
        /// Those of this account only
        #[arg(long)]
        account: Option<Account>,
        /// How many at the most
        #[arg(long, default_value = "100", value_name = "N")]
        limit: NonZeroUsize,
    },
    /// Add a callback: from now on, events that match go there
    Add(Box<add::Add>),
    /// Show one callback
    Show {
        #[command(flatten)]
        callback: One,
        /// Print the secret that its requests are signed with, and nothing else
        #[arg(long)]
        secret: bool,
    },
    /// Take deliveries again
    Enable(One),
    /// Take no deliveries: those under way are cancelled
    Disable(One),
    /// Keep deliveries and send none, until it is resumed: nothing is lost
    Pause(One),
    /// Send what was kept, and what comes
    Resume(One),
    /// Send a test event to this callback alone, and show what came of it
    Test(test::Test),
    /// Draw a new secret that signs its requests, and print it; the one before signs too for a while
    RotateSecret(rotate_secret::RotateSecret),
    /// Remove a callback; the history of its deliveries stays
    Remove {
        #[command(flatten)]
        callback: One,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

const COLUMNS: [Column; 7] = [
    Column { title: "ID", fit: Fit::Whole },
    Column { title: "STATE", fit: Fit::Whole },
    Column { title: "ACCOUNT", fit: Fit::Optional(0) },
    Column { title: "METHOD", fit: Fit::Optional(2) },
    Column { title: "URL", fit: Fit::Wraps },
    Column { title: "EVENTS", fit: Fit::Optional(1) },
    Column { title: "RATE", fit: Fit::Optional(3) },
];

pub(super) async fn run(callbacks: Callbacks, session: &Session) -> anyhow::Result<()> {
    match callbacks.action {
        Action::List { account, limit } => {
            let query = Query::new().with("account", account);
            let list = session.client.list(&["callbacks"], &query, limit).await?;
            let nothing = "No callbacks. Add one: ringback callbacks add https://example.com/hook";
            session.out.list(&list, &COLUMNS, row, nothing)
        }
        Action::Add(add) => add::run(*add, session).await,
        Action::Show { callback, secret } => {
            let id = callback.id.resolve(session).await?;
            if secret { show_secret(&id, session).await } else { show(&id, session).await }
        }
        Action::Enable(callback) => switch(&callback.id, Switch::On, session).await,
        Action::Disable(callback) => switch(&callback.id, Switch::Off, session).await,
        Action::Pause(callback) => hold(&callback.id, Hold::Pause, session).await,
        Action::Resume(callback) => hold(&callback.id, Hold::Resume, session).await,
        Action::Test(test) => test::run(test, session).await,
        Action::RotateSecret(rotate) => rotate_secret::run(rotate, session).await,
        Action::Remove { callback, yes } => {
            let id = callback.id.resolve(session).await?;
            if !yes {
                confirm_removal(&id, session).await?;
            }
            session.client.delete(&["callbacks", &id]).await?;
            remark(format_args!("Removed callback {id}."));
            Ok(())
        }
    }
}

fn row(callback: &Answer) -> Vec<Field> {
    vec![
        Field::new(callback.shown("/id")),
        state(&callback.value),
        Field::new(callback.text("/account").unwrap_or("all")),
        Field::new(callback.shown("/method")),
        Field::new(callback.shown("/url")),
        Field::new(events(&callback.value)),
        Field::new(rate(&callback.value)),
    ]
}

fn state(callback: &Value) -> Field {
    if callback.pointer("/paused") == Some(&Value::Bool(true)) {
        return Field::tinted("paused", Tint::Waiting);
    }
    match (callback.pointer("/enabled"), text(callback, "/disabled_reason")) {
        (Some(Value::Bool(true)), _) => Field::tinted("enabled", Tint::Good),
        (_, Some("gone")) => Field::tinted("disabled (gone)", Tint::Bad),
        _ => Field::tinted("disabled", Tint::Faint),
    }
}

fn events(callback: &Value) -> String {
    let patterns: Vec<String> =
        items(callback, "/events").iter().map(|item| shown(item, "")).collect();
    if patterns == ["*"] { "all".to_owned() } else { patterns.join(", ") }
}

async fn show(id: &str, session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get(&["callbacks", id]).await?;
    if session.out.form == Form::Json {
        return session.out.json(&answer);
    }
    let callback = &answer.value;
    let number =
        |pointer: &str, unit: &str| Field::new(format!("{}{unit}", shown(callback, pointer)));
    let mut facts = vec![
        ("Callback", Field::tinted(answer.shown("/id"), Tint::Strong)),
        ("Description", Field::new(described(&answer))),
        ("State", state(callback)),
        ("Request", Field::new(format!("{} {}", answer.shown("/method"), answer.shown("/url")))),
        ("Format", Field::new(answer.shown("/format"))),
        ("Account", Field::new(answer.text("/account").unwrap_or("all accounts"))),
        ("Events", Field::new(events(callback))),
        ("Authorization", Field::new(authorization(callback))),
        ("Retries", Field::new(retries(callback))),
        ("Timeout", number("/timeout_ms", " ms")),
        ("In flight", number("/max_in_flight", " requests at the most")),
        ("Rate", Field::new(rate_limit(callback))),
        ("Circuit", Field::new(circuit(callback))),
        ("Created", moment(callback, "/created_at", session.now)),
        ("Changed", moment(callback, "/updated_at", session.now)),
    ];
    let headers = callback.pointer("/headers").and_then(Value::as_object);
    for (name, value) in headers.into_iter().flatten() {
        facts.push(("Header", Field::new(format!("{name}: {}", shown(value, "")))));
    }
    session.out.facts(&facts)
}

fn described(callback: &Answer) -> &str {
    let description = callback.text("/description");
    description.filter(|text| !text.is_empty()).unwrap_or("-")
}

fn authorization(callback: &Value) -> String {
    match text(callback, "/authorization/type") {
        Some("basic") => format!("basic, as {}", shown(callback, "/authorization/username")),
        Some("callback_key") => "callback key".to_owned(),
        Some(other) => other.to_owned(),
        None => "-".to_owned(),
    }
}

fn retries(callback: &Value) -> String {
    let policy = |member: &str| shown(callback, &format!("/retry/{member}"));
    if callback.pointer("/retry/enabled") == Some(&Value::Bool(false)) {
        return "none".to_owned();
    }
    let (times, delay) = (policy("max_retries"), policy("delay_seconds"));
    match text(callback, "/retry/backoff") {
        Some("exponential") => format!(
            "{times}, the first within {delay} s, each wait up to {} times the one before, {} s at the most",
            policy("factor"),
            policy("max_delay_seconds")
        ),
        _ => format!("{times}, {delay} s apart"),
    }
}

/// In short: `50/s`.
fn rate(callback: &Value) -> String {
    match callback.pointer("/rate_limit/per_second") {
        Some(per_second) => format!("{per_second}/s"),
        None => "-".to_owned(),
    }
}

fn rate_limit(callback: &Value) -> String {
    match callback.pointer("/rate_limit/per_second") {
        Some(per_second) => {
            let burst = shown(callback, "/rate_limit/burst");
            format!("{per_second} requests a second, {burst} at once after a quiet time")
        }
        None => "no limit".to_owned(),
    }
}

fn circuit(callback: &Value) -> String {
    if callback.pointer("/circuit/enabled") != Some(&Value::Bool(true)) {
        return "none".to_owned();
    }
    let (failures, seconds) =
        (shown(callback, "/circuit/failures"), shown(callback, "/circuit/open_seconds"));
    format!("opens after {failures} failures in a row, for {seconds} s at first")
}

async fn show_secret(id: &str, session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get(&["callbacks", id, "secret"]).await?;
    match session.out.form {
        Form::Json => session.out.json(&answer),
        Form::People => {
            session.out.line(answer.text("/secret").context("the server's answer holds no secret")?)
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Switch {
    On,
    Off,
}

async fn switch(callback: &CallbackRef, switch: Switch, session: &Session) -> anyhow::Result<()> {
    let id = callback.resolve(session).await?;
    let enabled = matches!(switch, Switch::On);
    let answer = session.client.patch(&["callbacks", &id], &json!({ "enabled": enabled })).await?;
    if session.out.form == Form::Json {
        return session.out.json(&answer);
    }
    match switch {
        Switch::On => {
            warn(&answer);
            remark(format_args!("Callback {id} is enabled."));
        }
        Switch::Off => remark(format_args!(
            "Callback {id} is disabled: new events do not match, deliveries under way are cancelled."
        )),
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Hold {
    Pause,
    Resume,
}

async fn hold(callback: &CallbackRef, hold: Hold, session: &Session) -> anyhow::Result<()> {
    let id = callback.resolve(session).await?;
    let call = match hold {
        Hold::Pause => "pause",
        Hold::Resume => "resume",
    };
    let answer = session.client.post_empty(&["callbacks", &id, call]).await?;
    if session.out.form == Form::Json {
        return session.out.json(&answer);
    }
    match hold {
        Hold::Pause => remark(format_args!(
            "Callback {id} is paused: its deliveries are kept. Send them: ringback callbacks resume {id}"
        )),
        Hold::Resume => {
            remark(format_args!("Callback {id} is not paused: what was kept for it goes out now."));
        }
    }
    Ok(())
}

/// Passes on what the server warns of.
fn warn(answer: &Answer) {
    for warning in items(&answer.value, "/warnings") {
        let detail = text(warning, "/detail").map_or_else(|| shown(warning, ""), str::to_owned);
        remark(format_args!("warning: {}", plain(&detail)));
    }
}

/// Asks before a callback is removed. The answer says which one it is: an id alone is easily mistaken.
async fn confirm_removal(id: &str, session: &Session) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("removing asks on a terminal, and this is none: say --yes"));
    }
    let callback = session.client.get(&["callbacks", id]).await?;
    let url = plain(&callback.shown("/url"));
    let mut stderr = std::io::stderr();
    write!(stderr, "Remove callback {id} to {url}? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::Incomplete("not removed".to_owned()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_told_in_words() {
        let fixed = json!({"retry": {"enabled": true, "delay_seconds": 300, "max_retries": 3, "backoff": "fixed"}});
        assert_eq!(retries(&fixed), "3, 300 s apart");
        assert_eq!(retries(&json!({"retry": {"enabled": false, "max_retries": 3}})), "none");
    }

    #[test]
    fn limits_are_told_in_words() {
        let limited = json!({
            "rate_limit": {"per_second": 50, "burst": 5},
            "circuit": {"enabled": true, "failures": 20, "open_seconds": 1.5},
        });
        assert_eq!(rate(&limited), "50/s");
        assert_eq!(rate_limit(&limited), "50 requests a second, 5 at once after a quiet time");
        assert_eq!(circuit(&limited), "opens after 20 failures in a row, for 1.5 s at first");
        let free = json!({"rate_limit": null, "circuit": {"enabled": false}});
        assert_eq!((rate(&free), rate_limit(&free)), ("-".to_owned(), "no limit".to_owned()));
        assert_eq!(circuit(&free), "none");
    }

    #[test]
    fn every_event_is_told_as_all() {
        assert_eq!(events(&json!({"events": ["*"]})), "all");
        assert_eq!(events(&json!({"events": ["A", "B_*"]})), "A, B_*");
    }
}
