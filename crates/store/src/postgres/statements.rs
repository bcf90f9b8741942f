//! The statements that are other ones than SQLite's: those that know of days, and of rows by the thousand.

use super::arrays::Kind::{self, Day, Id, Number, Text};
use crate::sql;

/// Rows of a table, written from arrays.
pub(super) struct Table {
    name: &'static str,
    columns: &'static str,
    /// What the columns hold, and the day after them.
    pub(super) kinds: &'static [Kind],
    key: &'static str,
    on_conflict: &'static str,
}

const EVENT: Table = Table {
    name: "event",
    columns: sql::EVENT_COLUMNS,
    kinds: &[Id, Text, Text, Number, Number, Text, Number, Day],
    key: "id, account, day",
    on_conflict: "DO NOTHING",
};

const DELIVERY: Table = Table {
    name: "delivery",
    columns: sql::DELIVERY_COLUMNS,
    kinds: &[
        Id, Id, Text, Text, Id, Number, Text, Text, Number, Number, Number, Number, Number, Day,
    ],
    key: "id, day",
    on_conflict: sql::UPDATE_DELIVERY,
};

const ATTEMPT: Table = Table {
    name: "attempt",
    columns: sql::ATTEMPT_COLUMNS,
    kinds: &[
        Id, Number, Number, Number, Text, Text, Text, Text, Text, Number, Number, Text, Text, Text,
        Number, Number, Day,
    ],
    key: "delivery_id, number, day",
    on_conflict: "DO NOTHING",
};

/// What is known of a batch's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Novelty {
    /// They are new, but for the deliveries that are told apart. One that is there all the same is an error: not to look
    /// for each row whether it is there saves a fifth of PostgreSQL's work.
    New,
    /// Any may be there already.
    Unknown,
}

/// Writes a batch: one statement, so one round trip and one transaction. Its values are columns of [`RECORDED_ROWS`], as
/// arrays.
pub(super) fn record(novelty: Novelty) -> String {
    let mut bound = 0;
    let new = novelty == Novelty::New;
    let [event, first, delivery, attempt] =
        [(EVENT, new), (DELIVERY, true), (DELIVERY, false), (ATTEMPT, new)]
            .map(|(table, new)| table.insert(&mut bound, new));
    format!("WITH e AS ({event}), f AS ({first}), d AS ({delivery}), a AS ({attempt}) SELECT 1")
}

/// What [`record`] writes: events, deliveries that are new, deliveries that may be there, attempts.
pub(super) const RECORDED_ROWS: [Table; 4] = [EVENT, DELIVERY, DELIVERY, ATTEMPT];

impl Table {
    fn insert(&self, bound: &mut usize, new: bool) -> String {
        let Self { name, columns, kinds, key, on_conflict } = self;
        // `UNNEST` in the list, and not `FROM UNNEST(…, …)`, which copies each array into a store of its own first.
        let arrays: Vec<_> = kinds
            .iter()
            .map(|kind| {
                *bound += 1;
                match kind {
                    Text => format!("UNNEST(${bound}::TEXT[])"),
                    Number => format!("UNNEST(${bound}::BIGINT[])"),
                    Id => format!("UNNEST(${bound}::UUID[])"),
                    Day => format!("UNNEST(${bound}::INTEGER[])"),
                }
            })
            .collect();
        let arrays = arrays.join(", ");
        let insert = format!("INSERT INTO {name} ({columns}, day) SELECT {arrays}");
        if new { insert } else { format!("{insert} ON CONFLICT ({key}) {on_conflict}") }
    }
}

/// Adds to the sums of many steps. Its values are columns of [`TRAFFIC_KINDS`], as arrays, in the order of the rows' keys.
pub(super) const ADD_TRAFFIC: &str = concat!(
    "INSERT INTO traffic (kind, subject, step_ms, at_ms, delivered, exhausted, succeeded, failed, \
     duration_ms, duration_ms_max) SELECT UNNEST($1::TEXT[]), UNNEST($2::TEXT[]), UNNEST($3::BIGINT[]), \
     UNNEST($4::BIGINT[]), UNNEST($5::BIGINT[]), UNNEST($6::BIGINT[]), UNNEST($7::BIGINT[]), UNNEST($8::BIGINT[]), \
     UNNEST($9::BIGINT[]), UNNEST($10::BIGINT[]) ",
    sql::add_traffic!()
);
pub(super) const TRAFFIC_KINDS: &[Kind] =
    &[Text, Text, Number, Number, Number, Number, Number, Number, Number, Number];

/// Of one day: the others are not looked at.
pub(super) const RECORDED: &str =
    "SELECT id, attempts, status, reason FROM delivery WHERE day = $1 AND id = ANY($2)";

/// The condition stands twice, as the row may have changed between being found and being locked.
pub(super) const CANCEL_PENDING: &str = "UPDATE delivery SET status = 'cancelled', reason = $1, \
     next_attempt_at_ms = NULL, updated_at_ms = $2 \
     WHERE status = 'pending' AND (id, day) IN \
     (SELECT id, day FROM delivery WHERE status = 'pending' AND callback_id = $3 LIMIT $4)";

pub(super) const CANCEL_DELIVERY: &str = "UPDATE delivery SET status = 'cancelled', reason = $1, \
     next_attempt_at_ms = NULL, updated_at_ms = $2 WHERE id = $3 AND day = $4 AND status = 'pending'";
pub(super) const CANCEL_EVENT: &str = "UPDATE delivery SET status = 'cancelled', reason = $1, \
     next_attempt_at_ms = NULL, updated_at_ms = $2 \
     WHERE status = 'pending' AND (id, day) IN \
     (SELECT id, day FROM delivery WHERE event_id = $3 AND account = $4 AND status = 'pending' LIMIT $5) \
     RETURNING callback_id";

/// See [`sql::open_circuits()`].
pub(super) fn open_circuits() -> String {
    sql::open_circuits("SELECT UNNEST($1::UUID[])")
}

/// See [`sql::last_outcomes()`]. Its values are columns of [`LAST_ATTEMPTS`], as arrays. One id may be there on two days.
pub(super) fn last_outcomes() -> String {
    let asked = "SELECT UNNEST($1::BIGINT[]), UNNEST($2::UUID[]), UNNEST($3::BIGINT[]), UNNEST($4::INTEGER[])";
    let joined_by =
        "delivery_id = asked.id AND number = asked.attempts AND attempt.day = asked.day";
    sql::last_outcomes("place, id, attempts, day", asked, joined_by)
}
pub(super) const LAST_ATTEMPTS: &[Kind] = &[Number, Id, Number, Day];

/// See [`sql::backlog()`].
pub(super) const BACKLOG: sql::BacklogParts = sql::BacklogParts {
    by_due: "",
    by_age: "",
    by_callback: "",
    callback_id: "callback.id::UUID",
    joined_by: " AND event.day = delivery.day",
};

/// Of one day, as an event has a row for each that it was accepted on.
pub(super) const COUNT_REPLAY: &str = "UPDATE event SET replays = replays + 1 \
     WHERE id = $1 AND account = $2 AND day = $3 RETURNING replays";
/// Deliveries are joined with the event of their own day.
pub(super) const BY_DAY: sql::Parts =
    sql::Parts { columns: ", day", joined_by: " AND event.day = found.day" };

pub(super) const PARKED: &str = "SELECT delivery.id, event_id, event_name, delivery.account, callback_id, \
     generation, status, reason, next_attempt_at_ms, attempts, series_start, created_at_ms, updated_at_ms, \
     time_ms, accepted_at_ms, variables, deliver_at_ms \
     FROM delivery JOIN event ON event.id = event_id AND event.account = delivery.account \
     AND event.day = delivery.day \
     WHERE callback_id = $1 AND reason = 'paused' ORDER BY created_at_ms, delivery.id LIMIT $2";

/// See [`sql::RESUMED_WITH_PARKED`]: a callback's own id is a text.
pub(super) const RESUMED_WITH_PARKED: &str = "FROM callback WHERE resumed_at_ms >= $1 AND paused = 0 \
     AND disabled_reason IS NULL AND EXISTS (SELECT 1 FROM delivery \
     WHERE delivery.callback_id = callback.id::UUID AND delivery.reason = 'paused')";

/// See [`sql::LET_GO`].
pub(super) const LET_GO: &str = "UPDATE delivery SET reason = NULL, next_attempt_at_ms = $1, updated_at_ms = $1 \
     FROM UNNEST($2::UUID[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[]) AS read (id, created_at_ms, updated_at_ms, day) \
     WHERE delivery.id = read.id AND delivery.day = read.day AND delivery.created_at_ms = read.created_at_ms \
     AND delivery.updated_at_ms = read.updated_at_ms AND delivery.reason = 'paused'";

/// Of one day: those that nothing is pending of.
pub(super) const DELETABLE_EVENTS: &str = "SELECT id, account FROM event WHERE day = $1 \
     AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.day = $1 AND delivery.event_id = event.id \
     AND delivery.account = event.account AND delivery.status = 'pending') LIMIT $2";
/// In the order in which recording locks them.
pub(super) const LOCK_DELIVERIES: &str = "SELECT id, event_id, account, status FROM delivery \
     WHERE day = $1 AND event_id = ANY($2) ORDER BY id FOR UPDATE";
pub(super) const DELETE_DELIVERIES: [&str; 2] = [
    "DELETE FROM attempt WHERE day = $1 AND delivery_id = ANY($2)",
    "DELETE FROM delivery WHERE day = $1 AND id = ANY($2)",
];
pub(super) const DELETE_EVENTS: &str = "DELETE FROM event WHERE day = $1 \
     AND (id, account) IN (SELECT * FROM UNNEST($2::UUID[], $3::TEXT[]))";

/// Days in the default partition that are over.
pub(super) const STRAY_DAYS: &str =
    "SELECT DISTINCT day FROM event_default WHERE day < $1 ORDER BY day";

/// Attempts of one day, with what is recorded of their deliveries.
pub(super) fn told_attempts() -> [String; 2] {
    let (delivery, attempt) = (sql::DELIVERY_COLUMNS, sql::ATTEMPT_COLUMNS);
    [
        format!("SELECT {delivery} FROM delivery WHERE day = $1 AND id = ANY($2)"),
        format!("SELECT {attempt} FROM attempt WHERE day = $1 AND delivery_id = ANY($2)"),
    ]
}

pub(super) const NOTIFY: &str = "SELECT pg_notify($1, payload) FROM UNNEST($2::TEXT[]) AS payload";
