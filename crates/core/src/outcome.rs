//! What one attempt met.

use std::time::Duration;

use crate::Timestamp;

/// What came of one attempt. A receiver's bad answer is data, not an error of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A 2xx: the delivery is done.
    Success {
        /// The status.
        status: u16,
    },
    /// Any other status. Redirects are among them: they are not followed.
    HttpError {
        /// The status.
        status: u16,
        /// How long the receiver asked us to wait, if it did.
        retry_after: Option<Duration>,
    },
    /// No whole answer in time.
    Timeout {
        /// What was being waited for.
        reason: String,
    },
    /// No connection, or one that broke; a certificate that does not hold is one of these.
    Connection {
        /// What went wrong, for the history.
        reason: String,
    },
    /// Not sent: the target is an address we do not send to.
    Blocked {
        /// Which rule it breaks.
        reason: String,
    },
}

impl Outcome {
    /// The word that stands in rows, answers and metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Success { .. } => "success",
            Self::HttpError { .. } => "http_error",
            Self::Timeout { .. } => "timeout",
            Self::Connection { .. } => "connection",
            Self::Blocked { .. } => "blocked",
        }
    }

    /// Reads an answer's status and its `Retry-After`.
    #[must_use]
    pub fn of_response(status: u16, retry_after: Option<&str>, now: Timestamp) -> Self {
        if (200..300).contains(&status) {
            return Self::Success { status };
        }
        let retry_after = match status {
            429 | 503 => retry_after.and_then(|value| parse_retry_after(value, now)),
            _ => None,
        };
        Self::HttpError { status, retry_after }
    }

    /// Whether it says that the endpoint is in trouble, and not just this event: no answer, a 5xx, or too much at once.
    #[must_use]
    pub const fn is_trouble(&self) -> bool {
        match self {
            Self::Success { .. } | Self::Blocked { .. } => false,
            Self::HttpError { status, .. } => *status >= 500 || *status == 429,
            Self::Timeout { .. } | Self::Connection { .. } => true,
        }
    }

    /// What went wrong where no answer came, or why nothing was sent.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Success { .. } | Self::HttpError { .. } => None,
            Self::Timeout { reason } | Self::Connection { reason } | Self::Blocked { reason } => {
                Some(reason)
            }
        }
    }
}

/// The longest wait that a receiver can ask for: a day.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Both forms of `Retry-After`, seconds and date, capped at [`RETRY_AFTER_MAX`]. A date gone by is no wait at all.
///
/// # Source
/// RFC 9110, section 10.2.3.
fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // A number too large for us is a long wait, not a bad header.
        let wait = value.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs);
        return Some(wait.min(RETRY_AFTER_MAX));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let since_epoch = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let date = Timestamp::EPOCH + since_epoch;
    Some(date.since(now).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry_after(status: u16, value: &str) -> Option<Duration> {
        // 1994-11-06T08:49:37Z, the RFC's example.
        let now = Timestamp::from_ms(784_111_777_000);
        let outcome = Outcome::of_response(status, Some(value), now);
        let Outcome::HttpError { retry_after, .. } = outcome else { panic!("{outcome:?}") };
        retry_after
    }

    #[test]
    fn every_2xx_is_success_and_nothing_else_is() {
        for status in 100..600 {
            let success = matches!(
                Outcome::of_response(status, None, Timestamp::EPOCH),
                Outcome::Success { .. }
            );
            assert_eq!(success, status / 100 == 2, "{status}");
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        assert_eq!(retry_after(503, "120"), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(429, " 7 "), Some(Duration::from_secs(7)));
        assert_eq!(
            retry_after(429, "Sun, 06 Nov 1994 08:50:37 GMT"),
            Some(Duration::from_secs(60))
        );
        assert_eq!(retry_after(429, "Sun, 06 Nov 1994 08:49:36 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn retry_after_is_capped_at_a_day() {
        let day = Some(RETRY_AFTER_MAX);
        assert_eq!(retry_after(503, "86401"), day);
        assert_eq!(retry_after(503, "99999999999999999999999"), day);
        assert_eq!(retry_after(503, "Wed, 06 Nov 2030 08:50:37 GMT"), day);
    }

    #[test]
    fn retry_after_counts_for_429_and_503_only_and_nonsense_never() {
        assert_eq!(retry_after(500, "120"), None);
        assert_eq!(retry_after(302, "120"), None);
        for nonsense in ["", "soon", "-1", "1.5", "12 monkeys"] {
            assert_eq!(retry_after(503, nonsense), None, "{nonsense}");
        }
    }
}
