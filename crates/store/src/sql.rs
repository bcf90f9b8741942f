//! The SQL texts: the same for every database. Values are always bound, never written into a text.

mod backlog;
mod catalog;
mod replays;
mod sessions;
mod traffic;

use std::sync::Arc;

use ringback_core::{Account, CallbackId, EventId, Timestamp};
use uuid::Uuid;

use crate::rows::Bind;
use crate::search::Traces;
use crate::{
    CallbackQuery, Cursor, DeliveryQuery, EventQuery, EventSearch, LOOKED_AHEAD,
    LoggedRequestQuery, StatusFilter,
};

pub(crate) use backlog::*;
pub(crate) use catalog::*;
pub(crate) use replays::*;
pub(crate) use sessions::*;
pub(crate) use traffic::*;

// Configuration.

pub(crate) const READ_META: &str = "SELECT revision, master_key_check FROM meta WHERE id = 1";
pub(crate) const WRITE_MASTER_KEY_CHECK: &str =
    "UPDATE meta SET master_key_check = $1 WHERE id = 1 AND master_key_check IS NULL";
/// Writes nothing new, but a page: whether that can be done is the question.
pub(crate) const TOUCH_META: &str = "UPDATE meta SET revision = revision WHERE id = 1";
/// In the transaction of the change itself. It also makes changes wait for each other, so that revisions become visible
/// in the order of their numbers.
pub(crate) const RAISE_REVISION: &str =
    "UPDATE meta SET revision = revision + 1 WHERE id = 1 RETURNING revision";

pub(crate) const CALLBACK_COLUMNS: &str = "id, description, url, method, format, authorization_sealed, \
     headers, disabled_reason, paused, account, events, retry, timeout_ms, max_in_flight, rate_limit, circuit, \
     signing_secret_sealed, previous_secret_sealed, previous_secret_until_ms, created_at_ms, updated_at_ms, \
     resumed_at_ms, revision";
pub(crate) const INSERT_CALLBACK: &str = "INSERT INTO callback (id, description, url, method, format, authorization_sealed, \
     headers, disabled_reason, paused, account, events, retry, timeout_ms, max_in_flight, rate_limit, circuit, \
     signing_secret_sealed, previous_secret_sealed, previous_secret_until_ms, created_at_ms, updated_at_ms, \
     resumed_at_ms, revision) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)";
pub(crate) const UPDATE_CALLBACK: &str = "UPDATE callback SET description = $2, url = $3, method = $4, format = $5, authorization_sealed = $6, \
     headers = $7, disabled_reason = $8, paused = $9, account = $10, events = $11, retry = $12, timeout_ms = $13, \
     max_in_flight = $14, rate_limit = $15, circuit = $16, signing_secret_sealed = $17, \
     previous_secret_sealed = $18, previous_secret_until_ms = $19, created_at_ms = $20, updated_at_ms = $21, \
     resumed_at_ms = $22, revision = $23 \
     WHERE id = $1 AND updated_at_ms = $24";
pub(crate) const DISABLE_CALLBACK: &str = "UPDATE callback SET disabled_reason = $2, paused = 0, updated_at_ms = $3, revision = $4 \
     WHERE id = $1 AND updated_at_ms = $5 AND disabled_reason IS NULL";
pub(crate) const DELETE_CALLBACK: &str = "DELETE FROM callback WHERE id = $1";
/// A registered callback has the same id each time it is made again, so it may have been deleted before. The row stays
/// when it is made again: what changed is told in the order of revisions, so the deletion comes first.
pub(crate) const REMEMBER_DELETED_CALLBACK: &str = "INSERT INTO deleted_callback (id, revision, deleted_at_ms) VALUES ($1, $2, $3) \
     ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, deleted_at_ms = excluded.deleted_at_ms";
pub(crate) const DELETED_CALLBACKS_SINCE: &str =
    "SELECT id, revision FROM deleted_callback WHERE revision > $1";

pub(crate) const API_KEY_COLUMNS: &str = "id, description, account, hash, created_at_ms";
pub(crate) const INSERT_API_KEY: &str = "INSERT INTO api_key (id, description, account, hash, created_at_ms) VALUES ($1, $2, $3, $4, $5)";
pub(crate) const DELETE_API_KEY: &str = "DELETE FROM api_key WHERE id = $1";
/// But for the last one for the whole instance.
pub(crate) const DELETE_OTHER_API_KEY: &str = "DELETE FROM api_key WHERE id = $1 AND (account IS NOT NULL \
     OR EXISTS (SELECT 1 FROM api_key AS other WHERE other.account IS NULL AND other.id <> $1))";

// What the log callback was sent.

pub(crate) const LOGGED_REQUEST_COLUMNS: &str = "id, account, callback_id, received_at_ms, method, query, headers, body, \
     body_is_base64, body_is_truncated";
pub(crate) const INSERT_LOGGED_REQUEST: &str = "INSERT INTO logged_request (id, account, callback_id, received_at_ms, \
     method, query, headers, body, body_is_base64, body_is_truncated) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
/// Deletes all but the newest `$1` of one kind; the second condition is the first one's.
macro_rules! trim_logged_requests {
    ($of:literal) => {
        concat!(
            "DELETE FROM logged_request WHERE ",
            $of,
            " AND (received_at_ms, id) < (SELECT received_at_ms, id FROM logged_request WHERE ",
            $of,
            " ORDER BY received_at_ms DESC, id DESC LIMIT 1 OFFSET $1)"
        )
    };
}
pub(crate) const TRIM_LOGGED_REQUESTS_OF_ACCOUNT: &str = trim_logged_requests!("account = $2");
pub(crate) const TRIM_LOGGED_REQUESTS_OF_INSTANCE: &str =
    trim_logged_requests!("account IS NULL AND callback_id IS NOT NULL");
pub(crate) const TRIM_LOGGED_REQUESTS_OF_NOBODY: &str =
    trim_logged_requests!("account IS NULL AND callback_id IS NULL");

// History, written.

pub(crate) const EVENT_COLUMNS: &str =
    "id, account, name, time_ms, accepted_at_ms, variables, deliver_at_ms";
pub(crate) const INSERT_EVENT: &str = "INSERT INTO event (id, account, name, time_ms, accepted_at_ms, variables, deliver_at_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id, account) DO NOTHING";

pub(crate) const DELIVERY_COLUMNS: &str = "id, event_id, event_name, account, callback_id, generation, \
     status, reason, next_attempt_at_ms, attempts, series_start, created_at_ms, updated_at_ms";
/// What becomes of a delivery that is there already. Its condition says the same as [`crate::rows::replaces`].
///
/// What was cancelled on request is not brought back by an attempt that was on its way then and failed: the attempt
/// counts, and the delivery stays cancelled. A retry by hand that was asked for since begins a series after the attempt
/// that may have been on its way, and goes on.
macro_rules! update_delivery {
    () => {
        "DO UPDATE SET \
         status = CASE WHEN excluded.status = 'pending' AND delivery.reason = 'requested' \
         AND excluded.series_start <= delivery.attempts + 1 THEN delivery.status ELSE excluded.status END, \
         reason = CASE WHEN excluded.status = 'pending' AND delivery.reason = 'requested' \
         AND excluded.series_start <= delivery.attempts + 1 THEN delivery.reason ELSE excluded.reason END, \
         next_attempt_at_ms = CASE WHEN excluded.status = 'pending' AND delivery.reason = 'requested' \
         AND excluded.series_start <= delivery.attempts + 1 THEN NULL ELSE excluded.next_attempt_at_ms END, \
         attempts = excluded.attempts, \
         series_start = excluded.series_start, updated_at_ms = excluded.updated_at_ms \
         WHERE excluded.attempts > delivery.attempts \
         OR (excluded.attempts = delivery.attempts \
         AND (excluded.status <> 'pending' OR delivery.status = 'pending'))"
    };
}
pub(crate) const UPDATE_DELIVERY: &str = update_delivery!();
pub(crate) const INSERT_DELIVERY: &str = concat!(
    "INSERT INTO delivery (id, event_id, event_name, account, callback_id, generation, status, reason, \
     next_attempt_at_ms, attempts, series_start, created_at_ms, updated_at_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (id) ",
    update_delivery!()
);

pub(crate) const ATTEMPT_COLUMNS: &str = "delivery_id, number, started_at_ms, duration_ms, method, url, \
     request_headers, format, outcome, status, retry_after_ms, error, response_headers, response_body, \
     response_body_is_base64, response_body_is_truncated";
pub(crate) const INSERT_ATTEMPT: &str = "INSERT INTO attempt (delivery_id, number, started_at_ms, duration_ms, \
     method, url, request_headers, format, outcome, status, retry_after_ms, error, response_headers, \
     response_body, response_body_is_base64, response_body_is_truncated) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
     ON CONFLICT (delivery_id, number) DO NOTHING";

/// The rows are found along the index of what is undelivered.
pub(crate) const CANCEL_PENDING: &str = "UPDATE delivery SET status = 'cancelled', reason = $1, \
     next_attempt_at_ms = NULL, updated_at_ms = $2 \
     WHERE id IN (SELECT id FROM delivery WHERE status = 'pending' AND callback_id = $3 LIMIT $4)";
pub(crate) const CANCEL_DELIVERY: &str = "UPDATE delivery SET status = 'cancelled', reason = $1, \
     next_attempt_at_ms = NULL, updated_at_ms = $2 WHERE id = $3 AND status = 'pending'";
pub(crate) const CANCEL_EVENT: &str = "UPDATE delivery SET status = 'cancelled', reason = $1, \
     next_attempt_at_ms = NULL, updated_at_ms = $2 \
     WHERE id IN (SELECT id FROM delivery INDEXED BY delivery_by_event WHERE event_id = $3 AND account = $4 AND status = 'pending' LIMIT $5) \
     RETURNING callback_id";

// History, kept for a callback that is paused.

/// `reason` is written out, as the index of these rows says it.
pub(crate) const PARKED: &str = "SELECT delivery.id, event_id, event_name, delivery.account, callback_id, \
     generation, status, reason, next_attempt_at_ms, attempts, series_start, created_at_ms, updated_at_ms, \
     time_ms, accepted_at_ms, variables, deliver_at_ms \
     FROM delivery JOIN event ON event.id = event_id AND event.account = delivery.account \
     WHERE callback_id = $1 AND reason = 'paused' ORDER BY created_at_ms, delivery.id LIMIT $2";
/// The time of the last change is compared for being the same and not for being later: clocks differ.
pub(crate) const LET_GO: &str = "UPDATE delivery SET reason = NULL, next_attempt_at_ms = $1, updated_at_ms = $1 \
     WHERE id = $2 AND created_at_ms = $3 AND updated_at_ms = $4 AND reason = 'paused'";
/// Follows the callback's columns.
pub(crate) const RESUMED_WITH_PARKED: &str = "FROM callback WHERE resumed_at_ms >= $1 AND paused = 0 \
     AND disabled_reason IS NULL AND EXISTS (SELECT 1 FROM delivery \
     WHERE delivery.callback_id = callback.id AND delivery.reason = 'paused')";

// History, deleted.

/// Does not look at the events before it that have a pending delivery again and again in the transaction: it is read
/// outside, and asked again inside (see [`delete_events`]).
pub(crate) const DELETABLE_EVENTS: &str = "SELECT id, account FROM event WHERE accepted_at_ms < $1 \
     AND NOT EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_by_event WHERE delivery.event_id = event.id \
     AND delivery.account = event.account AND delivery.status = 'pending') \
     ORDER BY accepted_at_ms, id LIMIT $2";

/// What goes with the history of its time: requests to the log callback, replays that ended, and steps of traffic that were
/// over by then.
pub(crate) const DELETE_OLD: [&str; 3] = [
    "DELETE FROM logged_request WHERE received_at_ms < $1",
    "DELETE FROM replay WHERE finished_at_ms < $1",
    "DELETE FROM traffic WHERE kind IN ('account', 'all', 'callback') AND step_ms IN (300000, 3600000) \
     AND at_ms <= $1 - 3600000",
];

/// A statement with its values.
pub(crate) struct Statement<B> {
    /// The text.
    pub(crate) sql: String,
    /// The values of its placeholders.
    pub(crate) values: B,
    bound: usize,
}

impl<B: Bind + Default> Statement<B> {
    fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), values: B::default(), bound: 0 }
    }

    fn push(&mut self, sql: &'static str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    fn placeholder(&mut self) {
        self.bound += 1;
        self.sql.push('$');
        self.sql.push_str(&self.bound.to_string());
    }

    fn text(&mut self, value: impl AsRef<str>) -> &mut Self {
        self.placeholder();
        self.values.text(Some(value));
        self
    }

    fn number(&mut self, value: i64) -> &mut Self {
        self.placeholder();
        self.values.number(Some(value));
        self
    }

    fn id(&mut self, value: Uuid) -> &mut Self {
        self.placeholder();
        self.values.id(value);
        self
    }

    fn texts(&mut self, values: &[Arc<str>]) -> &mut Self {
        self.push("(");
        for (index, value) in values.iter().enumerate() {
            self.push(if index == 0 { "" } else { "," }).text(Arc::clone(value));
        }
        self.push(")")
    }

    fn of_account(&mut self, account: Option<&Account>) -> &mut Self {
        match account {
            Some(account) => self.push(" AND account = ").text(account.as_str()),
            None => self,
        }
    }

    /// The part of a list that was asked for: newest first, `time` being its column of time.
    fn page(mut self, time: &'static str, span: Span<'_>, limit: usize) -> Self {
        self.within(time, span);
        self.push(" ORDER BY ").push(time).push(" DESC, id DESC LIMIT ");
        self.number(i64::try_from(limit).unwrap_or(i64::MAX));
        self
    }

    fn within(&mut self, time: &'static str, span: Span<'_>) {
        if let Some(since) = span.since {
            self.push(" AND ").push(time).push(" >= ").number(since.ms());
        }
        if let Some(until) = span.until {
            self.push(" AND ").push(time).push(" < ").number(until.ms());
        }
        if let Some(cursor) = span.after {
            self.push(" AND (").push(time).push(", id) < (").number(cursor.at.ms());
            self.push(", ");
            match span.ids {
                Ids::Texts => self.text(cursor.id.as_str()),
                // No list gave out another text: with one, the list goes on with the next millisecond.
                Ids::Uuids => self.id(cursor.id.parse().unwrap_or_default()),
            };
            self.push(")");
        }
    }
}

/// Which part of a list.
#[derive(Clone, Copy, Default)]
struct Span<'a> {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    after: Option<&'a Cursor>,
    ids: Ids,
}

/// What the ids of a table are.
#[derive(Clone, Copy, Default)]
enum Ids {
    #[default]
    Texts,
    /// Of the history: see [`Bind::id`].
    Uuids,
}

pub(crate) fn callbacks<B: Bind + Default>(
    query: &CallbackQuery,
    limit: usize,
    after: Option<&Cursor>,
) -> Statement<B> {
    let mut statement =
        Statement::new(format!("SELECT {CALLBACK_COLUMNS} FROM callback WHERE 1 = 1"));
    statement.of_account(query.account.as_ref());
    statement.page("created_at_ms", Span { after, ..Span::default() }, limit)
}

pub(crate) fn logged_requests<B: Bind + Default>(
    query: &LoggedRequestQuery,
    limit: usize,
    after: Option<&Cursor>,
) -> Statement<B> {
    let mut statement =
        Statement::new(format!("SELECT {LOGGED_REQUEST_COLUMNS} FROM logged_request WHERE 1 = 1"));
    statement.of_account(query.account.as_ref());
    statement.page("received_at_ms", Span { after, ..Span::default() }, limit)
}

/// Of several accounts' events with the same id, the newest. `+ 0`: there are few to sort, and a planner that misjudges how
/// many would go along the index of times, with the one that is looked for at its far end.
pub(crate) fn event<B: Bind + Default>(id: EventId, account: Option<&Account>) -> Statement<B> {
    let mut statement = Statement::new(format!("SELECT {EVENT_COLUMNS} FROM event WHERE id = "));
    statement.id(id.uuid()).of_account(account);
    statement.push(" ORDER BY accepted_at_ms + 0 DESC LIMIT 1");
    statement
}

pub(crate) fn events<B: Bind + Default>(
    query: &EventQuery,
    limit: usize,
    after: Option<&Cursor>,
) -> Statement<B> {
    let mut statement = Statement::new(format!("SELECT {EVENT_COLUMNS} FROM event WHERE 1 = 1"));
    statement.of_account(query.account.as_ref());
    if let Some(name) = &query.name {
        statement.push(" AND name = ").text(name.as_str());
    }
    let span = Span { since: query.since, until: query.until, after, ids: Ids::Uuids };
    statement.page("accepted_at_ms", span, limit)
}

/// When the last one was accepted of as many events of a search as may be looked at.
pub(crate) fn bound_of_search<B: Bind + Default>(
    search: &EventSearch,
    looked_max: u32,
    after: Option<&Cursor>,
) -> Statement<B> {
    let mut statement = Statement::new("SELECT accepted_at_ms FROM event WHERE 1 = 1");
    statement.of_account(search.account.as_ref());
    let span = Span { since: search.since, until: search.until, after, ids: Ids::Uuids };
    statement.within("accepted_at_ms", span);
    statement.push(" ORDER BY accepted_at_ms DESC LIMIT 1 OFFSET ");
    statement.number(i64::from(looked_max) - 1);
    statement
}

/// Events of a search that may match: from a place back to a moment, if there is one.
pub(crate) fn search_events<B: Bind + Default>(
    search: &EventSearch,
    limit: usize,
    (after, back_to): (Option<&Cursor>, Option<Timestamp>),
    finds: &'static str,
) -> Statement<B> {
    let mut statement = Statement::new(format!("SELECT {EVENT_COLUMNS} FROM event WHERE 1 = 1"));
    statement.of_account(search.account.as_ref());
    if let Some(name) = &search.name {
        statement.push(" AND name = ").text(name.as_str());
    }
    if let Some(beginning) = &search.name_begins {
        statement.push(" AND ").push(finds).push("(name, ").text(beginning.as_str()).push(") = 1");
    }
    if let Some(variable) = &search.variable {
        let traces = Traces::of(variable);
        statement.push(" AND ").push(finds).push("(variables, ").text(traces.name);
        statement.push(") > 0 AND (");
        for (index, trace) in traces.any.into_iter().enumerate() {
            statement.push(if index == 0 { "" } else { " OR " });
            statement.push(finds).push("(variables, ").text(trace).push(") > 0");
        }
        statement.push(")");
    }
    let since = search.since.max(back_to);
    let span = Span { since, until: search.until, after, ids: Ids::Uuids };
    statement.page("accepted_at_ms", span, limit)
}

pub(crate) fn deliveries<B: Bind + Default>(
    query: &DeliveryQuery,
    limit: usize,
    after: Option<&Cursor>,
) -> Statement<B> {
    let mut statement =
        Statement::new(format!("SELECT {DELIVERY_COLUMNS} FROM delivery WHERE 1 = 1"));
    statement.of_deliveries(query);
    let span = Span { since: query.since, until: query.until, after, ids: Ids::Uuids };
    statement.page("created_at_ms", span, limit)
}

/// How many they are, up to a number.
pub(crate) fn count_deliveries<B: Bind + Default>(query: &DeliveryQuery, max: u32) -> Statement<B> {
    let mut statement =
        Statement::new("SELECT COUNT(*) AS total FROM (SELECT 1 AS one FROM delivery WHERE 1 = 1");
    statement.of_deliveries(query);
    let (since, until) = (query.since, query.until);
    statement.within("created_at_ms", Span { since, until, after: None, ids: Ids::Uuids });
    statement.push(" LIMIT ").number(max.into()).push(") AS found");
    statement
}

/// Along the index of what is undelivered, which has the oldest first.
pub(crate) fn oldest_pending<B: Bind + Default>(account: Option<&Account>) -> Statement<B> {
    let mut statement =
        Statement::new("SELECT created_at_ms FROM delivery WHERE status = 'pending'");
    statement.of_account(account).push(" ORDER BY created_at_ms LIMIT 1");
    statement
}

/// In the order of the index alone: those of one millisecond come as they come.
pub(crate) fn ahead<B: Bind + Default>(callback: CallbackId, limit: usize) -> Statement<B> {
    let mut statement =
        Statement::new(format!("SELECT {DELIVERY_COLUMNS} FROM delivery WHERE callback_id = "));
    statement.id(callback.uuid());
    statement.push(" AND status = 'pending' ORDER BY next_attempt_at_ms LIMIT ");
    statement.number(i64::try_from(limit).unwrap_or(i64::MAX));
    statement
}

/// Callbacks that were `asked` for, a table with their `id`: along the same index, a few rows of each.
pub(crate) fn open_circuits(asked: &str) -> String {
    format!(
        "WITH asked (id) AS ({asked}) SELECT id AS callback_id FROM asked WHERE EXISTS (SELECT 1 FROM (SELECT reason \
         FROM delivery WHERE callback_id = asked.id AND status = 'pending' ORDER BY next_attempt_at_ms \
         LIMIT {LOOKED_AHEAD}) AS next WHERE reason = 'circuit_open')"
    )
}

/// Attempts that were `asked` for, a table of `columns` that joins with them by `joined_by`.
pub(crate) fn last_outcomes(columns: &str, asked: &str, joined_by: &str) -> String {
    format!(
        "WITH asked ({columns}) AS ({asked}) SELECT place, outcome, attempt.status, retry_after_ms, error FROM asked \
         JOIN attempt ON {joined_by}"
    )
}

/// Written out and not bound: a partial index serves a condition that the planner sees to be within its own.
fn status_is(status: StatusFilter) -> &'static str {
    match status {
        StatusFilter::Pending => " AND status = 'pending'",
        StatusFilter::Delivered => " AND status = 'delivered'",
        StatusFilter::Exhausted => " AND status = 'exhausted'",
        StatusFilter::Cancelled => " AND status = 'cancelled'",
    }
}

pub(crate) fn recorded<B: Bind + Default>(ids: &[Arc<str>]) -> Statement<B> {
    let mut statement =
        Statement::new("SELECT id, attempts, status, reason FROM delivery WHERE id IN ");
    statement.texts(ids);
    statement
}

/// Deletes these events (id, account), except those with a delivery that became pending meanwhile; returns which.
pub(crate) fn delete_events<B: Bind + Default>(events: &[(Arc<str>, Arc<str>)]) -> Statement<B> {
    let mut statement = Statement::new("DELETE FROM event WHERE ");
    statement.pairs("(id, account)", events);
    statement.push(
        " AND NOT EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_by_event WHERE delivery.event_id = event.id \
         AND delivery.account = event.account AND delivery.status = 'pending') RETURNING id, account",
    );
    statement
}

/// Deletes the deliveries of these events (id, account); returns which.
pub(crate) fn delete_deliveries<B: Bind + Default>(
    events: &[(Arc<str>, Arc<str>)],
) -> Statement<B> {
    let mut statement = Statement::new("DELETE FROM delivery WHERE ");
    statement.pairs("(event_id, account)", events);
    statement.push(" RETURNING id");
    statement
}

/// Deletes the attempts of these deliveries.
pub(crate) fn delete_attempts<B: Bind + Default>(deliveries: &[Arc<str>]) -> Statement<B> {
    let mut statement = Statement::new("DELETE FROM attempt WHERE delivery_id IN ");
    statement.texts(deliveries);
    statement
}

impl<B: Bind + Default> Statement<B> {
    fn of_deliveries(&mut self, query: &DeliveryQuery) {
        if let Some(event) = query.event {
            self.of_event(event, query);
            return;
        }
        self.of_account(query.account.as_ref());
        if let Some(callback) = query.callback {
            self.push(" AND callback_id = ").id(callback.uuid());
        }
        if let Some(status) = query.status {
            self.push(status_is(status));
        }
    }

    /// An event has few deliveries. They are found by it alone: no index serves what is compared here besides, as a planner
    /// may go through all that is undelivered of an account for them.
    fn of_event(&mut self, event: EventId, query: &DeliveryQuery) {
        self.push(" AND event_id = ").id(event.uuid());
        if let Some(account) = &query.account {
            self.push(" AND account || '' = ").text(account.as_str());
        }
        if let Some(callback) = query.callback {
            self.push(" AND COALESCE(callback_id, callback_id) = ").id(callback.uuid());
        }
        if let Some(status) = query.status {
            self.push(" AND status || '' = ").text(status.as_str());
        }
    }

    fn pairs(&mut self, columns: &'static str, pairs: &[(Arc<str>, Arc<str>)]) {
        self.push(columns).push(" IN (VALUES ");
        for (index, (first, second)) in pairs.iter().enumerate() {
            self.push(if index == 0 { "(" } else { ",(" }).text(Arc::clone(first));
            self.push(",").text(Arc::clone(second)).push(")");
        }
        self.push(")");
    }
}
