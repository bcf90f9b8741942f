//! Remembering what was accepted: a producer may send an event again after the move, under its old id.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::try_join_all;
use ringback_core::{Account, EventId, Timestamp};
use ringback_idempotency::{Begun, Idempotency, RequestKey};
use ringback_ingest::REMEMBERED;
use ringback_runtime::{Clock as _, SystemClock};
use ringback_store::transfer::Table;
use serde::Deserialize;

use super::file::{Checked, MESSAGE, MessageLine};

/// Remembered at once.
const BATCH: usize = 256;

/// What is read of an event's row.
#[derive(Deserialize)]
struct EventRow {
    id: String,
    account: String,
    accepted_at_ms: i64,
}

/// An event that was accepted.
struct Accepted {
    account: Account,
    id: EventId,
    at: Timestamp,
}

/// Marks the ids of all events in a file as done that were accepted in the last 24 hours, for what is left of these: of
/// the history, and of those that no worker has looked at. Ids that their producer did not choose are among them, as
/// nothing tells them apart; they never come again.
///
/// # Errors
/// If the file can't be read, or the idempotency store be written.
pub(super) async fn remember(
    idempotency: &dyn Idempotency,
    checked: &mut Checked,
) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let mut lines = checked.lines()?;
    let mut batch = Vec::new();
    while let Some((kind, content)) = lines.content()? {
        let mut add = |accepted: Accepted| {
            if now.since(accepted.at) < REMEMBERED {
                batch.push(accepted);
            }
        };
        if kind == Table::Event.as_str() {
            add(Accepted::of_row(content.get()).context("an event can't be read")?);
        } else if kind == MESSAGE {
            for dispatch in MessageLine::read(&content)?.1 {
                let event = &dispatch.event;
                let account = event.account.clone();
                add(Accepted { account, id: event.id, at: event.accepted_at });
            }
        }
        if batch.len() >= BATCH {
            write(idempotency, &mut batch, now).await?;
        }
    }
    write(idempotency, &mut batch, now).await
}

impl Accepted {
    fn of_row(row: &str) -> anyhow::Result<Self> {
        let EventRow { id, account, accepted_at_ms } = serde_json::from_str(row)?;
        let at = Timestamp::from_ms(accepted_at_ms);
        Ok(Self { account: account.parse()?, id: id.parse()?, at })
    }
}

async fn write(
    idempotency: &dyn Idempotency,
    batch: &mut Vec<Accepted>,
    now: Timestamp,
) -> anyhow::Result<()> {
    let done = batch.drain(..).map(async |accepted| {
        let keep = REMEMBERED.saturating_sub(now.since(accepted.at)).max(KEPT_MIN);
        let mark = accepted.at.ms().to_string();
        let key = RequestKey::Event { account: accepted.account, id: accepted.id };
        match idempotency.begin(&key, "", keep, &mark).await? {
            // Of an import that was cut off, perhaps a moment ago.
            Begun::New | Begun::Unfinished { .. } | Begun::InProgress => {
                idempotency.complete(&key, "").await
            }
            Begun::Done { .. } | Begun::Conflict => Ok(()),
        }
    });
    try_join_all(done).await.context("what was accepted can't be remembered")?;
    Ok(())
}

/// Redis takes no time to live of nothing.
const KEPT_MIN: Duration = Duration::from_millis(1);
