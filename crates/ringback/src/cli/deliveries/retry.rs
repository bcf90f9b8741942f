//! `ringback deliveries retry`.

use clap::Args;
use futures_util::{StreamExt as _, stream};
use ringback_core::DeliveryId;
use serde_json::json;

use super::super::Session;
use super::super::args::id_of;
use super::super::client::{All, Query};
use super::super::failure::Failure;
use super::super::output::{Form, progress, remark};
use super::{Filter, Status};

/// Tries deliveries again.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  ringback deliveries retry --status exhausted --callback 1e0c8b21 --since 1d")]
pub(super) struct Retry {
    /// The deliveries' ids
    #[arg(value_name = "ID", conflicts_with_all = ["status", "callback", "event", "account", "since"])]
    ids: Vec<DeliveryId>,
    #[command(flatten)]
    filter: Filter,
}

/// Calls under way at once: the server writes what comes together in one go.
const CALLS_AT_ONCE: usize = 16;

/// What became of one.
struct Retried {
    id: String,
    refusal: Option<String>,
}

pub(super) async fn run(retry: Retry, session: &Session) -> anyhow::Result<()> {
    let ids = retry.find(session).await?;
    if ids.is_empty() && session.out.form == Form::People {
        remark(format_args!("No such deliveries: nothing to try again."));
    }
    let bar = progress(ids.len(), "retrying");
    let mut calls =
        stream::iter(ids).map(|id| retry_one(id, session)).buffer_unordered(CALLS_AT_ONCE);
    let mut all = Vec::new();
    while let Some(retried) = calls.next().await {
        let retried = retried.inspect_err(|_| bar.finish_and_clear())?;
        if let (Form::People, Some(refusal)) = (session.out.form, &retried.refusal) {
            bar.suspend(|| remark(format_args!("{}: {refusal}", retried.id)));
        }
        bar.inc(1);
        all.push(retried);
    }
    bar.finish_and_clear();
    conclude(&all, session)
}

impl Retry {
    /// The ids that are to be tried again. All are found before the first is tried: those that move meanwhile would
    /// come twice or never.
    async fn find(mut self, session: &Session) -> anyhow::Result<Vec<String>> {
        if !self.ids.is_empty() {
            return Ok(self.ids.iter().map(ToString::to_string).collect());
        }
        let Filter { status, callback, event, account, since } = &self.filter;
        let is_filtered = status.is_some()
            || callback.is_some()
            || event.is_some()
            || account.is_some()
            || since.is_some();
        if !is_filtered {
            return Err(Failure::usage(
                "name deliveries by their ids, or say which ones: --status exhausted, --callback, --since, …",
            ));
        }
        self.filter.status.get_or_insert(Status::Exhausted);
        let query: Query = self.filter.query(session).await?;
        let found = session.client.list(&["deliveries"], &query, All).await?;
        found.items.iter().map(|delivery| id_of(delivery).map(str::to_owned)).collect()
    }
}

/// A refusal of one does not stop the others; a server that can't be reached does.
async fn retry_one(id: String, session: &Session) -> anyhow::Result<Retried> {
    match session.client.post_empty(&["deliveries", &id, "retry"]).await {
        Ok(_) => Ok(Retried { id, refusal: None }),
        Err(error) => match error.downcast_ref() {
            Some(Failure::Refused(problem)) if problem.is_about_one() => {
                Ok(Retried { id, refusal: Some(problem.to_string()) })
            }
            _ => Err(error),
        },
    }
}

fn conclude(all: &[Retried], session: &Session) -> anyhow::Result<()> {
    if session.out.form == Form::Json {
        let results: Vec<_> = all
            .iter()
            .map(|retried| json!({"id": retried.id, "retried": retried.refusal.is_none(), "error": retried.refusal}))
            .collect();
        session.out.line(serde_json::Value::Array(results))?;
    }
    let failed = all.iter().filter(|retried| retried.refusal.is_some()).count();
    let retried = all.len() - failed;
    if retried > 0 {
        let deliveries = if retried == 1 { "delivery" } else { "deliveries" };
        remark(format_args!(
            "{retried} {deliveries} will be tried again now. Watch: ringback tail"
        ));
    }
    if failed > 0 {
        let message = format!("{failed} of {} deliveries could not be tried again", all.len());
        return Err(Failure::Incomplete(message).into());
    }
    Ok(())
}
