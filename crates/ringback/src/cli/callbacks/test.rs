//! `ringback callbacks test`.

use std::time::Duration;

use clap::Args;
use ringback_core::{EventName, Variables};
use serde_json::json;

use super::super::Session;
use super::super::answer::Answer;
use super::super::deliveries::{duration_ms, result};
use super::super::failure::Failure;
use super::super::output::{Field, Form, Tint};
use super::One;

/// The longest timeout of a callback, what the server waits besides, and some seconds more.
const PATIENCE: Duration = Duration::from_secs(120 + 10 + 15);

/// Tries a callback out.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  ringback callbacks test 1e0c8b21 --event COMMENT_CREATED --variables '{\"COMMENT_ID\":178}'")]
pub(super) struct Test {
    #[command(flatten)]
    callback: One,
    /// The event's name
    #[arg(long, value_name = "NAME")]
    event: Option<EventName>,
    /// The event's variables: a JSON object
    #[arg(long, value_name = "JSON", value_parser = variables)]
    variables: Option<Variables>,
}

fn variables(text: &str) -> Result<Variables, String> {
    serde_json::from_str(text).map_err(|error| format!("a JSON object: {error}"))
}

pub(super) async fn run(test: Test, session: &Session) -> anyhow::Result<()> {
    let id = test.callback.id.resolve(session).await?;
    let body = json!({ "event": test.event, "variables": test.variables });
    let answer =
        session.client.post_patiently(&["callbacks", &id, "test"], &body, PATIENCE).await?;
    if session.out.form == Form::Json {
        session.out.json(&answer)?;
    } else {
        show(&answer, session)?;
    }
    if answer.text("/status") == Some("delivered") {
        return Ok(());
    }
    let why = match answer.text("/waits_for") {
        Some("circuit_open") => {
            "the endpoint is left alone for a while since it kept failing (its circuit is open); the test goes out when it is tried again"
        }
        Some(_) => "the test event waits, and goes out in its turn",
        None => "the test event is not delivered",
    };
    let message = format!("{why}; see: ringback deliveries show {}", answer.shown("/delivery"));
    Err(Failure::Incomplete(message).into())
}

fn show(answer: &Answer, session: &Session) -> anyhow::Result<()> {
    let mut facts = vec![
        ("Event", Field::new(answer.shown("/event"))),
        ("Delivery", Field::new(answer.shown("/delivery"))),
        ("Status", Field::status(&answer.shown("/status"))),
    ];
    match answer.value.pointer("/attempt").filter(|attempt| !attempt.is_null()) {
        Some(attempt) => {
            facts.push(("Result", Field::tinted(result(attempt), Tint::Strong)));
            facts.push(("Took", Field::new(duration_ms(attempt))));
        }
        None => facts.push(("Waits for", Field::new(answer.shown("/waits_for")))),
    }
    session.out.facts(&facts)
}
