//! `ringback api-keys`: who may call the API.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use ringback_core::{Account, ApiKeyId};
use serde_json::json;

use super::Session;
use super::answer::{Answer, time};
use super::client::{All, Query};
use super::output::{Column, Field, Fit, Form, relative, remark};

/// Manages API keys.
#[derive(Args, Debug)]
pub(crate) struct ApiKeys {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key, and print it: it can't be seen again
    Create {
        /// The one account it opens; without it, it opens everything
        #[arg(long)]
        account: Option<Account>,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// List the keys: what they open and what they are for
    List,
    /// Remove a key: whoever uses it is refused from then on
    Remove {
        /// The key's id, as the list shows it (not the key)
        id: ApiKeyId,
    },
}

const COLUMNS: [Column; 4] = [
    Column { title: "ID", fit: Fit::Whole },
    Column { title: "ACCOUNT", fit: Fit::Wraps },
    Column { title: "DESCRIPTION", fit: Fit::Wraps },
    Column { title: "CREATED", fit: Fit::Optional(0) },
];

pub(super) async fn run(keys: ApiKeys, session: &Session) -> anyhow::Result<()> {
    match keys.action {
        Action::Create { account, description } => create(account, description, session).await,
        Action::List => {
            let list = session.client.list(&["api-keys"], &Query::new(), All).await?;
            session.out.list(&list, &COLUMNS, |key| row(key, session), "No API keys.")
        }
        Action::Remove { id } => {
            session.client.delete(&["api-keys", &id.to_string()]).await?;
            remark(format_args!("Removed API key {id}."));
            Ok(())
        }
    }
}

async fn create(
    account: Option<Account>,
    description: Option<String>,
    session: &Session,
) -> anyhow::Result<()> {
    let body = json!({ "account": account, "description": description.unwrap_or_default() });
    let answer = session.client.post(&["api-keys"], &body).await?;
    if session.out.form == Form::Json {
        return session.out.json(&answer);
    }
    session.out.line(answer.text("/key").context("the server's answer holds no key")?)?;
    let opens = account.map_or("everything".to_owned(), |account| format!("account {account}"));
    let id = answer.shown("/id");
    remark(format_args!("It opens {opens}. Keep it: it can't be shown again. Its id is {id}."));
    Ok(())
}

fn row(key: &Answer, session: &Session) -> Vec<Field> {
    let created = time(&key.value, "/created_at").map(|moment| relative(moment, session.now));
    vec![
        Field::new(key.shown("/id")),
        Field::new(key.text("/account").unwrap_or("all")),
        Field::new(key.shown("/description")),
        Field::new(created.unwrap_or_default()),
    ]
}
