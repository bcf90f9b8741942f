//! `ringback accounts`: what accounts want.

use clap::{Args, Subcommand, ValueEnum};
use ringback_core::Account;
use serde_json::{Value, json};

use super::Session;
use super::answer::Answer;
use super::output::{Field, Form, Tint, remark};

/// Manages what accounts want.
#[derive(Args, Debug)]
pub(crate) struct Accounts {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show what an account wants
    Show {
        /// The account
        account: Account,
    },
    /// Refuse events of the account if the catalog does not know their type, or accept them
    Strict {
        /// The account
        account: Account,
        /// Whether they are refused
        switch: Switch,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Switch {
    On,
    Off,
}

pub(super) async fn run(accounts: Accounts, session: &Session) -> anyhow::Result<()> {
    match accounts.action {
        Action::Show { account } => {
            let answer = session.client.get(&["accounts", account.as_str()]).await?;
            if session.out.form == Form::Json {
                return session.out.json(&answer);
            }
            session.out.facts(&[
                ("Account", Field::tinted(answer.shown("/account"), Tint::Strong)),
                ("Unknown types", Field::new(unknown_types(&answer))),
            ])
        }
        Action::Strict { account, switch } => {
            let body = json!({ "strict": matches!(switch, Switch::On) });
            let answer = session.client.put(&["accounts", account.as_str()], &body).await?;
            if session.out.form == Form::Json {
                return session.out.json(&answer);
            }
            let unknown_types = unknown_types(&answer);
            remark(format_args!("Events of account {account} of unknown types: {unknown_types}."));
            Ok(())
        }
    }
}

fn unknown_types(account: &Answer) -> &'static str {
    match account.value.pointer("/strict") {
        Some(Value::Bool(true)) => "refused",
        _ => "accepted",
    }
}
