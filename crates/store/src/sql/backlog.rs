//! What is pending though it is due.
//!
//! It is asked every few seconds, and costs the same however much is pending: the ends of indexes are looked at, and no
//! more rows than are counted.

use ringback_core::delivery::WaitReason;

use crate::port::OVERDUE_MAX;

/// What differs from database to database.
#[derive(Clone, Copy)]
pub(crate) struct BacklogParts {
    /// After the table: to take this index, and no other that its planner likes better.
    pub(crate) by_due: &'static str,
    /// The same.
    pub(crate) by_age: &'static str,
    /// The same.
    pub(crate) by_callback: &'static str,
    /// A callback's id, as deliveries have it.
    pub(crate) callback_id: &'static str,
    /// What joins a delivery with its event besides.
    pub(crate) joined_by: &'static str,
}

/// How many of what was put off first are looked at: an event that was to be delivered later is not as old as it seems.
const OLDEST_MAX: u32 = 100;

/// Rows of a reason, since when the oldest of it is due, and how many are overdue. `$1` is now, `$2` the moment before
/// which an attempt should have been made.
///
/// Each part stands there once, for all reasons: PostgreSQL plans it for each day of the history.
pub(crate) fn backlog(parts: BacklogParts) -> String {
    let reasons = WaitReason::ALL.map(|reason| format!("('{}')", reason.as_str())).join(", ");
    let (oldest_of_reason, overdue) = (oldest(parts, "reason = asked.of"), overdue(parts));
    let (paused, resumed) = (WaitReason::Paused.as_str(), overdue_of_resumed(parts));
    // Under way, or on the queue again.
    let (oldest, waiting) = (oldest(parts, "reason IS NULL"), oldest_waiting(parts));
    format!(
        "WITH asked (of) AS (VALUES {reasons}) SELECT of AS reason, ({oldest_of_reason}) AS oldest_ms, \
         CASE of WHEN '{paused}' THEN ({resumed}) ELSE ({overdue}) END AS overdue FROM asked \
         UNION ALL SELECT '', ({oldest}), 0 UNION ALL SELECT '', ({waiting}), 0"
    )
}

fn oldest(parts: BacklogParts, is: &str) -> String {
    let hint = parts.by_due;
    format!(
        "SELECT MIN(next_attempt_at_ms) FROM delivery{hint} WHERE status = 'pending' AND {is} \
         AND next_attempt_at_ms <= $1"
    )
}

fn overdue(parts: BacklogParts) -> String {
    let hint = parts.by_due;
    format!(
        "SELECT COUNT(*) FROM (SELECT 1 FROM delivery{hint} WHERE status = 'pending' AND reason = asked.of \
         AND next_attempt_at_ms < $2 LIMIT {OVERDUE_MAX}) AS late"
    )
}

/// Those of callbacks that were resumed long enough ago. What is kept for one that is paused may be millions.
fn overdue_of_resumed(parts: BacklogParts) -> String {
    let BacklogParts { callback_id, by_callback, .. } = parts;
    format!(
        "SELECT COUNT(*) FROM (SELECT 1 FROM callback CROSS JOIN delivery{by_callback} \
         WHERE callback.paused = 0 AND callback.disabled_reason IS NULL AND callback.resumed_at_ms < $2 \
         AND delivery.callback_id = {callback_id} AND delivery.reason = 'paused' \
         AND delivery.status = 'pending' AND delivery.next_attempt_at_ms < $2 LIMIT {OVERDUE_MAX}) AS late"
    )
}

fn oldest_waiting(parts: BacklogParts) -> String {
    let (hint, joined_by) = (parts.by_age, parts.joined_by);
    format!(
        "SELECT MIN(CASE WHEN deliver_at_ms > created_at_ms THEN deliver_at_ms ELSE created_at_ms END) \
         FROM (SELECT created_at_ms, deliver_at_ms FROM delivery{hint} \
         LEFT JOIN event ON event.id = event_id AND event.account = delivery.account{joined_by} \
         WHERE status = 'pending' AND generation = 0 AND series_start = 1 \
         AND (reason = 'rate_limit' OR reason = 'concurrency' OR reason = 'circuit_open' OR reason = 'paused') \
         ORDER BY created_at_ms LIMIT {OLDEST_MAX}) AS waiting"
    )
}
