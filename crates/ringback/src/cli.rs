//! The commands for daily use: a client of the HTTP API of a running server.

mod accounts;
mod answer;
mod api_keys;
mod args;
mod callbacks;
mod catalog;
mod client;
mod console_link;
mod deliveries;
mod events;
mod failure;
mod output;
mod replays;
mod send;
mod sink;
mod sse;
mod tail;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use ringback_core::Timestamp;
use ringback_runtime::{Clock as _, SystemClock};
use url::Url;

use client::Client;
use failure::Failure;
use output::{Colour, Form, Output};

use crate::key_files::ADMIN_KEY_FILE;

/// The commands that talk to a running server.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send an event
    Send(Call<send::Send>),
    /// Watch attempts as they happen
    Tail(Call<tail::Tail>),
    /// See and manage callbacks: who gets which events
    Callbacks(Call<callbacks::Callbacks>),
    /// See deliveries and their attempts, and try again
    Deliveries(Call<deliveries::Deliveries>),
    /// Look up events and what became of them, deliver them again
    Events(Call<events::Events>),
    /// Deliver again what failed, in bulk: after an outage
    Replays(Call<replays::Replays>),
    /// See what the log callback was sent
    Sink(Call<sink::Sink>),
    /// See and change the catalog: the types of events and their variables
    Catalog(Call<catalog::Catalog>),
    /// See and change what an account wants
    Accounts(Call<accounts::Accounts>),
    /// Make, see and remove API keys
    ApiKeys(Call<api_keys::ApiKeys>),
    /// Make a link that opens the console once, without an API key
    ConsoleLink(Call<console_link::ConsoleLink>),
}

/// A command's own arguments, and those that say which server it talks to.
#[derive(Args, Debug)]
pub(crate) struct Call<A: Args> {
    #[command(flatten)]
    own: A,
    #[command(flatten)]
    connection: Connection,
}

/// Which server, with which key, and how the answer is shown.
#[derive(Args, Debug)]
#[command(next_help_heading = "Connection and output")]
struct Connection {
    /// The server's URL
    // An id of its own: `callbacks add` has a URL too.
    #[arg(
        id = "server",
        long = "url",
        env = "RINGBACK_URL",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL",
        global = true
    )]
    url: Url,
    /// The API key; @PATH reads it from a file. Without it, the one that `ringback dev` wrote to
    /// the data directory
    #[arg(
        long,
        env = "RINGBACK_API_KEY",
        hide_env_values = true,
        value_name = "KEY",
        global = true
    )]
    api_key: Option<String>,
    /// Where `ringback dev` keeps its data, its admin key among it
    #[arg(
        long,
        env = "RINGBACK_DATA_DIR",
        default_value = "./ringback-data",
        value_name = "DIRECTORY",
        global = true
    )]
    data_dir: PathBuf,
    /// Print the API's JSON
    #[arg(long, global = true)]
    json: bool,
    /// Print without colours
    #[arg(long, env = "NO_COLOR", value_parser = not_empty, hide_env = true, global = true)]
    no_color: bool,
}

/// `NO_COLOR` counts when it is set and not empty, whatever it says.
///
/// # Source
/// <https://no-color.org>
#[expect(clippy::unnecessary_wraps, reason = "the shape that clap asks of a parser")]
fn not_empty(value: &str) -> Result<bool, std::convert::Infallible> {
    Ok(!value.is_empty())
}

/// What every command is given.
struct Session {
    client: Client,
    out: Output,
    now: Timestamp,
}

/// Runs a command, prints its result, and says how the process should end: 0, 1 (the server refused, or found
/// nothing), 64 (wrong usage), 69 (no server).
pub(crate) async fn run(command: Command) -> ExitCode {
    match dispatch(command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The reader of our output has seen enough (`| head`): not an error.
            if output::reader_is_gone(&error) {
                return ExitCode::SUCCESS;
            }
            output::remark(format_args!("ringback: {error:#}"));
            error.downcast_ref::<Failure>().map_or(ExitCode::FAILURE, Failure::exit_code)
        }
    }
}

async fn dispatch(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Send(call) => send::run(call.own, &call.connection.open()?).await,
        Command::Tail(call) => tail::run(call.own, &call.connection.open()?).await,
        Command::Callbacks(call) => callbacks::run(call.own, &call.connection.open()?).await,
        Command::Deliveries(call) => deliveries::run(call.own, &call.connection.open()?).await,
        Command::Events(call) => events::run(call.own, &call.connection.open()?).await,
        Command::Replays(call) => replays::run(call.own, &call.connection.open()?).await,
        Command::Sink(call) => sink::run(call.own, &call.connection.open()?).await,
        Command::Catalog(call) => catalog::run(call.own, &call.connection.open()?).await,
        Command::Accounts(call) => accounts::run(call.own, &call.connection.open()?).await,
        Command::ApiKeys(call) => api_keys::run(call.own, &call.connection.open()?).await,
        Command::ConsoleLink(call) => console_link::run(call.own, &call.connection.open()?).await,
    }
}

impl Connection {
    fn open(&self) -> anyhow::Result<Session> {
        let form = if self.json { Form::Json } else { Form::People };
        let colour = if self.no_color { Colour::Never } else { Colour::OnTerminal };
        Ok(Session {
            client: Client::new(&self.url, self.key()?)?,
            out: Output::new(form, colour),
            now: SystemClock.now(),
        })
    }

    fn key(&self) -> anyhow::Result<client::Key> {
        // A variable that is set to nothing is a variable that is not set.
        if let Some(key) = self.api_key.as_deref().filter(|key| !key.is_empty()) {
            let key = args::secret(key)?;
            return Ok(client::Key {
                value: key,
                origin: "--api-key or RINGBACK_API_KEY".to_owned(),
            });
        }
        let path = self.data_dir.join(ADMIN_KEY_FILE);
        match std::fs::read_to_string(&path) {
            Ok(key) => {
                Ok(client::Key { value: key.trim().to_owned(), origin: path.display().to_string() })
            }
            Err(error) => Err(Failure::NoKey { path, error }.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Ringback {
        #[command(subcommand)]
        command: Command,
    }

    #[test]
    fn the_commands_are_consistent() {
        Ringback::command().debug_assert();
    }

    #[test]
    fn connection_options_are_taken_at_both_ends_of_a_command() {
        for line in [
            "ringback callbacks list --url http://a.example --json",
            "ringback callbacks --url http://a.example --json list",
        ] {
            let parsed = Ringback::try_parse_from(line.split(' ')).expect(line);
            let Command::Callbacks(call) = parsed.command else { panic!("{line}") };
            assert_eq!(call.connection.url.as_str(), "http://a.example/", "{line}");
            assert!(call.connection.json, "{line}");
        }
    }

    #[test]
    fn a_server_and_a_callback_each_have_their_url() {
        let line = "ringback callbacks add http://b.example --url http://a.example";
        let parsed = Ringback::try_parse_from(line.split(' ')).expect(line);
        let Command::Callbacks(call) = parsed.command else { panic!("{line}") };
        assert_eq!(call.connection.url.as_str(), "http://a.example/");
    }

    #[test]
    fn no_color_counts_unless_it_is_empty() {
        assert_eq!(not_empty("0"), Ok(true));
        assert_eq!(not_empty(""), Ok(false));
    }
}
