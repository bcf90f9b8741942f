//! The one binary: `serve` for production, `dev` and `demo` for trying out, and the commands for daily use.

mod cli;
mod demo;
mod dev;
mod document;
mod exit;
mod facts;
mod health;
mod housekeeping;
mod http;
mod key_files;
mod operate;
mod outages;
mod parts;
mod process;
mod sampler;
mod scrapes;
mod serve;
mod settings;
mod traces;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::exit::Failure;
use crate::process::Role;

/// The system's allocator was a sixth of the processor time of a delivery; this one is half of that (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Delivers event callbacks (webhooks), and loses none.
#[derive(Parser)]
#[command(name = "ringback", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run it for trying out: on this machine, with an admin key and two commands to paste
    Dev(settings::Given),
    /// Run it: all roles in one process
    Serve(settings::Given),
    /// Run one that takes events in; any number may run on the same servers
    Ingest(settings::Given),
    /// Run one that delivers; any number may run on the same servers
    Worker(settings::Given),
    /// Run one that answers the management API and keeps house
    Console(settings::Given),
    /// See deliveries and retries happen, in ten seconds
    Demo,
    #[command(flatten)]
    Operate(operate::Command),
    #[command(flatten)]
    Client(cli::Command),
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; for the rest 64, as for any other bad setting.
            let code = if error.use_stderr() { 64 } else { 0 };
            return error.print().map_or(ExitCode::FAILURE, |()| ExitCode::from(code));
        }
    };
    raise_open_files_limit();
    let mut runtime = match arguments.command.threads() {
        Ok(threads) => runtime(threads),
        Err(error) => return Failure::Usage(error).report(),
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::Other(error.into()).report(),
    };
    let ended = runtime.block_on(async {
        match arguments.command {
            Command::Dev(given) => dev::run(given).await,
            Command::Serve(given) => serve::run(Role::All, given).await,
            Command::Ingest(given) => serve::run(Role::Ingest, given).await,
            Command::Worker(given) => serve::run(Role::Worker, given).await,
            Command::Console(given) => serve::run(Role::Console, given).await,
            Command::Demo => Box::pin(demo::run()).await,
            Command::Operate(command) => operate::run(command).await,
            Command::Client(command) => return cli::run(command).await,
        }
        .map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
    });
    // A blocked name look-up must not keep the process: everything that matters has been waited for.
    runtime.shutdown_background();
    ended
}

fn arguments() -> Result<Arguments, clap::Error> {
    let mut command = without_empty_variables(Arguments::command());
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// A variable that is set to nothing is one that is not set: it is what a deployment's template leaves where it sets
/// nothing (`RINGBACK_PUBLIC_URL=${RINGBACK_PUBLIC_URL:-}`).
fn without_empty_variables(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| match argument.get_env().is_some_and(is_set_to_nothing) {
            true => argument.env(clap::builder::Resettable::Reset),
            false => argument,
        })
        .mut_subcommands(without_empty_variables)
}

#[expect(clippy::disallowed_methods, reason = "which settings come from the environment")]
fn is_set_to_nothing(variable: &std::ffi::OsStr) -> bool {
    std::env::var_os(variable).is_some_and(|value| value.is_empty())
}

impl Command {
    /// How many threads share its work; none: one for each core.
    ///
    /// # Errors
    /// A bad setting.
    fn threads(&self) -> anyhow::Result<Option<usize>> {
        match self {
            Self::Dev(given) | Self::Serve(given) => given.threads(),
            Self::Ingest(given) | Self::Worker(given) | Self::Console(given) => {
                Ok(given.threads()?.or_else(threads_of_a_role))
            }
            Self::Demo | Self::Operate(_) | Self::Client(_) => Ok(None),
        }
    }
}

/// What runs all tasks. A single thread needs no scheduler that others could take tasks from.
fn runtime(threads: Option<usize>) -> tokio::runtime::Builder {
    if threads == Some(1) {
        return tokio::runtime::Builder::new_current_thread();
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = threads {
        runtime.worker_threads(threads);
    }
    runtime
}

/// One for every two cores, and at least one. A role has others beside it; and on two cores an ingest and a worker of
/// one thread each took a sixth less processor time for a delivery than of two, which pass memory to and fro and wake each
/// other.
fn threads_of_a_role() -> Option<usize> {
    std::thread::available_parallelism().ok().map(|cores| (cores.get() / 2).max(1))
}

/// A worker holds many connections at once; running out of file handles would look like the endpoints' failure.
fn raise_open_files_limit() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        // Logs are not set up yet, and it is no reason not to work.
        eprintln!("ringback: the limit of open files stays as it is: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(arguments: &[&str]) -> Option<usize> {
        let arguments = [&["ringback"], arguments].concat();
        let arguments = Arguments::try_parse_from(arguments).expect("arguments");
        arguments.command.threads().expect("a number that can be used")
    }

    #[test]
    fn role_by_itself_leaves_half_of_the_cores_to_others_unless_told() {
        let cores = std::thread::available_parallelism().expect("known").get();
        for role in ["ingest", "worker", "console"] {
            assert_eq!(threads(&[role]), Some((cores / 2).max(1)));
            assert_eq!(threads(&[role, "--threads", "7"]), Some(7));
        }
        assert_eq!(threads(&["serve"]), None);
        assert_eq!(threads(&["serve", "--threads", "7"]), Some(7));
    }
}
