//! Forms of arguments that several commands share.

use std::io::Read as _;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;
use ringback_core::{CallbackId, Timestamp};

use super::Session;
use super::answer::Answer;
use super::client::{All, Query};
use super::failure::Failure;

/// A moment: RFC 3339, so long ago, or a time of a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Since {
    Ago(Duration),
    At(Timestamp),
    /// A time of today or of a day before, in UTC as all times here: two people who look at one server read the same.
    Daytime {
        days_ago: i64,
        after_midnight: Duration,
    },
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Since {
    pub(super) fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(duration) => now - duration,
            Self::At(moment) => moment,
            Self::Daytime { days_ago, after_midnight } => {
                let day_ms = i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX);
                let day = now.ms().div_euclid(day_ms) - days_ago;
                Timestamp::from_ms(day * day_ms) + after_midnight
            }
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(moment) = text.parse() {
            return Ok(Self::At(moment));
        }
        ago(text).map(Self::Ago).or_else(|| daytime(text)).ok_or_else(|| {
            "a time such as 2026-01-02T03:04:05Z, so long ago: 30s, 15m, 1h, 7d, 2w, or a time of day in \
             UTC: 14:00, `yesterday 14:00`"
                .to_owned()
        })
    }
}

/// `14:00`, `14:00:30`, `today 14:00`, `yesterday 14:00`.
fn daytime(text: &str) -> Option<Since> {
    let (days_ago, time) = match text.split_once(' ') {
        None => (0, text),
        Some(("today", time)) => (0, time),
        Some(("yesterday", time)) => (1, time),
        Some(_) => return None,
    };
    let mut parts = time.split(':');
    let mut part = |max: u64| {
        let digits = parts.next()?;
        let is_two = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|number| is_two && *number <= max)
    };
    let (hours, minutes) = (part(23)?, part(59)?);
    let seconds = if time.len() > "14:00".len() { part(59)? } else { 0 };
    let after_midnight = Duration::from_secs((hours * 60 + minutes) * 60 + seconds);
    parts.next().is_none().then_some(Since::Daytime { days_ago, after_midnight })
}

fn ago(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        'w' => 7 * 24 * 60 * 60,
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?;
    // `parse` would take a sign.
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(digits.parse::<u64>().ok()?.checked_mul(seconds)?))
}

/// A callback: its id, or the end of it, as lists show it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum CallbackRef {
    Id(CallbackId),
    Ending(String),
}

/// How much of an id's end lists show. The end of a UUIDv7 is random, its beginning is the time.
const SHORT_ID_CHARS: usize = 8;
const ENDING_CHARS_MIN: usize = 4;

/// The end of an id, as lists show it.
pub(super) fn short_id(id: &str) -> &str {
    let start = id.len().saturating_sub(SHORT_ID_CHARS);
    id.get(start..).unwrap_or(id)
}

impl FromStr for CallbackRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let is_ending = text.len() >= ENDING_CHARS_MIN
            && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if !is_ending {
            return Err("a callback's id, or its last 4 or more characters".to_owned());
        }
        Ok(Self::Ending(text.to_ascii_lowercase()))
    }
}

impl CallbackRef {
    /// The id it stands for.
    ///
    /// # Errors
    /// If no callback has this ending, or several have.
    pub(super) async fn resolve(&self, session: &Session) -> anyhow::Result<String> {
        let ending = match self {
            Self::Id(id) => return Ok(id.to_string()),
            Self::Ending(ending) => ending,
        };
        let callbacks = session.client.list(&["callbacks"], &Query::new(), All).await?.items;
        let ids: Vec<&str> = callbacks.iter().filter_map(|callback| callback.text("/id")).collect();
        let found: Vec<&str> = ids.into_iter().filter(|id| id.ends_with(ending.as_str())).collect();
        match found.as_slice() {
            [id] => Ok((*id).to_owned()),
            [] => Err(Failure::Incomplete(format!("no callback's id ends in {ending}")).into()),
            several => {
                let list = several.join(", ");
                Err(Failure::usage(format!("several callbacks' ids end in {ending}: {list}")))
            }
        }
    }
}

/// A value that need not stand on the command line, where the shell's history and every user of the machine see it:
/// `@PATH` is the content of a file, `@-` of stdin, without the line break at its end.
///
/// # Errors
/// If the file can't be read.
pub(super) fn secret(text: &str) -> anyhow::Result<String> {
    let Some(path) = text.strip_prefix('@') else {
        return Ok(text.to_owned());
    };
    let content = read_text(path)?;
    let line = content.strip_suffix('\n').unwrap_or(&content);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// The content of a file, or of stdin for `-`.
///
/// # Errors
/// If it can't be read, or is no UTF-8.
pub(super) fn read_text(path: &str) -> anyhow::Result<String> {
    let read = || {
        if path == "-" {
            let mut content = String::new();
            std::io::stdin().read_to_string(&mut content)?;
            return Ok(content);
        }
        std::fs::read_to_string(path)
    };
    read().map_err(|error: std::io::Error| {
        let name = if path == "-" { "stdin" } else { path };
        Failure::usage(format!("can't read {name}: {error}"))
    })
}

/// Checks the id of an answer before it goes into a URL of ours.
///
/// # Errors
/// If the answer names no id.
pub(super) fn id_of(answer: &Answer) -> anyhow::Result<&str> {
    answer.text("/id").context("the server's answer names no id")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn since_is_a_moment_or_so_long_ago() {
        let now = Timestamp::from_ms(1_000_000_000);
        let cases = [("30s", 30), ("15m", 900), ("1h", 3_600), ("7d", 604_800), ("2w", 1_209_600)];
        for (text, seconds) in cases {
            let since: Since = text.parse().expect(text);
            assert_eq!(since.resolve(now), now - Duration::from_secs(seconds), "{text}");
        }
        let at: Since = "1970-01-01T00:00:01Z".parse().expect("RFC 3339");
        assert_eq!(at.resolve(now), Timestamp::from_ms(1_000));
    }

    #[test]
    fn since_is_a_time_of_today_or_yesterday_in_utc() {
        let now: Timestamp = "2026-11-22T15:30:00Z".parse().expect("RFC 3339");
        for (text, moment) in [
            ("14:00", "2026-11-22T14:00:00Z"),
            ("14:00:30", "2026-11-22T14:00:30Z"),
            ("today 00:00", "2026-11-22T00:00:00Z"),
            ("yesterday 23:59", "2026-11-21T23:59:00Z"),
        ] {
            let since: Since = text.parse().expect(text);
            assert_eq!(since.resolve(now), moment.parse().expect("RFC 3339"), "{text}");
        }
        for text in ["24:00", "14:60", "1:00", "14", "14:0", "14:00:", "14:00:00:00", "noon 14:00"]
        {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }

    #[test]
    fn since_refuses_what_is_neither() {
        let long = "99999999999999999999h";
        for text in ["", "h", "1", "-1h", "+1h", "1.5h", "1 h", "1y", "yesterday", "1é", "é", long]
        {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_callback_is_named_by_its_id_or_the_end_of_it() {
        let id = "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21";
        assert!(matches!(id.parse(), Ok(CallbackRef::Id(_))));
        assert_eq!(short_id(id).parse(), Ok(CallbackRef::Ending("1e0c8b21".to_owned())));
        assert_eq!("8B21".parse(), Ok(CallbackRef::Ending("8b21".to_owned())));
        for text in ["", "b21", "../events", "8b21?"] {
            assert!(text.parse::<CallbackRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_comes_from_a_file_without_its_last_line_break() {
        let mut file = tempfile::NamedTempFile::new().expect("a writable temporary directory");
        file.write_all(b"hush\r\n").expect("just made");
        let read = secret(&format!("@{}", file.path().display()));
        assert_eq!(read.expect("readable"), "hush");
        assert_eq!(secret("plain").expect("as it is"), "plain");
        let missing = secret("@/nonexistent/file").expect_err("no such file");
        assert!(missing.to_string().contains("/nonexistent/file"), "{missing}");
    }
}
