//! `ringback sink`: what the log callback, `/system.ashx?f=lp`, was sent.

use std::num::NonZeroUsize;

use clap::{Args, Subcommand};
use ringback_core::Account;

use super::Session;
use super::answer::{Answer, time};
use super::args::short_id;
use super::client::Query;
use super::output::{Column, Field, Fit, relative};

/// Looks into the log of requests.
#[derive(Args, Debug)]
pub(crate) struct Sink {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what was sent to /system.ashx?f=lp, last one first; headers and whole bodies with --json
    Log {
        /// Those of this account only
        #[arg(long)]
        account: Option<Account>,
        /// How many at the most
        #[arg(long, default_value = "50", value_name = "N")]
        limit: NonZeroUsize,
    },
}

const COLUMNS: [Column; 6] = [
    Column { title: "RECEIVED", fit: Fit::Whole },
    Column { title: "METHOD", fit: Fit::Whole },
    Column { title: "ACCOUNT", fit: Fit::Wraps },
    Column { title: "CALLBACK", fit: Fit::Whole },
    Column { title: "QUERY", fit: Fit::Optional(0) },
    Column { title: "BODY", fit: Fit::Wraps },
];

pub(super) async fn run(sink: Sink, session: &Session) -> anyhow::Result<()> {
    match sink.action {
        Action::Log { account, limit } => {
            let query = Query::new().with("account", account);
            let list = session.client.list(&["sink", "log"], &query, limit).await?;
            session.out.list(&list, &COLUMNS, |request| row(request, session), "Nothing was sent.")
        }
    }
}

/// As much of a body as helps to tell it from others.
fn beginning(body: &str) -> String {
    const CHARS_MAX: usize = 120;
    let mut chars = body.chars();
    let beginning: String = chars.by_ref().take(CHARS_MAX).collect();
    if chars.next().is_some() { beginning + "…" } else { beginning }
}

fn row(request: &Answer, session: &Session) -> Vec<Field> {
    let received = time(&request.value, "/received_at").map(|moment| relative(moment, session.now));
    vec![
        Field::new(received.unwrap_or_default()),
        Field::new(request.shown("/method")),
        Field::new(request.text("/account").unwrap_or("-")),
        Field::new(request.text("/callback").map_or("-", short_id)),
        Field::new(request.shown("/query")),
        Field::new(beginning(request.text("/body").unwrap_or_default())),
    ]
}
