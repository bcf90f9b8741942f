//! What is pending though it is due.

use ringback_core::Timestamp;
use ringback_core::delivery::WaitReason;

use super::{Columns, Row};
use crate::Error;
use crate::port::Backlog;

/// From the rows of [`crate::sql::backlog()`].
pub(crate) fn backlog<R: Columns>(rows: &[R], now: Timestamp) -> Result<Backlog, Error> {
    let mut backlog =
        Backlog { oldest_due: None, overdue: WaitReason::ALL.map(|reason| (reason, 0)).to_vec() };
    for columns in rows {
        let row = Row::of("delivery", columns);
        let oldest = row.optional_time("oldest_ms")?.filter(|oldest| *oldest <= now);
        backlog.oldest_due = [backlog.oldest_due, oldest].into_iter().flatten().min();
        let reason = row.text("reason")?;
        if let Some((_, overdue)) =
            backlog.overdue.iter_mut().find(|(known, _)| known.as_str() == reason)
        {
            *overdue = row.number("overdue")?;
        }
    }
    Ok(backlog)
}
