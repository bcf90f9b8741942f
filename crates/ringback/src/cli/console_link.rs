//! `ringback console-link`: lets somebody into the console without an API key.

use anyhow::Context as _;
use clap::Args;
use ringback_core::Account;
use serde_json::json;

use super::Session;
use super::output::{Form, plain, remark};

/// Makes a link to the console.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  ringback console-link --account acme --expires-in-seconds 86400")]
pub(crate) struct ConsoleLink {
    /// The account whose console it opens; without it, that of the API key, which may be everything
    #[arg(long)]
    account: Option<Account>,
    /// How long it is good: 60 to 604800
    #[arg(long, default_value = "3600", value_name = "N")]
    expires_in_seconds: u32,
}

pub(super) async fn run(link: ConsoleLink, session: &Session) -> anyhow::Result<()> {
    let ConsoleLink { account, expires_in_seconds } = link;
    let body = json!({ "account": account, "expires_in_seconds": expires_in_seconds });
    let answer = session.client.post(&["console-links"], &body).await?;
    if session.out.form == Form::Json {
        return session.out.json(&answer);
    }
    let whole = match answer.text("/url") {
        Some(url) => plain(url),
        None => {
            let path = answer.text("/path").context("the server's answer holds no link")?;
            session.client.address_of(&plain(path))
        }
    };
    session.out.line(whole)?;
    let opens = account.map_or("the console".to_owned(), |a| format!("the console of account {a}"));
    let until = plain(answer.text("/expires_at").unwrap_or("-"));
    remark(format_args!("It opens {opens} once, until {until}, for whoever has it."));
    Ok(())
}
