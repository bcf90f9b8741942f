//! Why a command failed, and the exit code that says so to a script.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;

use super::answer;
use super::output::plain;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The arguments can't be meant so.
    Usage(String),
    /// There is no API key to show.
    NoKey { path: PathBuf, error: std::io::Error },
    /// The server could not be asked, or did not answer.
    Unreachable { url: String, cause: String },
    /// The server said no.
    Refused(Problem),
    /// Some of many failed, and it has been said which.
    Incomplete(String),
}

/// What the server says of a refusal: problem details, as far as it gave them.
///
/// # Source
/// RFC 9457.
#[derive(Debug, PartialEq)]
pub(super) struct Problem {
    pub(super) status: u16,
    title: String,
    detail: Option<String>,
    errors: Vec<(String, String)>,
    hint: Option<String>,
}

impl Failure {
    /// As in sysexits.h where that has a word for it.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) | Self::NoKey { .. } => 64,
            Self::Unreachable { .. } => 69,
            Self::Refused(_) | Self::Incomplete(_) => 1,
        })
    }

    pub(super) fn usage(message: impl Into<String>) -> anyhow::Error {
        Self::Usage(message.into()).into()
    }
}

impl Problem {
    /// Reads a refusal. A body that is no JSON comes from something before the server: its beginning is shown.
    pub(super) fn read(status: reqwest::StatusCode, body: &str) -> Self {
        let reason = status.canonical_reason().unwrap_or("refused");
        let Ok(value @ Value::Object(_)) = serde_json::from_str(body) else {
            let body = body.trim();
            return Self {
                status: status.as_u16(),
                title: reason.to_owned(),
                detail: (!body.is_empty()).then(|| body.chars().take(300).collect()),
                errors: Vec::new(),
                hint: None,
            };
        };
        let errors = answer::items(&value, "/errors")
            .iter()
            .map(|error| (answer::shown(error, "/pointer"), answer::shown(error, "/detail")))
            .collect();
        Self {
            status: status.as_u16(),
            title: answer::text(&value, "/title").unwrap_or(reason).to_owned(),
            detail: answer::text(&value, "/detail").map(str::to_owned),
            errors,
            hint: None,
        }
    }

    /// Whether it is about the thing named, so that the next one may fare better.
    pub(super) fn is_about_one(&self) -> bool {
        matches!(self.status, 403 | 404 | 409 | 422)
    }

    /// The same, with advice under it.
    pub(super) fn with_hint(self, hint: String) -> Self {
        Self { hint: Some(hint), ..self }
    }

    fn write_hint(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hint.iter().try_for_each(|hint| write!(f, "\n{hint}"))
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Incomplete(message) => f.write_str(message),
            Self::NoKey { path, error } => write!(
                f,
                "no API key, and none could be read from {} ({error})\n\
                 Give one in one of three ways:\n  \
                 --api-key rbk_… (or --api-key @PATH, from a file)\n  \
                 RINGBACK_API_KEY=rbk_… in the environment\n  \
                 --data-dir DIRECTORY, the data directory of a `ringback dev`",
                path.display()
            ),
            Self::Unreachable { url, cause } => write!(
                f,
                "no answer from {url}: {cause}\n\
                 Start a server with `ringback dev`, or name another one with --url or RINGBACK_URL"
            ),
            Self::Refused(problem) => problem.fmt(f),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", plain(&self.title), self.status)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {}", plain(detail))?;
        }
        let is_told =
            |error: &str| self.detail.as_ref().is_some_and(|detail| detail.contains(error));
        if let [(pointer, detail)] = self.errors.as_slice()
            && is_told(detail)
            && is_told(pointer)
        {
            return self.write_hint(f);
        }
        for (pointer, detail) in &self.errors {
            write!(f, "\n  {}: {}", plain(pointer), plain(detail))?;
        }
        self.write_hint(f)
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    #[test]
    fn a_problem_shows_its_title_detail_and_a_line_for_each_pointer() {
        let body = r#"{"type":"about:blank","title":"Invalid callback","status":422,"detail":"2 members",
            "errors":[{"pointer":"/url","detail":"is missing"},{"pointer":"/x","detail":"is unknown"}],"new":1}"#;
        let problem = Problem::read(StatusCode::UNPROCESSABLE_ENTITY, body);
        assert_eq!(
            problem.to_string(),
            "Invalid callback (422): 2 members\n  /url: is missing\n  /x: is unknown"
        );
    }

    #[test]
    fn a_refusal_that_is_no_json_shows_its_beginning_without_control_characters() {
        let problem = Problem::read(StatusCode::BAD_GATEWAY, "<html>\u{1b}[2J no upstream");
        assert_eq!(problem.to_string(), "Bad Gateway (502): <html>\\u{1b}[2J no upstream");
    }
}
