//! `ringback rejected`: what producers published and nobody could take.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use ringback_broker::rabbitmq::rejected::{self, SetAside, Shelf};

use super::{rabbitmq, say};
use crate::exit::Failure;
use crate::settings::{Given, Openness};

#[derive(Args, Debug)]
pub(crate) struct Rejected {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the oldest ones, with the reason of each; they stay where they are
    List(Which),
    /// Put the oldest ones in again where their producers put them
    Requeue(Which),
    /// Delete the oldest ones for good
    Drop(Which),
}

#[derive(Args, Debug)]
struct Which {
    /// How many at the most
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    limit: usize,
    /// Those of Ringback's own queues that could not be read or came back too often, and not producers'
    #[arg(long)]
    poison: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    given: Given,
}

impl Which {
    fn shelf(&self) -> Shelf {
        if self.poison { Shelf::Poison } else { Shelf::Rejected }
    }
}

impl Rejected {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let (Command::List(which) | Command::Requeue(which) | Command::Drop(which)) = &self.command;
        let (shelf, limit, json) = (which.shelf(), which.limit, which.json);
        let settings = which.given.clone().without_master_key().check(Openness::Guarded);
        let settings = settings.map_err(Failure::Usage)?;
        let rabbitmq = rabbitmq(&settings)?;
        match self.command {
            Command::List(_) => {
                let shown = rejected::list(rabbitmq, shelf, limit).await?;
                for one in &shown {
                    say(if json { as_json(one) } else { as_text(one) });
                }
                if shown.is_empty() && !json {
                    say("nothing is set aside");
                }
            }
            Command::Requeue(_) => {
                let done = rejected::requeue(rabbitmq, shelf, limit).await?;
                told("requeued", done, json);
            }
            Command::Drop(_) => {
                let done = rejected::drop(rabbitmq, shelf, limit).await?;
                told("dropped", done, json);
            }
        }
        Ok(())
    }
}

fn told(what: &str, done: usize, json: bool) {
    if json {
        say(serde_json::json!({ what: done }));
    } else {
        say(format_args!("{what}: {done}"));
    }
}

/// All of it, for it may be the copy that is kept when the message is dropped: as text, or in base64 if it is none.
fn as_json(one: &SetAside) -> String {
    let (body, encoding) = match std::str::from_utf8(&one.body) {
        Ok(text) => (text.to_owned(), "text"),
        Err(_) => (STANDARD.encode(&one.body), "base64"),
    };
    serde_json::json!({
        "reason": one.reason,
        "detail": one.detail,
        "routing_key": one.routing_key,
        "message_id": one.message_id,
        "content_type": one.content_type,
        "bytes": one.body.len(),
        "body": body,
        "body_encoding": encoding,
    })
    .to_string()
}

fn as_text(one: &SetAside) -> String {
    let body = String::from_utf8_lossy(shown(&one.body));
    // What a stranger wrote must not write to the terminal's controls.
    let body: String = body.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let more = if one.body.len() > SHOWN_BYTES_MAX { " …" } else { "" };
    format!(
        "{}: {}\n  published as {}, {} bytes: {body}{more}",
        one.reason,
        one.detail,
        one.routing_key.escape_default(),
        one.body.len(),
    )
}

const SHOWN_BYTES_MAX: usize = 400;

fn shown(body: &[u8]) -> &[u8] {
    &body[..body.len().min(SHOWN_BYTES_MAX)]
}
