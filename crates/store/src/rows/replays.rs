//! Bulk replays.

use ringback_core::{Account, CallbackId, EventName, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Bind, Columns, Row, id_text};
use crate::replay::{Replay, ReplayFilter, ReplayStatus};
use crate::{Cursor, Error, StatusFilter};

/// A filter as it stands in its row. Rows outlive versions: members may be added with a default, never renamed.
#[derive(Serialize, Deserialize)]
struct FilterJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    callback: Option<CallbackId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<Account>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_name: Option<EventName>,
    status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_ms: Option<i64>,
}

pub(crate) fn replay<R: Columns>(row: &R) -> Result<Replay, Error> {
    let row = Row::of("replay", row);
    let cursor = match (row.optional_time("cursor_at_ms")?, row.optional_text("cursor_id")?) {
        (Some(at), Some(id)) => Some(Cursor { at, id: id.to_owned() }),
        _ => None,
    };
    Ok(Replay {
        id: row.parsed("id")?,
        account: row.optional_parsed("account")?,
        filter: filter(&row)?,
        per_second: row.number::<u32>("per_second").and_then(|number| {
            number.try_into().map_err(|error| row.unreadable("per_second", error))
        })?,
        status: row.word("status", status_of)?,
        cursor,
        total: row.optional_number("total")?,
        replayed: row.number("replayed")?,
        skipped: row.number("skipped")?,
        error: row.optional_text("error")?.map(str::to_owned),
        created_at: row.time("created_at_ms")?,
        updated_at: row.time("updated_at_ms")?,
        finished_at: row.optional_time("finished_at_ms")?,
    })
}

fn filter<R: Columns>(row: &Row<'_, R>) -> Result<ReplayFilter, Error> {
    let FilterJson { callback, account, event_name, status, since_ms, until_ms } =
        row.json("filter")?;
    let status = StatusFilter::of_word(&status)
        .ok_or_else(|| row.unreadable("filter", format_args!("`{status}` is not known here")))?;
    let [since, until] = [since_ms, until_ms].map(|ms| ms.map(Timestamp::from_ms));
    Ok(ReplayFilter { callback, account, event_name, status, since, until })
}

fn status_of(word: &str) -> Option<ReplayStatus> {
    ReplayStatus::ALL.into_iter().find(|status| status.as_str() == word)
}

/// The values of a bulk replay's row, in the order of [`crate::sql::REPLAY_COLUMNS`].
pub(crate) fn bind_replay(values: &mut impl Bind, replay: &Replay) {
    let ReplayFilter { callback, account, event_name, status, since, until } = &replay.filter;
    let filter = FilterJson {
        callback: *callback,
        account: account.clone(),
        event_name: event_name.clone(),
        status: status.as_str().to_owned(),
        since_ms: since.map(Timestamp::ms),
        until_ms: until.map(Timestamp::ms),
    };
    let filter = serde_json::to_string(&filter).expect("texts and numbers always serialize");
    values.text(Some(id_text(replay.id.uuid())));
    values.text(replay.account.as_ref().map(Account::as_str));
    values.text(Some(filter));
    values.number(Some(replay.per_second.get().into()));
    bind_standing(values, replay);
    values.number(Some(replay.created_at.ms()));
    values.number(Some(replay.updated_at.ms()));
    values.number(replay.finished_at.map(Timestamp::ms));
}

/// The values of [`crate::sql::KEEP_REPLAY`] up to when it ended.
pub(crate) fn bind_replay_progress(values: &mut impl Bind, replay: &Replay) {
    bind_standing(values, replay);
    values.number(Some(replay.updated_at.ms()));
    values.number(replay.finished_at.map(Timestamp::ms));
}

fn bind_standing(values: &mut impl Bind, replay: &Replay) {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let cursor = replay.cursor.as_ref();
    values.text(Some(replay.status.as_str()));
    values.number(cursor.map(|cursor| cursor.at.ms()));
    values.text(cursor.map(|cursor| cursor.id.as_str()));
    values.number(replay.total.map(number));
    values.number(Some(number(replay.replayed)));
    values.number(Some(number(replay.skipped)));
    values.text(replay.error.as_deref());
}
