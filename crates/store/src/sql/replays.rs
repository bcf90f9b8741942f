//! Delivering again.

use super::{DELIVERY_COLUMNS, Statement, status_is};
use crate::replay::Replay;
use crate::rows::Bind;
use crate::{Cursor, ReplayFilter};

pub(crate) const REPLAY_COLUMNS: &str = "id, account, filter, per_second, status, cursor_at_ms, cursor_id, total, \
     replayed, skipped, error, created_at_ms, updated_at_ms, finished_at_ms";
pub(crate) const INSERT_REPLAY: &str = "INSERT INTO replay (id, account, filter, per_second, status, cursor_at_ms, \
     cursor_id, total, replayed, skipped, error, created_at_ms, updated_at_ms, finished_at_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

/// One that nobody has now: found on a connection that only reads, as there is none most of the time.
pub(crate) const FREE_REPLAY: &str = "SELECT id FROM replay WHERE finished_at_ms IS NULL AND status = 'running' \
     AND (owner IS NULL OR owned_until_ms < $1) ORDER BY created_at_ms, id LIMIT 1";
/// The condition stands here once more: another may have taken it meanwhile. Its columns follow.
pub(crate) const TAKE_REPLAY: &str = "UPDATE replay SET owner = $1, owned_until_ms = $2 WHERE id = $3 \
     AND status = 'running' AND (owner IS NULL OR owned_until_ms < $4) RETURNING";
pub(crate) const KEEP_REPLAY: &str = "UPDATE replay SET status = $1, cursor_at_ms = $2, cursor_id = $3, total = $4, \
     replayed = $5, skipped = $6, error = $7, updated_at_ms = $8, finished_at_ms = $9, owned_until_ms = $10 \
     WHERE id = $11 AND owner = $12 AND status = 'running'";
pub(crate) const RELEASE_REPLAYS: &str = "UPDATE replay SET owner = NULL, owned_until_ms = NULL \
     WHERE owner = $1 AND finished_at_ms IS NULL";
pub(crate) const CANCEL_REPLAY: &str = "UPDATE replay SET status = 'cancelled', finished_at_ms = $1, \
     updated_at_ms = $1 WHERE id = $2 AND status = 'running'";
pub(crate) const COUNT_REPLAY: &str =
    "UPDATE event SET replays = replays + 1 WHERE id = $1 AND account = $2 RETURNING replays";

pub(crate) fn replays<B: Bind + Default>(
    account: Option<&ringback_core::Account>,
    limit: usize,
    after: Option<&Cursor>,
) -> Statement<B> {
    let mut statement = Statement::new(format!("SELECT {REPLAY_COLUMNS} FROM replay WHERE 1 = 1"));
    statement.of_account(account);
    statement.page("created_at_ms", super::Span { after, ..super::Span::default() }, limit)
}

/// Where events are kept in parts, and deliveries with them: the columns to take along, and what to join by besides.
#[derive(Clone, Copy, Default)]
pub(crate) struct Parts {
    pub(crate) columns: &'static str,
    pub(crate) joined_by: &'static str,
}

/// The next deliveries of a bulk replay, each with its event if that is still there. The deliveries are found first and
/// joined then: a planner that misjudges how many there are would begin with the events.
pub(crate) fn replayable<B: Bind + Default>(
    replay: &Replay,
    limit: usize,
    parts: Parts,
) -> Statement<B> {
    let mut statement = Statement::new(format!(
        "SELECT found.id AS id, event_id, event_name, found.account AS account, callback_id, generation, status, \
         reason, next_attempt_at_ms, attempts, series_start, created_at_ms, updated_at_ms, \
         time_ms, accepted_at_ms, variables, deliver_at_ms \
         FROM (SELECT {DELIVERY_COLUMNS}{} FROM delivery WHERE 1 = 1",
        parts.columns
    ));
    statement.of_replay(replay);
    statement.push(" ORDER BY created_at_ms, id LIMIT ");
    statement.number(i64::try_from(limit).unwrap_or(i64::MAX));
    statement.push(
        ") AS found LEFT JOIN event ON event.id = found.event_id AND event.account = found.account",
    );
    statement.push(parts.joined_by).push(" ORDER BY created_at_ms, found.id");
    statement
}

/// How many they are, up to a number.
pub(crate) fn count_replayable<B: Bind + Default>(replay: &Replay, max: usize) -> Statement<B> {
    let mut statement =
        Statement::new("SELECT COUNT(*) AS total FROM (SELECT 1 AS one FROM delivery WHERE 1 = 1");
    statement.of_replay(replay);
    statement.push(" LIMIT ").number(i64::try_from(max).unwrap_or(i64::MAX));
    statement.push(") AS found");
    statement
}

impl<B: Bind + Default> Statement<B> {
    fn of_replay(&mut self, replay: &Replay) {
        let ReplayFilter { callback, account, event_name, status, since, until } = &replay.filter;
        self.of_account(account.as_ref());
        if let Some(callback) = callback {
            self.push(" AND callback_id = ").id(callback.uuid());
        }
        if let Some(name) = event_name {
            self.push(" AND event_name = ").text(name.as_str());
        }
        self.push(status_is(*status));
        if let Some(since) = since {
            self.push(" AND created_at_ms >= ").number(since.ms());
        }
        let until = until.map_or(replay.created_at, |until| until.min(replay.created_at));
        self.push(" AND created_at_ms < ").number(until.ms());
        // What it has put on the queue itself and came back as it was, or was delivered, is not its own once more.
        self.push(" AND updated_at_ms <= ").number(replay.created_at.ms());
        if let Some(cursor) = &replay.cursor {
            self.push(" AND (created_at_ms, id) > (").number(cursor.at.ms());
            self.push(", ").id(cursor.id.parse().unwrap_or_default()).push(")");
        }
    }
}
