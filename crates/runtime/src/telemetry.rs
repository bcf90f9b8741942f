//! Logs: one line an event, for people on a terminal and as JSON for machines.

mod json;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::time::SystemTime;

/// The AMQP library logs each channel that a server closes as an error, which is how a server says "no such queue". What
/// matters of it is told by the adapter. The SQL library logs each statement at `debug`, and the HTTP client each connection,
/// which would drown the attempts. A filter that names them has the last word.
const QUIET: &str = "lapin=off,sqlx=warn,hyper=warn,hyper_util=warn,reqwest=warn,rustls=warn";

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For a terminal.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// The filter is no level and no list of `target=level`.
#[derive(Debug, thiserror::Error)]
#[error("not a log filter such as `info` or `info,ringback_worker=debug`")]
pub struct InvalidFilter;

/// Sends log lines to standard error, from now until the process ends. Standard output is for what a command answers.
///
/// # Errors
/// [`InvalidFilter`] if `filter` can't be read; nothing is set up then.
///
/// # Panics
/// If called twice in one process.
pub fn start(format: LogFormat, filter: &str) -> Result<(), InvalidFilter> {
    // A word alone would be taken for a target, and a misspelled level log nothing.
    let is_level = |word: &str| word.trim().parse::<LevelFilter>().is_ok();
    if !filter.split(',').all(|part| part.contains(['=', '[']) || is_level(part)) {
        return Err(InvalidFilter);
    }
    let filter =
        EnvFilter::try_new(format!("{QUIET},{filter}")).map_err(|_not_one| InvalidFilter)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_timer(SystemTime);
    match format {
        LogFormat::Pretty => {
            lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init()
        }
        LogFormat::Json => lines.event_format(json::JsonLine).init(),
    }
    Ok(())
}
