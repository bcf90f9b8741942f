//! `ringback callbacks rotate-secret`.

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::super::Session;
use super::super::output::{Form, plain, remark};
use super::One;

/// Draws a new signing secret.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  ringback callbacks rotate-secret 1e0c8b21 --grace-seconds 3600")]
pub(super) struct RotateSecret {
    #[command(flatten)]
    callback: One,
    /// How long the secret before signs too: up to 604800; 0: it ends at once
    #[arg(long, default_value = "86400", value_name = "N")]
    grace_seconds: u32,
}

pub(super) async fn run(rotate: RotateSecret, session: &Session) -> anyhow::Result<()> {
    let id = rotate.callback.id.resolve(session).await?;
    let body = json!({ "grace_seconds": rotate.grace_seconds });
    let answer = session.client.post(&["callbacks", &id, "secret", "rotate"], &body).await?;
    if session.out.form == Form::Json {
        return session.out.json(&answer);
    }
    session.out.line(answer.text("/secret").context("the server's answer holds no secret")?)?;
    match answer.text("/previous_until") {
        Some(until) => {
            remark(format_args!("The secret before signs too until {}.", plain(until)));
        }
        None => remark(format_args!("The secret before does not sign any more.")),
    }
    Ok(())
}
