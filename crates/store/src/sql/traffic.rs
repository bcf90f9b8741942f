//! What was recorded, added up by steps of time.

/// Adds to what is there. The larger of two numbers is written out: each database has a function of its own for it.
macro_rules! add_traffic {
    () => {
        "ON CONFLICT (kind, subject, step_ms, at_ms) DO UPDATE SET \
         delivered = traffic.delivered + excluded.delivered, \
         exhausted = traffic.exhausted + excluded.exhausted, \
         succeeded = traffic.succeeded + excluded.succeeded, \
         failed = traffic.failed + excluded.failed, \
         duration_ms = traffic.duration_ms + excluded.duration_ms, \
         duration_ms_max = CASE WHEN excluded.duration_ms_max > traffic.duration_ms_max \
         THEN excluded.duration_ms_max ELSE traffic.duration_ms_max END"
    };
}
pub(crate) use add_traffic;
pub(crate) const INSERT_TRAFFIC: &str = concat!(
    "INSERT INTO traffic (kind, subject, step_ms, at_ms, delivered, exhausted, succeeded, failed, \
     duration_ms, duration_ms_max) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ",
    add_traffic!()
);

pub(crate) const TRAFFIC: &str = "SELECT at_ms, delivered, exhausted, succeeded, failed, duration_ms, duration_ms_max \
     FROM traffic WHERE kind = $1 AND subject = $2 AND step_ms = $3 AND at_ms >= $4 ORDER BY at_ms";
/// One row for each callback, its steps in one text: a row for each step took both databases ten times as long to hand over.
pub(crate) const TRAFFIC_OF_CALLBACKS: &str = "SELECT subject, STRING_AGG(at_ms || ' ' || delivered || ' ' || exhausted || ' ' \
     || succeeded || ' ' || failed || ' ' || duration_ms || ' ' || duration_ms_max, ',') AS steps \
     FROM traffic WHERE kind = 'callback' AND step_ms = $1 AND at_ms >= $2 GROUP BY subject";

/// Some of the short steps that are over for so long that nobody draws them any more: those before `$1`, at most `$2`.
pub(crate) const DELETE_SHORT_STEPS: &str = "DELETE FROM traffic WHERE (kind, subject, step_ms, at_ms) IN \
     (SELECT kind, subject, step_ms, at_ms FROM traffic WHERE kind IN ('account', 'all', 'callback') \
     AND step_ms = 300000 AND at_ms < $1 LIMIT $2)";
